// Whether the graph has this user.
// $user; $limit rows, at most one is there.
MATCH (u:User {id: $user})
RETURN u.id AS user
ORDER BY user
LIMIT $limit
