// Which of this user's products the buyers of this product bought too: explain_buyers.cypher in the form fast on Ladybug.
// $user, $product, $now (seconds, UTC); $limit rows. `people` counts them, this user left out.
// The HINT is also what makes it right: without it 12 of 400 pairs of the synthetic shop lose people (docs/design.md).
MATCH (u:User {id: $user})-[b:BOUGHT]->(j:Product)<-[s:BOUGHT]-(other:User)-[o:BOUGHT]->(p:Product {id: $product})
WHERE b.at < $now AND s.at < $now AND o.at < $now AND other.id <> $user AND j.id <> $product
HINT (((u JOIN b) JOIN j) JOIN s) JOIN (other JOIN (o JOIN p))
WITH DISTINCT j, other.id AS buyer
WITH j.id AS because, j.name AS name, count(buyer) AS people
RETURN because, name, people
ORDER BY people DESC, because
LIMIT $limit
