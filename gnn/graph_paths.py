"""Counts the steps between products in the graph of brands, categories and buyers, which knows no score."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse import csgraph

from kg.graph import Graph


def product_graph(graph: Graph, *, products: Int[np.ndarray, " products"], now: int) -> sparse.csr_array:
    """Return which of ``products`` (rows, sorted positions) have which buyer before ``now``, brand or category."""
    known = graph.bought.filter(pl.col("at") < now)
    parts = [
        incidence(known["product"], known["user"], products=products, width=len(graph.users)),
        incidence(graph.has_brand["source"], graph.has_brand["target"], products=products, width=len(graph.brands)),
        incidence(
            graph.in_category["source"], graph.in_category["target"], products=products, width=len(graph.categories)
        ),
    ]
    return sparse.hstack(parts, format="csr")


def steps_between(
    joined: sparse.csr_array, targets: Int[np.ndarray, " targets"]
) -> Float[np.ndarray, "targets products"]:
    """Return the length of the shortest path from each target to every product, inf where there is none.

    Two products that share a brand, a category or a buyer are two steps apart.
    """
    num_products = joined.shape[0]
    whole = sparse.block_array([[None, joined], [joined.T, None]], format="csr")
    steps = np.full((len(targets), num_products), np.inf)
    for row, target in enumerate(targets):
        # Both directions are there already; for an undirected graph it would be turned around for each target.
        reached, before = csgraph.breadth_first_order(whole, int(target), directed=True, return_predecessors=True)
        at, depth = reached.copy(), np.zeros(len(reached))
        # Every node walks back along the tree of the search until it is at the target.
        while (moving := at != target).any():
            depth[moving] += 1
            at[moving] = before[at[moving]]
        own = reached < num_products
        steps[row, reached[own]] = depth[own]
    return steps


def incidence(
    source: pl.Series, target: pl.Series, *, products: Int[np.ndarray, " products"], width: int
) -> sparse.csr_array:
    """Return 1 where one of ``products`` (rows, sorted positions) is joined to a node (column), by edges' positions."""
    pairs = pl.DataFrame({"source": source, "target": target}).unique().filter(pl.col("source").is_in(products))
    rows = np.searchsorted(products, pairs["source"].to_numpy())
    return sparse.csr_array((np.ones(len(pairs)), (rows, pairs["target"].to_numpy())), shape=(len(products), width))
