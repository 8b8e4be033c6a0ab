// What each of these users bought before, and the weight that a run gives it: one row a user and product.
// $users (a list of ids), $now (seconds, UTC), $half_life (seconds), $exponent; $limit rows.
MATCH (u:User)-[b:BOUGHT]->(j:Product)
WHERE u.id IN $users AND b.at < $now
WITH u.id AS user, j.id AS because, count(b) AS purchases, max(b.at) AS last_at,
     sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) AS recent
RETURN user, because, purchases, last_at, recent ^ $exponent AS weight
ORDER BY user, because
LIMIT $limit
