// The brands (without a level) and categories that a run says this user prefers, largest share first.
// $user, $run; $limit rows.
MATCH (:User {id: $user})-[r:PREFERS {run: $run}]->(x)
RETURN x.id AS id, x.level AS level, r.weight AS weight, r.lift AS lift, r.purchases AS purchases, r.last_at AS last_at
ORDER BY weight DESC, lift DESC, id
LIMIT $limit
