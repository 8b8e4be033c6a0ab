// How many users bought this product before, and how often; no row where nobody did.
// $product, $now (seconds, UTC); $limit rows, at most one is there.
MATCH (u:User)-[b:BOUGHT]->(p:Product {id: $product})
WHERE b.at < $now
WITH p.id AS product, count(b) AS purchases, count(DISTINCT u.id) AS buyers
RETURN product, purchases, buyers
ORDER BY product
LIMIT $limit
