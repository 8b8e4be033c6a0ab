// What the graph knows of one row of an explanation: why these two products are related.
// $because, $product, $run; $now (seconds, UTC); $sample ids of people at most; $limit rows, at most one is there.
// No row where the run has no such edge. Two steps for the people: of a product that leads to itself, one purchase is both.
MATCH (j:Product {id: $because})-[r:RELATED {run: $run}]->(p:Product {id: $product})
OPTIONAL MATCH (j)-[:HAS_BRAND]->(h:Brand)
WHERE EXISTS { (p)-[:HAS_BRAND]->(h) }
WITH j, p, r, min(h.name) AS brand
OPTIONAL MATCH (j)-[:IN_CATEGORY]->(c:Category)
WHERE EXISTS { (p)-[:IN_CATEGORY]->(c) }
WITH j, p, r, brand, c.id AS category
ORDER BY category
WITH j, p, r, brand, collect(category) AS categories
OPTIONAL MATCH (j)<-[b:BOUGHT]-(buyer:User)
WHERE b.at < $now
WITH p, r, brand, categories, collect(DISTINCT buyer) AS buyers
OPTIONAL MATCH (p)<-[o:BOUGHT]-(u:User)
WHERE o.at < $now AND u IN buyers
WITH DISTINCT r, brand, categories, u.id AS person
ORDER BY person
WITH r, brand, categories, collect(person) AS people
RETURN brand, categories, size(people) AS people, people[..$sample] AS some_people, r.weight AS weight,
       coalesce(r.bought, 0.0) AS bought, coalesce(r.brand, 0.0) AS brand_share,
       coalesce(r.category, 0.0) AS category_share, coalesce(r.text, 0.0) AS text, coalesce(r.links, 0.0) AS links,
       coalesce(r.network, 0.0) AS network, coalesce(r.repeat, 0.0) AS repeat, coalesce(r.near, 0.0) AS near
ORDER BY weight DESC
LIMIT $limit
