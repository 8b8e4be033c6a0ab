// Some products of the graph, to choose one from.
// $limit rows.
MATCH (p:Product)
RETURN p.id AS product, p.name AS name
ORDER BY product
LIMIT $limit
