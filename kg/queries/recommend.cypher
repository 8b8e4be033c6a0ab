// The products a user has not bought that a run ranks highest: each score is the sum over her purchases of weight × RELATED.
// $user, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j, sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) ^ $exponent AS weight
MATCH (j)-[r:RELATED {run: $run}]->(p:Product)
WITH p.id AS product, sum(weight * r.weight) AS score
OPTIONAL MATCH (:User {id: $user})-[s:BOUGHT]->(:Product {id: product})
WHERE s.at < $now
WITH product, score, count(s) AS seen
WHERE seen = 0
WITH product, score
ORDER BY score DESC, product
LIMIT $limit
MATCH (p:Product {id: product})
RETURN product, p.name AS name, score
ORDER BY score DESC, product
LIMIT $limit
