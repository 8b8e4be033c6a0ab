// The products that most people bought, of those that a run may recommend and this user has not bought unless $repeat: for whom nothing better is known.
// $user, $run, $repeat; $now (seconds, UTC); $limit rows.
MATCH (p:Product)<-[b:BOUGHT]-(u:User)
WHERE b.at < $now
WITH p, count(DISTINCT u.id) AS buyers
WHERE EXISTS { MATCH (:Product)-[:RELATED {run: $run}]->(p) }
  AND ($repeat OR NOT EXISTS { MATCH (:User {id: $user})-[s:BOUGHT]->(p) WHERE s.at < $now })
RETURN p.id AS product, p.name AS name, buyers
ORDER BY buyers DESC, product
LIMIT $limit
