// What this user bought of the product's brand before: same brand.
// $user, $product, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now AND j.id <> $product
WITH j.id AS because, j.name AS name, count(b) AS purchases, max(b.at) AS last_at
MATCH (:Product {id: because})-[:HAS_BRAND]->(brand:Brand)<-[:HAS_BRAND]-(:Product {id: $product})
RETURN brand.name AS brand, because, name, purchases, last_at
ORDER BY purchases DESC, last_at DESC, because
LIMIT $limit
