// Which products a purchase of which speaks for or against this product, by a run: weight and shares of each edge.
// $product, $run; $limit rows.
// coalesce: Neo4j does not store a share of 0.
MATCH (j:Product)-[r:RELATED {run: $run}]->(:Product {id: $product})
RETURN j.id AS because, j.name AS name, r.weight AS related, coalesce(r.bought, 0.0) AS bought,
       coalesce(r.brand, 0.0) AS brand, coalesce(r.category, 0.0) AS category, coalesce(r.text, 0.0) AS text,
       coalesce(r.links, 0.0) AS links, coalesce(r.network, 0.0) AS network,
       coalesce(r.repeat, 0.0) AS repeat
ORDER BY related DESC, because
LIMIT $limit
