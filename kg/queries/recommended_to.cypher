// To whom the last export of a run recommends this product, and in which place of her list.
// $product, $run; $limit rows.
MATCH (u:User)-[r:RECOMMENDED {run: $run}]->(:Product {id: $product})
RETURN u.id AS user, r.rank AS rank, r.score AS score
ORDER BY rank, user
LIMIT $limit
