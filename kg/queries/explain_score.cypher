// Why this product for this user: one row a purchased product, whose contributions (and shares) add up to the score.
// $user, $product, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS because, j.name AS name, count(b) AS purchases, max(b.at) AS last_at
MATCH (:Product {id: because})-[r:RELATED {run: $run}]->(:Product {id: $product})
WITH because, name, purchases, last_at, r.weight AS related, r.bought AS bought, r.network AS network,
     (1.0 * purchases) ^ $exponent * 0.5 ^ (($now - 1.0 * last_at) / $half_life) AS weight
RETURN because, name, purchases, last_at, weight, related, weight * related AS contribution,
       weight * bought AS bought, weight * network AS network
ORDER BY contribution DESC, because
LIMIT $limit
