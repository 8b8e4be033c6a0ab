"""Takes a sample of a shop's users, with all that they bought, so that a large shop can be tried in minutes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from kg import schema
from kg.graph import GraphTables
from loaders.errors import InputError


def sample_users(tables: GraphTables, share: float, *, seed: int) -> GraphTables:
    """Return the graph of a seeded ``share`` of its users, at least one, and of the products that they bought.

    Purchases of other users are gone, and so are the products that nobody in the sample bought, with their edges; only
    those that are not ``listed`` stay, since they are not there to be bought but to be linked to.
    """
    if not 0 < share <= 1:
        raise InputError(f"users_share is {share}; give more than 0 and at most 1")
    if share == 1:
        return tables
    users = tables.nodes["User"]
    count = max(1, round(share * len(users)))
    # Of no users the sample is empty, and what needs purchases says so.
    drawn = np.random.default_rng(seed).permutation(len(users))[:count]
    kept = {"User": users[np.sort(drawn).tolist()]}
    bought = tables.edges["BOUGHT"].join(kept["User"].select(source="id"), on="source", how="semi")
    products = tables.nodes["Product"]
    wanted = pl.col("id").is_in(bought["target"].unique().implode())
    if "listed" in products.columns:
        wanted |= pl.col("listed").eq(other=False).fill_null(value=False)
    kept["Product"] = products.filter(wanted)
    edges = {relation: _between(relation, frame, kept) for relation, frame in tables.edges.items()}
    return replace(tables, nodes={**tables.nodes, **kept}, edges=edges)


def _between(relation: str, edges: pl.DataFrame, kept: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the edges whose ends were kept, in the order they had."""
    for column, label in zip(("source", "target"), schema.endpoints(relation), strict=True):
        if label in kept:
            ids = kept[label].select(pl.col("id").alias(column))
            edges = edges.join(ids, on=column, how="semi", maintain_order="left")
    return edges
