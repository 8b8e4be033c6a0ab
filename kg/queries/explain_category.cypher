// What this user bought of the product's own categories below the department before: same category.
// $user, $product, $now (seconds, UTC); $limit rows. A product in two of its categories is named once for each.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now AND j.id <> $product
WITH j.id AS because, j.name AS name, count(b) AS purchases, max(b.at) AS last_at
MATCH (:Product {id: because})-[:IN_CATEGORY]->(c:Category)<-[:IN_CATEGORY]-(:Product {id: $product})
WHERE c.level > 1
RETURN c.id AS category, c.level AS level, because, name, purchases, last_at
ORDER BY level DESC, purchases DESC, last_at DESC, because, category
LIMIT $limit
