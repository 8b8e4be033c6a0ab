// The products a run ranks highest for a visitor with a basket, of those not in it unless $repeat: recommend.cypher for purchases made now.
// $basket (ids of products, one as often as it is bought), $run; $exponent and $repeat are properties of the Run; $limit rows.
UNWIND $basket AS id
WITH id, count(*) AS times
MATCH (:Product {id: id})-[r:RELATED {run: $run}]->(p:Product)
WITH p, sum((1.0 * times) ^ $exponent * r.weight) AS score
WHERE $repeat OR NOT p.id IN $basket
RETURN p.id AS product, p.name AS name, score
ORDER BY score DESC, product
LIMIT $limit
