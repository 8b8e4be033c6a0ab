// The products that most of these users bought, of those that a run may recommend and $user has not bought unless $repeat.
// $users (a list of ids), $user, $run, $repeat; $now (seconds, UTC); $limit rows.
MATCH (u:User)-[b:BOUGHT]->(p:Product)
WHERE u.id IN $users AND b.at < $now
WITH p, count(DISTINCT u.id) AS buyers
WHERE EXISTS { MATCH (:Product)-[:RELATED {run: $run}]->(p) }
  AND ($repeat OR NOT EXISTS { MATCH (:User {id: $user})-[s:BOUGHT]->(p) WHERE s.at < $now })
RETURN p.id AS product, p.name AS name, buyers
ORDER BY buyers DESC, product
LIMIT $limit
