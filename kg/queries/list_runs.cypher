// The runs that wrote results to the graph, the one made last first.
// $limit rows.
MATCH (r:Run)
RETURN r.id AS run, r.made_at AS made_at
ORDER BY made_at DESC, run DESC
LIMIT $limit
