// Why this product for this user: explain_score.cypher in the form that is fast on Ladybug (4.8 ms against 6.6).
// $user, $product, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
// The HINT is also what makes it right, as in recommend.ladybug.cypher.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[r:RELATED {run: $run}]->(p:Product {id: $product})
WHERE b.at < $now
HINT ((u JOIN b) JOIN j) JOIN (r JOIN p)
WITH j.id AS because, j.name AS name, r.weight AS related, r.bought AS bought, r.network AS network,
     count(b) AS purchases, max(b.at) AS last_at
WITH because, name, related, bought, network, purchases, last_at,
     (1.0 * purchases) ^ $exponent * 0.5 ^ (($now - 1.0 * last_at) / $half_life) AS weight
RETURN because, name, purchases, last_at, weight, related, weight * related AS contribution,
       weight * bought AS bought, weight * network AS network
ORDER BY contribution DESC, because
LIMIT $limit
