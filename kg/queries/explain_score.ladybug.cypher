// Why this product for this user: explain_score.cypher in the form that is right and fast on Ladybug.
// $user, $product, $run; $now (seconds, UTC), $half_life (seconds) and $exponent are the properties of the Run; $limit rows.
// The HINT is also what makes it right, as in recommend.ladybug.cypher.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)-[r:RELATED {run: $run}]->(p:Product {id: $product})
WHERE b.at < $now
HINT ((u JOIN b) JOIN j) JOIN (r JOIN p)
WITH j.id AS because, j.name AS name, r.weight AS related, r.bought AS bought, r.brand AS brand,
     r.category AS category, r.text AS text, r.links AS links, r.network AS network, r.repeat AS repeat,
     count(b) AS purchases, max(b.at) AS last_at, sum(0.5 ^ (($now - 1.0 * b.at) / $half_life)) AS recent
WITH because, name, related, bought, brand, category, text, links, network, repeat, purchases, last_at,
     recent ^ $exponent AS weight
RETURN because, name, purchases, last_at, weight, related, weight * related AS contribution,
       weight * bought AS bought, weight * brand AS brand,
       weight * category AS category, weight * text AS text, weight * links AS links, weight * network AS network,
       weight * repeat AS repeat
ORDER BY contribution DESC, because
LIMIT $limit
