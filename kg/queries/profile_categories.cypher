// The categories of one level (1 is the department) this user buys most.
// $user, $level, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS product, count(b) AS purchases_of_it, max(b.at) AS last_of_it
MATCH (:Product {id: product})-[:IN_CATEGORY]->(c:Category {level: $level})
WITH c.id AS category, sum(purchases_of_it) AS purchases, count(DISTINCT product) AS products,
     max(last_of_it) AS last_at
RETURN category, purchases, products, last_at
ORDER BY purchases DESC, category
LIMIT $limit
