// The brands this user buys most.
// $user, $now (seconds, UTC); $limit rows.
MATCH (u:User {id: $user})-[b:BOUGHT]->(p:Product)-[:HAS_BRAND]->(brand:Brand)
WHERE b.at < $now
WITH brand.name AS brand, count(b) AS purchases, count(DISTINCT p.id) AS products, max(b.at) AS last_at
RETURN brand, purchases, products, last_at
ORDER BY purchases DESC, brand
LIMIT $limit
