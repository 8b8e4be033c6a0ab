// What the last export of a run recommends to this user, best first.
// $user, $run; $limit rows.
MATCH (:User {id: $user})-[r:RECOMMENDED {run: $run}]->(p:Product)
RETURN p.id AS product, p.name AS name, r.rank AS rank, r.score AS score
ORDER BY rank, product
LIMIT $limit
