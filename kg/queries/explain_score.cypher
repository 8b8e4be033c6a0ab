// Why this product for this user: one row a purchased product, whose contributions (and shares) add up to the score.
// $user, $product, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
// coalesce: Neo4j does not store a share of 0.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS because, j.name AS name, count(b) AS purchases, max(b.at) AS last_at,
     sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) ^ $exponent AS weight
MATCH (:Product {id: because})-[r:RELATED {run: $run}]->(:Product {id: $product})
WITH because, name, purchases, last_at, weight, r.weight AS related, coalesce(r.bought, 0.0) AS bought,
     coalesce(r.brand, 0.0) AS brand, coalesce(r.category, 0.0) AS category, coalesce(r.text, 0.0) AS text,
     coalesce(r.links, 0.0) AS links, coalesce(r.network, 0.0) AS network
RETURN because, name, purchases, last_at, weight, related, weight * related AS contribution,
       weight * bought AS bought, weight * brand AS brand,
       weight * category AS category, weight * text AS text, weight * links AS links, weight * network AS network
ORDER BY contribution DESC, because
LIMIT $limit
