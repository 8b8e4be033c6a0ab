// The brand of each product this user bought.
// $user, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS product, count(b) AS purchases
MATCH (:Product {id: product})-[:HAS_BRAND]->(x:Brand)
RETURN product, x.id AS brand
ORDER BY product, brand
LIMIT $limit
