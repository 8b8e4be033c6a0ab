// The categories, of all levels, of each product this user bought.
// $user, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS product, count(b) AS purchases
MATCH (:Product {id: product})-[:IN_CATEGORY]->(c:Category)
RETURN product, c.id AS category, c.level AS level
ORDER BY product, category
LIMIT $limit
