// Which of these users bought anything before.
// $users (a list of ids); $now (seconds, UTC); $limit rows.
MATCH (u:User)-[b:BOUGHT]->(:Product)
WHERE u.id IN $users AND b.at < $now
RETURN DISTINCT u.id AS user
ORDER BY user
LIMIT $limit
