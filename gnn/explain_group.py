"""Says why a run gives a product to a group of users: how many, how much, and by which purchases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gnn.why import edges_to, weighed_purchases
from kg import schema
from kg.cypher import read_query
from kg.explain import ALL_ROWS
from kg.graph import RunRecord
from kg.lookup import require_product, require_user
from kg.store import GraphStore
from loaders.errors import InputError


@dataclass(frozen=True)
class Carrier:
    """A product whose purchases carry a recommendation to a group."""

    because: str
    name: str | None
    contribution: float
    """Sum of what its purchases add to the scores of all users of the group."""

    users: int
    """Users of the group who bought it."""


@dataclass(frozen=True)
class GroupAnswer:
    """Why a product for a group of users."""

    product: str
    name: str | None
    run: RunRecord
    users: int
    """Users of the group."""

    given: int
    """Users to whom the last export gives it."""

    mean_rank: float | None
    """Their mean place; None where it is given to nobody."""

    reached: int
    """Users with at least one purchase that leads to it."""

    bought: int
    """Users who bought it themselves before the run's moment."""

    mean_score: float
    """Mean score over the whole group, 0 for a user with no purchase that leads to it."""

    parts: Mapping[str, float]
    """Each of :data:`kg.schema.SHARES` that is not 0 → its mean part of the score; they add up to the mean score."""

    carriers: tuple[Carrier, ...]
    """The products whose purchases add most over the group, best first."""

    num_carriers: int
    """How many products' purchases add something."""


def read_group(file: Path) -> list[str]:
    """Return the ids of a text file, one a line, each once, in their order; raise where there is none."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{str(file)!r} is no UTF-8 text ({error.reason}); give a file with one user id a line"
        ) from error
    users = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not users:
        raise InputError(f"{str(file)!r} names no user; give a file with one user id a line")
    return users


def explain_group(store: GraphStore, *, users: list[str], product: str, run: RunRecord, k: int) -> GroupAnswer:
    """Return why ``product`` for these ``users``, with the ``k`` products that carry most; raise for an unknown id.

    Two reads, each of a single hop, and one join: every purchase of the group and every edge that leads to the product.
    """
    name = require_product(store, product)
    bought = weighed_purchases(store, users=users, run=run)
    # Only those without a purchase can be unknown.
    for user in sorted(set(users) - set(bought["user"])):
        require_user(store, user)
    edges = edges_to(store, product=product, run=run)
    rows = bought.join(edges, on="because").with_columns(
        (pl.col("weight") * pl.col(column)).alias(column) for column in ("related", *schema.SHARES)
    )
    given = store.query(
        read_query("recommended_to", dialect=store.dialect), {"product": product, "run": run.name, "limit": ALL_ROWS}
    )
    ranks = given.filter(pl.col("user").is_in(users))["rank"]
    carriers = (
        # Sorted: of an unsorted key polars sums parts of each group and adds them in any order (pola-rs/polars, 25163).
        rows.sort("because", "user")
        .group_by("because", "name")
        .agg(pl.col("related").sum().alias("contribution"), pl.len().alias("users"))
        .filter(pl.col("contribution") > 0)
        .sort("contribution", "because", descending=[True, False])
    )
    return GroupAnswer(
        product=product,
        name=name,
        run=run,
        users=len(users),
        given=len(ranks),
        mean_rank=float(ranks.cast(pl.Float64).sum()) / len(ranks) if len(ranks) else None,
        reached=rows["user"].n_unique(),
        bought=bought.filter(pl.col("because") == product)["user"].n_unique(),
        mean_score=float(rows["related"].sum()) / len(users),
        parts={share: float(rows[share].sum()) / len(users) for share in schema.SHARES if (rows[share] != 0).any()},
        carriers=tuple(Carrier(*row) for row in carriers.head(k).iter_rows()),
        num_carriers=len(carriers),
    )
