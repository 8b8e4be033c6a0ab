// Why this product for a visitor with a basket: explain_with_basket.cypher in the form that is fast on Ladybug.
// $basket (ids of products, one as often as it is bought), $product, $run; $exponent is a property of the Run; $limit rows.
MATCH (j:Product)-[r:RELATED {run: $run}]->(p:Product {id: $product})
WHERE j.id IN $basket
HINT j JOIN (r JOIN p)
WITH j.id AS because, j.name AS name, r, size(list_filter($basket, id -> id = j.id)) AS times
WITH because, name, r, times, (1.0 * times) ^ $exponent AS weight
RETURN because, name, times, weight, r.weight AS related, weight * r.weight AS contribution,
       weight * r.bought AS bought, weight * r.brand AS brand, weight * r.category AS category, weight * r.text AS text,
       weight * r.links AS links, weight * r.network AS network, weight * r.repeat AS repeat
ORDER BY contribution DESC, because
LIMIT $limit
