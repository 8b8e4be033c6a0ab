// Why this product for this user: one row a purchased product, whose contributions (and shares) add up to the score.
// $user, $product, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
// coalesce: Neo4j does not store a share of 0. The product is found once, not for each of her purchases.
MATCH (p:Product {id: $product})
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH p, j, count(b) AS purchases, max(b.at) AS last_at,
     sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) ^ $exponent AS weight
MATCH (j)-[r:RELATED {run: $run}]->(p)
WITH j.id AS because, j.name AS name, purchases, last_at, weight, r.weight AS related,
     coalesce(r.bought, 0.0) AS bought, coalesce(r.brand, 0.0) AS brand, coalesce(r.category, 0.0) AS category,
     coalesce(r.text, 0.0) AS text, coalesce(r.links, 0.0) AS links, coalesce(r.network, 0.0) AS network,
     coalesce(r.repeat, 0.0) AS repeat
RETURN because, name, purchases, last_at, weight, related, weight * related AS contribution,
       weight * bought AS bought, weight * brand AS brand,
       weight * category AS category, weight * text AS text, weight * links AS links, weight * network AS network,
       weight * repeat AS repeat
ORDER BY contribution DESC, because
LIMIT $limit
