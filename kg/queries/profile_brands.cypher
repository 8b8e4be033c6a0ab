// The brands this user buys most.
// $user, $now (seconds, UTC); $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j.id AS product, count(b) AS purchases_of_it, max(b.at) AS last_of_it
MATCH (:Product {id: product})-[:HAS_BRAND]->(brand:Brand)
WITH brand.name AS brand, sum(purchases_of_it) AS purchases, count(DISTINCT product) AS products,
     max(last_of_it) AS last_at
RETURN brand, purchases, products, last_at
ORDER BY purchases DESC, brand
LIMIT $limit
