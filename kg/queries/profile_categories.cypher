// The categories of one level (1 is the department) this user buys most.
// $user, $level, $now (seconds, UTC); $limit rows.
MATCH (u:User {id: $user})-[b:BOUGHT]->(p:Product)-[:IN_CATEGORY]->(c:Category {level: $level})
WHERE b.at < $now
WITH c.id AS category, count(b) AS purchases, count(DISTINCT p.id) AS products, max(b.at) AS last_at
RETURN category, purchases, products, last_at
ORDER BY purchases DESC, category
LIMIT $limit
