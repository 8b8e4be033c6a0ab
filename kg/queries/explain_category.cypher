// What this user bought of the product's own categories below the department before: same category.
// $user, $product, $now (seconds, UTC); $limit rows. A product in two of its categories is named once for each.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[:IN_CATEGORY]->(c:Category)<-[:IN_CATEGORY]-(p:Product {id: $product})
WHERE b.at < $now AND j.id <> p.id AND c.level > 1
WITH c.id AS category, c.level AS level, j.id AS because, j.name AS name, count(b) AS purchases, max(b.at) AS last_at
RETURN category, level, because, name, purchases, last_at
ORDER BY level DESC, purchases DESC, last_at DESC, because, category
LIMIT $limit
