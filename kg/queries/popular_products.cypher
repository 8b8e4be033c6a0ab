// The products that the most users bought before.
// $now (seconds, UTC); $limit rows.
MATCH (u:User)-[b:BOUGHT]->(p:Product)
WHERE b.at < $now
WITH p.id AS product, p.name AS name, count(DISTINCT u.id) AS buyers
RETURN product, name, buyers
ORDER BY buyers DESC, product
LIMIT $limit
