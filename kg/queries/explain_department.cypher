// How much this user bought in the product's department before: same department (a category of level 1).
// $user, $product, $now (seconds, UTC); $limit rows.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[:IN_CATEGORY]->(c:Category {level: 1})<-[:IN_CATEGORY]-(p:Product {id: $product})
WHERE b.at < $now AND j.id <> p.id
WITH c.id AS department, count(b) AS purchases, count(DISTINCT j.id) AS products, max(b.at) AS last_at
RETURN department, purchases, products, last_at
ORDER BY purchases DESC, department
LIMIT $limit
