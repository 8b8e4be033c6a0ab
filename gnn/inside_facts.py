"""Adds up what an explainer gave single messages: by relation, and by the fact of the graph that they pass along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int

from gnn.inside_messages import Masked, Method, Neighbourhood
from gnn.network import BOUGHT
from kg.graph import Graph

FACTS = 5
"""Facts that are named; the relations have the sums of all."""

REVERSED = "rev_"


@dataclass(frozen=True)
class RelationMass:
    """A relation, both ways."""

    relation: str
    edges: int
    """Messages of it, in both directions, that reach one of the two products."""

    mass: float
    """What the explainer gave them together."""


@dataclass(frozen=True)
class Fact:
    """Messages between two nodes, or between a product and all its buyers."""

    product: str
    """Id of the product."""

    name: str | None
    """Its name, where it has one."""

    relation: str
    other: str | None
    """Name of the brand or category, id of the other product; None for buyers, who are not named."""

    edges: int
    mass: float


@dataclass(frozen=True)
class Messages:
    """Which messages made a cosine."""

    explainer: Method
    cosine: float
    """cos(q_j, k_i)."""

    without: float
    """The same without any message."""

    kept: float | None
    """The same with each message weighed by its mask; None for ``ig``."""

    missing: float | None
    """What the masses of ``ig`` lack to cosine − without; None for ``gnn``, whose masses are no parts of it."""

    co_buyers: int
    """Users who bought both products."""

    co_buyers_mass: float
    """Of the messages from them to the two."""

    relations: tuple[RelationMass, ...]
    """The largest mass by absolute value first."""

    facts: tuple[Fact, ...]
    """The :data:`FACTS` of largest mass by absolute value."""


def messages_of(
    masked: Masked, around: Neighbourhood, *, graph: Graph, products: Int[np.ndarray, " products"], explainer: Method
) -> Messages:
    """Return what ``masked`` says in names; ``products`` are the positions in ``graph`` of the network's rows."""
    frames = [_facts_of(masked, around, edge_type) for edge_type in masked.mask]
    nothing = pl.DataFrame(schema={"relation": pl.String, "product": pl.Int64, "other": pl.Int64, "mass": pl.Float64})
    every = pl.concat([nothing, *frames])

    def summed(*by: str) -> pl.DataFrame:
        # Sorted: of an unsorted key polars sums parts of each group and adds them in any order (pola-rs/polars, 25163).
        sums = every.sort(*by, maintain_order=True).group_by(by).agg(edges=pl.len(), mass=pl.col("mass").sum())
        return sums.sort(pl.col("mass").abs(), *by, descending=[True, *(False for _ in by)], nulls_last=True)

    shared = _co_buyers(masked, around)
    return Messages(
        explainer=explainer,
        cosine=masked.cosine,
        without=masked.without,
        kept=masked.kept,
        missing=masked.missing if explainer == "ig" else None,
        co_buyers=shared[0],
        co_buyers_mass=shared[1],
        relations=tuple(RelationMass(*row) for row in summed("relation").iter_rows()),
        facts=tuple(
            _named(row, graph, products)
            for row in summed("relation", "product", "other").head(FACTS).iter_rows(named=True)
        ),
    )


def _facts_of(masked: Masked, around: Neighbourhood, edge_type: tuple[str, str, str]) -> pl.DataFrame:
    """Return each message's product, what it is joined to (null for a user), and its mass."""
    source, relation, target = edge_type
    ends = around.found(edge_type).numpy()
    turned = relation.startswith(REVERSED)
    of, to = (ends[1], ends[0]) if turned else (ends[0], ends[1])
    if BOUGHT[0] in (source, target):
        product, other = to, pl.Series([None], dtype=pl.Int64).new_from_index(0, len(to))
    else:
        product, other = of, pl.Series(to)
    return pl.DataFrame(
        {
            "relation": relation.removeprefix(REVERSED),
            "product": product,
            "other": other,
            "mass": masked.mask[edge_type].double().numpy(),
        },
    )


def _co_buyers(masked: Masked, around: Neighbourhood) -> tuple[int, float]:
    """Return how many users bought both products, and the mass of what they tell the two."""
    if BOUGHT not in masked.mask:
        return 0, 0.0
    user, product = around.edges[BOUGHT].numpy()
    source, target = around.ends
    both = np.intersect1d(user[product == source], user[product == target])
    told = np.isin(user, both) & np.isin(product, (source, target))
    return len(both), float(masked.mask[BOUGHT].numpy()[told].sum())


def _named(row: Mapping[str, object], graph: Graph, products: Int[np.ndarray, " products"]) -> Fact:
    relation, other = str(row["relation"]), row["other"]
    product = graph.products.row(int(products[int(str(row["product"]))]), named=True)
    if other is None:
        joined = None
    elif relation == "has_brand":
        joined = graph.brands["name"][int(str(other))]
    elif relation.startswith("in_category"):
        joined = graph.categories["name"][int(str(other))]
    else:
        joined = graph.products["id"][int(products[int(str(other))])]
    return Fact(product["id"], product["name"], relation, joined, int(str(row["edges"])), float(str(row["mass"])))
