// How much this user bought in the product's department before: same department (a category of level 1).
// $user, $product, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now AND j.id <> $product
WITH j.id AS because, count(b) AS purchases_of_it, max(b.at) AS last_of_it
MATCH (:Product {id: because})-[:IN_CATEGORY]->(c:Category {level: 1})<-[:IN_CATEGORY]-(:Product {id: $product})
WITH c.id AS department, sum(purchases_of_it) AS purchases, count(DISTINCT because) AS products,
     max(last_of_it) AS last_at
RETURN department, purchases, products, last_at
ORDER BY purchases DESC, department
LIMIT $limit
