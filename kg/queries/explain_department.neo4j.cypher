// How much this user bought in the product's department before: explain_department.cypher in the form fast on Neo4j.
// $user, $product, $now (seconds, UTC); $limit rows.
MATCH (:Product {id: $product})-[:IN_CATEGORY]->(c:Category {level: 1})
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now AND j.id <> $product AND EXISTS { (j)-[:IN_CATEGORY]->(c) }
WITH c.id AS department, count(b) AS purchases, count(DISTINCT j.id) AS products, max(b.at) AS last_at
RETURN department, purchases, products, last_at
ORDER BY purchases DESC, department
LIMIT $limit
