// The products a run ranks highest for a visitor with a basket, of those not in it unless $repeat: recommend_with_basket.cypher in the form fast on Ladybug.
// $basket (ids of products, one as often as it is bought), $run; $exponent and $repeat are properties of the Run; $limit rows.
// An UNWIND is joined by a scan of all RELATED: 130 ms where this takes 10, with 500,000 edges.
MATCH (j:Product)-[r:RELATED {run: $run}]->(p:Product)
WHERE j.id IN $basket
HINT (j JOIN r) JOIN p
WITH p, r.weight AS related, size(list_filter($basket, id -> id = j.id)) AS times
WITH p, sum((1.0 * times) ^ $exponent * related) AS score
WHERE $repeat OR NOT p.id IN $basket
RETURN p.id AS product, p.name AS name, score
ORDER BY score DESC, product
LIMIT $limit
