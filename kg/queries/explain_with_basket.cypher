// Why this product for a visitor with a basket: one row a product in it, whose contributions (and shares) add up to the score.
// $basket (ids of products, one as often as it is bought), $product, $run; $exponent is a property of the Run; $limit rows.
MATCH (p:Product {id: $product})
UNWIND $basket AS id
WITH p, id, count(*) AS times
MATCH (j:Product {id: id})-[r:RELATED {run: $run}]->(p)
WITH j.id AS because, j.name AS name, times, (1.0 * times) ^ $exponent AS weight, r.weight AS related,
     coalesce(r.bought, 0.0) AS bought, coalesce(r.brand, 0.0) AS brand, coalesce(r.category, 0.0) AS category,
     coalesce(r.text, 0.0) AS text, coalesce(r.links, 0.0) AS links, coalesce(r.network, 0.0) AS network,
     coalesce(r.repeat, 0.0) AS repeat
RETURN because, name, times, weight, related, weight * related AS contribution, weight * bought AS bought,
       weight * brand AS brand, weight * category AS category, weight * text AS text, weight * links AS links,
       weight * network AS network, weight * repeat AS repeat
ORDER BY contribution DESC, because
LIMIT $limit
