// Which of this user's products the buyers of this product bought too: explain_buyers.cypher in the form fast on Neo4j.
// $user, $product, $now (seconds, UTC); $limit rows. `people` counts them, this user left out.
MATCH (:User {id: $user})-[b:BOUGHT]->(j:Product)
WHERE b.at < $now AND j.id <> $product
WITH collect(DISTINCT j) AS mine
MATCH (:Product {id: $product})<-[o:BOUGHT]-(other:User)
WHERE o.at < $now AND other.id <> $user
WITH DISTINCT mine, other
MATCH (other)-[s:BOUGHT]->(j:Product)
WHERE s.at < $now AND j IN mine
WITH j.id AS because, j.name AS name, count(DISTINCT other) AS people
RETURN because, name, people
ORDER BY people DESC, because
LIMIT $limit
