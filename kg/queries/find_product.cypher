// Whether the graph has this product, and its name.
// $product; $limit rows, at most one is there.
MATCH (p:Product {id: $product})
RETURN p.id AS product, p.name AS name
ORDER BY product
LIMIT $limit
