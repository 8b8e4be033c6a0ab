// How much this user bought, and when first and last; no row where she bought nothing.
// $user, $now (seconds, UTC); $limit rows, at most one is there.
MATCH (u:User {id: $user})-[b:BOUGHT]->(p:Product)
WHERE b.at < $now
WITH u.id AS user, count(b) AS purchases, count(DISTINCT p.id) AS products, min(b.at) AS first_at, max(b.at) AS last_at
RETURN user, purchases, products, first_at, last_at
ORDER BY user
LIMIT $limit
