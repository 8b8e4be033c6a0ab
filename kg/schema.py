"""The words of the graph: its labels, its relations and the properties each of them carries."""

from __future__ import annotations

import polars as pl

VERSION = 4
"""Goes up when a graph that was loaded before can no longer be read; a store then asks to be loaded again."""

NODES: dict[str, dict[str, type[pl.DataType]]] = {
    "User": {"id": pl.String},
    "Product": {"id": pl.String, "name": pl.String, "text": pl.String, "price": pl.Float64},
    "Brand": {"id": pl.String, "name": pl.String},
    "Category": {"id": pl.String, "name": pl.String, "level": pl.Int64},
}
"""Label → its own properties; users and products may carry further ones of their shop."""

ENDPOINTS: dict[str, tuple[str, str]] = {
    "BOUGHT": ("User", "Product"),
    "HAS_BRAND": ("Product", "Brand"),
    "IN_CATEGORY": ("Product", "Category"),
    "SUBCATEGORY_OF": ("Category", "Category"),
    "RELATED": ("Product", "Product"),
    "RECOMMENDED": ("User", "Product"),
}
"""Relation → the labels it joins; every other relation is a shop's own link between two products."""

BOUGHT: dict[str, type[pl.DataType]] = {
    "at": pl.Int64,
    "quantity": pl.Float64,
    "spend": pl.Float64,
    "fold": pl.String,
}
"""Properties of a purchase; ``at`` is in seconds since 1970 (UTC), 0 where nobody knows."""

SHARES = ("bought", "brand", "category", "text", "links", "network", "repeat")
"""The parts that a ``RELATED`` weight is the sum of, each a property of the edge."""

OFTEN_ZERO = (*SHARES, "near")
"""Properties of ``RELATED`` that a store may leave out where they are 0."""

REASON: dict[str, type[pl.DataType]] = {
    "reason_kind": pl.String,
    "reason_via": pl.String,
    "reason_share": pl.Float64,
}
"""Properties of a ranked edge that say why; null where none of her purchases speaks for it.

The best purchase is the one that adds the most to the score, of equal ones the one whose id comes first: ``reason_via``
is its product, ``reason_share`` what it adds over the score (null where the score is not above 0), ``reason_kind`` the
largest of :data:`SHARES` of its ``RELATED`` edge.
"""

RESULTS: dict[str, dict[str, type[pl.DataType]]] = {
    "RELATED": {"run": pl.String, "weight": pl.Float64, **dict.fromkeys(OFTEN_ZERO, pl.Float64)},
    "RECOMMENDED": {"run": pl.String, "rank": pl.Int64, "score": pl.Float64, **REASON},
}
"""Relations that a run writes back, and their properties; ``near`` is the cosine of the two products' text vectors."""

RUN: dict[str, type[pl.DataType]] = {
    "id": pl.String,
    "made_at": pl.String,
    "now": pl.Int64,
    "half_life": pl.Float64,
    "exponent": pl.Float64,
    "learned_before": pl.Int64,
    "repeat": pl.Boolean,
}
"""Properties of a ``Run``, the node that says how to weigh a purchase so that Cypher finds the run's own scores."""


def endpoints(relation: str) -> tuple[str, str]:
    """Return the labels of the source and the target of ``relation``."""
    return ENDPOINTS.get(relation, ("Product", "Product"))


def edge_properties(relation: str) -> dict[str, type[pl.DataType]]:
    """Return the properties of ``relation`` and their types."""
    if relation == "BOUGHT":
        return BOUGHT
    return RESULTS.get(relation, {})
