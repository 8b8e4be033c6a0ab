// The products that most people bought, of those that a run may recommend: for whom nothing better is known.
// $run; $now (seconds, UTC); $limit rows.
MATCH (p:Product)<-[b:BOUGHT]-(u:User)
WHERE b.at < $now
WITH p, count(DISTINCT u.id) AS buyers
WHERE EXISTS { MATCH (:Product)-[:RELATED {run: $run}]->(p) }
RETURN p.id AS product, p.name AS name, buyers
ORDER BY buyers DESC, product
LIMIT $limit
