// Some users of the graph, to choose one from.
// $limit rows.
MATCH (u:User)
RETURN u.id AS user
ORDER BY user
LIMIT $limit
