"""Takes parts of the graph away, so that a table shows what each is good for: one row each, always printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import polars as pl
from jaxtyping import Int

from gnn.model import Content
from kg.graph import Graph

ROUNDS = 20
"""How often each edge is offered another's target; after a few, as many edges are where they were as by chance."""


def without_links(graph: Graph) -> Graph:
    """Return the graph without the shop's own relations between products."""
    return replace(graph, links={})


def without_relations(graph: Graph) -> Graph:
    """Return the graph of users, products and purchases alone; products keep their texts."""
    none = {name: getattr(graph, name).clear() for name in ("has_brand", "in_category", "subcategory_of")}
    return replace(graph, **none, links={})


def without_text(graph: Graph) -> Graph:
    """Return the graph with products of no text."""
    return replace(graph, products=graph.products.with_columns(text=pl.lit(None, dtype=pl.String)))


def shuffled(graph: Graph, *, seed: int) -> Graph:
    """Return the graph with every relation's edges switched at random; purchases and texts stay.

    Every node keeps its number of edges of each relation, no two edges become the same (Maslov and Sneppen 2002), and
    categories are switched within their level. So whatever the graph still helps with, its meaning has no part in it.
    """
    rng = np.random.default_rng(seed)
    level = graph.categories["level"].to_numpy()
    return replace(
        graph,
        has_brand=_switched(graph.has_brand, rng=rng),
        in_category=_switched(graph.in_category, rng=rng, level=level),
        subcategory_of=_switched(graph.subcategory_of, rng=rng, level=level),
        # In one order, that of names, so that the same seed gives the same graph.
        links={name: _switched(edges, rng=rng, loops=False) for name, edges in sorted(graph.links.items())},
    )


def _no_text(content: Content) -> Content:
    return replace(content, graph=without_text(content.graph), text=np.zeros_like(content.text))


def _with_graph(content: Content, graph: Graph) -> Content:
    return replace(content, graph=graph)


ABLATIONS: Mapping[str, Callable[[Content, int], Content]] = {
    "no graph, no text": lambda content, _: _no_text(_with_graph(content, without_relations(content.graph))),
    "no graph, text": lambda content, _: _with_graph(content, without_relations(content.graph)),
    "shuffled graph, text": lambda content, seed: _with_graph(content, shuffled(content.graph, seed=seed)),
    "brand and category": lambda content, _: _no_text(_with_graph(content, without_links(content.graph))),
    "brand, category, text": lambda content, _: _with_graph(content, without_links(content.graph)),
    "whole graph": lambda content, _: content,
}
"""Row of the table → what makes a model's content into the row's, given a seed."""


def _switched(
    edges: pl.DataFrame,
    *,
    rng: np.random.Generator,
    level: Int[np.ndarray, " targets"] | None = None,
    loops: bool = True,
) -> pl.DataFrame:
    """Return the edges after many switches of two targets, of one ``level`` where given; no switch doubles an edge.

    Without ``loops`` no switch makes an edge from a node to itself.
    """
    if len(edges) < 2:
        return edges
    source, target = edges["source"].to_numpy(), edges["target"].to_numpy().copy()
    kind = np.zeros(len(edges), dtype=np.int64) if level is None else level[target]
    width = int(target.max()) + 1
    for _ in range(ROUNDS):
        order = rng.permutation(len(edges))
        order = order[np.argsort(kind[order], kind="stable")]
        one, two = order[0 : len(order) - 1 : 2], order[1::2]
        offered = np.concatenate([source[one] * width + target[two], source[two] * width + target[one]])
        _, number, times = np.unique(offered, return_inverse=True, return_counts=True)
        fine = (times[number] == 1) & ~np.isin(offered, source * width + target)
        if not loops:
            fine &= offered // width != offered % width
        accepted = fine[: len(one)] & fine[len(one) :] & (kind[one] == kind[two])
        one, two = one[accepted], two[accepted]
        target[one], target[two] = target[two], target[one]
    return edges.with_columns(target=pl.Series(target, dtype=edges["target"].dtype)).sort("source", "target")
