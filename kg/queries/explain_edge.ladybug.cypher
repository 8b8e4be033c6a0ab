// What the graph knows of one row of an explanation: explain_edge.cypher in a text that Ladybug takes.
// $because, $product, $run; $now (seconds, UTC); $sample ids of people at most; $limit rows, at most one is there.
// The HINT is also what makes it right, as in explain_buyers.ladybug.cypher.
MATCH (:Product {id: $because})-[r:RELATED {run: $run}]->(:Product {id: $product})
OPTIONAL MATCH (:Product {id: $because})-[:HAS_BRAND]->(h:Brand)<-[:HAS_BRAND]-(:Product {id: $product})
WITH r, min(h.name) AS brand
OPTIONAL MATCH (:Product {id: $because})-[:IN_CATEGORY]->(c:Category)<-[:IN_CATEGORY]-(:Product {id: $product})
WITH r, brand, list_sort(collect(DISTINCT c.id)) AS categories
OPTIONAL MATCH (j:Product {id: $because})<-[b:BOUGHT]-(u:User)-[o:BOUGHT]->(p:Product {id: $product})
WHERE b.at < $now AND o.at < $now
HINT (j JOIN b) JOIN (u JOIN (o JOIN p))
WITH r, brand, categories, list_sort(collect(DISTINCT u.id)) AS people
RETURN brand, categories, size(people) AS people, people[1:$sample] AS some_people, r.weight AS weight,
       r.bought AS bought, r.brand AS brand_share, r.category AS category_share, r.text AS text, r.links AS links,
       r.network AS network, r.repeat AS repeat, r.near AS near
ORDER BY weight DESC
LIMIT $limit
