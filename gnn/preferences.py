"""Finds what each user prefers: the brands and categories she buys more of than others do, as far as is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from jaxtyping import Bool

from gnn.config import ProfileConfig
from gnn.history import SECONDS_PER_DAY, by_pair
from kg.blocklist import sensitive
from kg.graph import Graph

MORE = 1 + 1e-9
"""A lift above this is a preference; one that differs from 1 by rounding is none."""

BRAND, CATEGORY = "Brand", "Category"

USERS_AT_ONCE = 50_000
"""Whose brands and categories are looked at together."""


@dataclass(frozen=True)
class Allowed:
    """What profiles may speak of: all that is not sensitive."""

    products: Bool[np.ndarray, " products"]
    """False for a product that is in a sensitive category or of a sensitive brand: its purchases count nowhere."""

    groups: pl.DataFrame
    """``kind`` (Brand or Category), ``level`` (0 for brands), ``target`` (position), ``product`` (position)."""


def allowed(graph: Graph, config: ProfileConfig) -> Allowed:
    """Return the products, brands and categories of ``graph`` that profiles may speak of."""
    groups = pl.concat(
        [
            _members(graph.has_brand, graph.brands, kind=BRAND, config=config),
            _members(graph.in_category, graph.categories, kind=CATEGORY, config=config),
        ]
    )
    blocked = groups.filter(pl.col("sensitive"))["product"].unique()
    products = ~sensitive(graph.products["name"].fill_null(""), words=config.blocked).to_numpy()
    products[blocked.to_numpy()] = False
    may = pl.Series(np.flatnonzero(products))
    return Allowed(products=products, groups=groups.filter(pl.col("product").is_in(may.implode())).drop("sensitive"))


def counted(bought: pl.DataFrame, may: Allowed, *, now: int, half_life_days: float) -> pl.DataFrame:
    """Return ``user, product, recent, purchases, last_at``: purchases before ``now`` of what profiles may speak of.

    ``recent`` is the sum of 0.5 ^ (age / half-life) over the purchases; where no times are known, all are of one age.
    """
    age = (now - pl.col("at")) / (half_life_days * SECONDS_PER_DAY)
    products = pl.Series(np.flatnonzero(may.products))
    return by_pair(
        bought.filter(pl.col("at") < now, pl.col("product").is_in(products.implode())),
        (0.5**age).sum().alias("recent"),
        pl.len().cast(pl.Int64).alias("purchases"),
        pl.col("at").max().alias("last_at"),
    )


def population(purchases: pl.DataFrame, may: Allowed) -> pl.DataFrame:
    """Return how the purchases of all users fall on brands, and on the categories of each level.

    Columns ``kind, level, target`` and ``population``, p(b) of :func:`shares`.
    """
    # Sorted: of an unsorted key polars sums parts of each group and adds them in any order (pola-rs/polars, 25163).
    in_order = purchases.select("product", "recent").sort("product", maintain_order=True)
    of_product = in_order.group_by("product", maintain_order=True).agg(pl.col("recent").sum())
    return (
        may.groups.join(of_product, on="product", maintain_order="left")
        .group_by("kind", "level", "target", maintain_order=True)
        .agg(pl.col("recent").sum())
        .with_columns((pl.col("recent") / pl.col("recent").sum().over("kind", "level")).alias("population"))
        .drop("recent")
    )


def shares(
    purchases: pl.DataFrame, may: Allowed, *, shrinkage: float, among: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return how each user's purchases fall on brands, and on the categories of each level.

    ``purchases`` are from :func:`counted`; where they are of some users only, ``among`` is the :func:`population` of
    all. With w(u, b) the recent purchases of b by u, W(u) their sum over all b of one kind and level, p(b) the share
    of b in the sum over all users, and s the ``shrinkage``,

        weight(u, b) = (w(u, b) + s · p(b)) / (W(u) + s)        lift(u, b) = weight(u, b) / p(b)

    which is the mean of the posterior of u's shares with a Dirichlet prior of s purchases spread as the population's
    are (Zhai and Lafferty 2004, for the words of documents). So one purchase of a rare brand moves the weight by
    1 / (W(u) + s) and no more. A product in two categories of a level counts in both.

    Columns ``user, kind, level, target, recent, weight, population, lift, purchases, last_at``, only of what she
    bought, sorted by the first four.
    """
    key = ["user", "kind", "level", "target"]
    own = (
        purchases.join(may.groups, on="product", maintain_order="left_right")
        .group_by(key, maintain_order=True)
        .agg(pl.col("recent").sum(), pl.col("purchases").sum(), pl.col("last_at").max())
        # So old that nothing is left of it: neither is its share of the population.
        .filter(pl.col("recent") > 0)
        .sort(key)
    )
    among = population(purchases, may) if among is None else among
    weight = (pl.col("recent") + shrinkage * pl.col("population")) / (
        pl.col("recent").sum().over("user", "kind", "level") + shrinkage
    )
    return (
        own.join(among, on=["kind", "level", "target"], how="left", maintain_order="left")
        .with_columns(weight.alias("weight"))
        .with_columns((pl.col("weight") / pl.col("population")).alias("lift"))
        .select(*key, "recent", "weight", "population", "lift", "purchases", "last_at")
    )


def preferences(found: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """Return the rows of :func:`shares` with a lift above 1, of each user and kind the ``most`` that tell most.

    Best first, by weight · log(lift): what the row adds to the Kullback-Leibler divergence of her purchases from the
    population's, so that a brand counts neither for being large nor for being rare. Ties by position.
    """
    tells = pl.col("weight") * pl.col("lift").log()
    return (
        found.filter(pl.col("lift") > MORE)
        .with_columns(tells.alias("tells"))
        .sort("user", "kind", "tells", "level", "target", descending=[False, False, True, False, False])
        .filter(pl.int_range(pl.len()).over("user", "kind") < most)
        .drop("tells")
    )


def preferences_by_id(preferred: pl.DataFrame, graph: Graph) -> pl.DataFrame:
    """Return ``PREFERS`` edges with ids: ``source, target, kind, weight, lift, purchases, last_at``, by source."""
    nodes = {BRAND: graph.brands, CATEGORY: graph.categories}
    parts = []
    for kind, table in nodes.items():
        rows = preferred.filter(pl.col("kind") == kind)
        ends = {"source": graph.users["id"].gather(rows["user"]), "target": table["id"].gather(rows["target"])}
        parts.append(rows.with_columns(**ends))
    edges = pl.concat(parts).select("source", "target", "kind", "weight", "lift", "purchases", "last_at")
    return edges.sort("source", maintain_order=True)


def user_preferences(graph: Graph, *, now: int, config: ProfileConfig) -> pl.DataFrame:
    """Return the ``PREFERS`` edges of all users by their purchases before ``now`` (seconds, UTC), with ids."""
    may = allowed(graph, config)
    purchases = counted(graph.bought, may, now=now, half_life_days=config.half_life_days)
    among = population(purchases, may)
    user = purchases["user"]
    ends = [int(user.search_sorted(first)) for first in range(0, len(graph.users), USERS_AT_ONCE)] + [len(purchases)]
    # Some users at a time: a purchase has a row for each brand and category it falls on, and a preference many columns.
    return pl.concat(
        preferences_by_id(
            preferences(shares(purchases[start:stop], may, shrinkage=config.shrinkage, among=among), most=config.most),
            graph,
        )
        for start, stop in pairwise(ends)
    )


def _members(edges: pl.DataFrame, nodes: pl.DataFrame, *, kind: str, config: ProfileConfig) -> pl.DataFrame:
    """Return the products of each brand or category, and whether its name is sensitive."""
    names = pl.DataFrame(
        {
            "target": pl.int_range(len(nodes), eager=True),
            "level": nodes["level"]
            if "level" in nodes.columns
            else pl.repeat(0, len(nodes), dtype=pl.Int64, eager=True),
            "sensitive": sensitive(nodes["id"], words=config.blocked),
        }
    )
    rows = edges.rename({"source": "product"}).join(names, on="target", maintain_order="left")
    return rows.select(pl.lit(kind).alias("kind"), "level", "target", "product", "sensitive")
