// The products a run ranks highest for a user, of those she has not bought unless $repeat: recommend.cypher in the form that is fast on Ladybug.
// $user, $run; $now (seconds, UTC), $half_life (seconds), $exponent and $repeat are properties of the Run; $limit rows.
// The HINT is also what makes it right: without it Ladybug 0.22 loses rows of repeated purchases (docs/design.md).
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[r:RELATED]->(p:Product)
WHERE b.at < $now
HINT (((u JOIN b) JOIN j) JOIN r) JOIN p
WITH p, r, j, b
WHERE r.run = $run
WITH p, j, r.weight AS related, sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) AS recent
WITH p.id AS product, sum(recent ^ $exponent * related) AS score
OPTIONAL MATCH (:User {id: $user})-[s:BOUGHT]->(q:Product {id: product})
WHERE s.at < $now
WITH product, score, count(s) AS seen
WHERE seen = 0 OR $repeat
WITH product, score
ORDER BY score DESC, product
LIMIT $limit
MATCH (n:Product {id: product})
RETURN product, n.name AS name, score
ORDER BY score DESC, product
LIMIT $limit
