// What this user bought, product by product, most often first.
// $user, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS product, j.name AS name, count(b) AS purchases, min(b.at) AS first_at, max(b.at) AS last_at
RETURN product, name, purchases, first_at, last_at
ORDER BY purchases DESC, product
LIMIT $limit
