// Which of this user's products the buyers of this product bought too: bought by people who bought what she bought.
// $user, $product, $now (seconds, UTC); $limit rows. `people` counts them, this user left out.
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)<-[s:BOUGHT]-(other:User)-[o:BOUGHT]->(p:Product {id: $product})
WHERE b.at < $now AND s.at < $now AND o.at < $now AND other.id <> u.id AND j.id <> p.id
WITH j.id AS because, j.name AS name, count(DISTINCT other.id) AS people
RETURN because, name, people
ORDER BY people DESC, because
LIMIT $limit
