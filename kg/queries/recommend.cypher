// The products a user has not bought that a run ranks highest: each score is the sum over her purchases of weight × RELATED.
// $user, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[r:RELATED {run: $run}]->(p:Product)
WHERE b.at < $now
WITH p, j, r.weight AS related, count(b) AS purchases, max(b.at) AS last_at
WITH p, sum((1.0 * purchases) ^ $exponent * 0.5 ^ (($now - 1.0 * last_at) / $half_life) * related) AS score
OPTIONAL MATCH (p)<-[s:BOUGHT]-(:User {id: $user})
WHERE s.at < $now
WITH p, score, count(s) AS seen
WHERE seen = 0
RETURN p.id AS product, p.name AS name, score
ORDER BY score DESC, product
LIMIT $limit
