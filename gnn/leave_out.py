"""Leaves links between products out of a graph, so that nothing is learned from them."""

from __future__ import annotations

from dataclasses import replace

from kg.graph import Graph
from loaders.errors import InputError


def without_links(graph: Graph, names: tuple[str, ...]) -> Graph:
    """Return the graph without these links between products; raise if it has no such link."""
    for name in names:
        if name not in graph.links:
            known = ", ".join(graph.links) or "none"
            raise InputError(f"the shop has no links {name!r} to leave out; it has {known}")
    return replace(graph, links={name: edges for name, edges in graph.links.items() if name not in names})
