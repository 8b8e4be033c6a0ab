// The products a run ranks highest for a user, of those she has not bought unless $repeat: each score is the sum over her purchases of weight × RELATED.
// $user, $run; $now (seconds, UTC), $half_life (seconds), $exponent and $repeat are properties of the Run; $limit rows.
// Whether she has bought a product is asked after the sort, best first, until $limit are found: not of thousands.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now
WITH j, sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) ^ $exponent AS weight
MATCH (j)-[r:RELATED {run: $run}]->(p)
WITH p, sum(weight * r.weight) AS score
ORDER BY score DESC, p.id
WHERE $repeat OR NOT EXISTS { (:User {id: $user})-[s:BOUGHT]->(p) WHERE s.at < $now }
WITH p, score
LIMIT $limit
RETURN p.id AS product, p.name AS name, score
ORDER BY score DESC, product
LIMIT $limit
