// What this user bought of the product's brand before: same brand.
// $user, $product, $now (seconds, UTC); $limit rows.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[:HAS_BRAND]->(brand:Brand)<-[:HAS_BRAND]-(p:Product {id: $product})
WHERE b.at < $now AND j.id <> p.id
WITH brand.name AS brand, j.id AS because, j.name AS name, count(b) AS purchases, max(b.at) AS last_at
RETURN brand, because, name, purchases, last_at
ORDER BY purchases DESC, last_at DESC, because
LIMIT $limit
