"""The words of the graph: its labels, its relations and the properties each of them carries."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from loaders.errors import InputError

VERSION = 5
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
    "PREFERS": ("User", "Brand|Category"),
}
"""Relation → the labels it joins (``A|B``: either); every other relation is a shop's own link between two products."""

KIND = "kind"
"""Column that says which label a target has, in tables of a relation whose targets may have several."""

BOUGHT: dict[str, type[pl.DataType]] = {
    "at": pl.Int64,
    "quantity": pl.Float64,
    "spend": pl.Float64,
    "discount": pl.Float64,
    "coupon": pl.Float64,
    "fold": pl.String,
}
"""Properties of a purchase; ``at`` is in seconds since 1970 (UTC), 0 where nobody knows.

``discount`` and ``coupon`` are the money taken off, by the shop and by coupons: 0 where there was none, null where
nobody knows.
"""

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
    "PREFERS": {
        "run": pl.String,
        "weight": pl.Float64,
        "lift": pl.Float64,
        "purchases": pl.Int64,
        "last_at": pl.Int64,
    },
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


TEXTS = ("because", "brand", "category", "department", "id", "made_at", "name", "product", "run", "user")
COUNTS = ("buyers", "first_at", "last_at", "level", "people", "products", "purchases", "rank", "times")
NUMBERS = ("brand_share", "category_share", "contribution", "lift", "near", "related", "score", "weight")
LISTS = ("categories", "some_people")
"""Columns that the query files return, by the type of their values; shares are numbers."""


def with_types(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the answer of a query file with the types its columns have, also where it holds no value at all.

    A driver tells no types, so that without rows, or with nulls or empty lists alone, polars knows none.
    """
    shares = SHARES if "bought" in rows.columns else ()
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        **dict.fromkeys(TEXTS, pl.String),
        **dict.fromkeys(COUNTS, pl.Int64),
        **dict.fromkeys((*NUMBERS, *shares), pl.Float64),
        **dict.fromkeys(LISTS, pl.List(pl.String)),
    }
    untold = (pl.Null(), pl.List(pl.Null))
    empty = [name for name, kind in rows.schema.items() if kind in untold and name in types]
    return rows.with_columns(pl.col(name).cast(types[name]) for name in empty)


def endpoints(relation: str) -> tuple[str, str]:
    """Return the labels of the source and the target of ``relation``."""
    return ENDPOINTS.get(relation, ("Product", "Product"))


def targets(relation: str) -> tuple[str, ...]:
    """Return the labels that a target of ``relation`` may have."""
    return tuple(endpoints(relation)[1].split("|"))


def no_edges(relation: str) -> pl.DataFrame:
    """Return the table of a shop's edges of ``relation`` without any: ``source``, ``target`` and properties."""
    return pl.DataFrame(schema={"source": pl.String, "target": pl.String, **edge_properties(relation)})


def key_columns(relation: str) -> dict[str, type[pl.DataType]]:
    """Return the columns that name the ends of an edge: ``source``, ``target`` and, where labels differ, ``kind``."""
    ends: dict[str, type[pl.DataType]] = {"source": pl.String, "target": pl.String}
    return ends | ({KIND: pl.String} if len(targets(relation)) > 1 else {})


def of_kinds(relation: str, edges: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return label of the target → its edges without their ``kind``; raise where a ``kind`` is no such label.

    Two nodes of different labels may have one id, so the id alone does not say which is meant.
    """
    labels = targets(relation)
    if len(labels) == 1:
        return {labels[0]: edges}
    unknown = edges.filter(~pl.col(KIND).is_in(labels).fill_null(value=False))
    if len(unknown):
        raise InputError(
            f"{len(unknown)} of {len(edges)} {relation} edges have a kind that is none of {', '.join(labels)}, first "
            f"{unknown[KIND][0]!r}; give one of these"
        )
    return {label: edges.filter(pl.col(KIND) == label).drop(KIND) for label in labels}


def with_kinds(relation: str, parts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the edges of :func:`of_kinds` in one table again."""
    keys = key_columns(relation)
    if KIND not in keys:
        return parts[targets(relation)[0]]
    labelled = [part.with_columns(pl.lit(label).alias(KIND)) for label, part in parts.items()]
    return pl.concat([part.select(*keys, pl.exclude(*keys)) for part in labelled])


def edge_properties(relation: str) -> dict[str, type[pl.DataType]]:
    """Return the properties of ``relation`` and their types."""
    if relation == "BOUGHT":
        return BOUGHT
    return RESULTS.get(relation, {})
