"""Finds what most people like a user bought, for one whose own purchases lead nowhere: her group, else everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from kg.blocklist import SENSITIVE, sensitive
from kg.cypher import Value, read_query, with_values
from kg.graph import RunRecord
from kg.store import GraphStore
from kg.text_table import one_line

ENOUGH = 20
"""People who bought something that a group needs, or its most bought products are chance."""

MOST = 1_000
"""People counted at the most: those who share most with her, of equal ones the first by id."""

FACTS_SHOWN = 5


@dataclass(frozen=True)
class Group:
    """The people whose purchases stand in for a user's own."""

    people: int
    """How many they are; those of a group all bought something before the moment."""

    shared: int
    """How many of ``facts`` each of them shares with her at the least; 0: they are all users, whoever they are."""

    facts: Mapping[str, str]
    """What the shop says of her that may be spoken of: property → value."""


@dataclass(frozen=True)
class MostBought:
    """The products that most people of a group bought."""

    rows: pl.DataFrame
    """``product, name, buyers``, most buyers first; of what the run may recommend to her."""

    group: Group
    """Whose purchases were counted."""

    query: str
    """The Cypher that returns ``rows``, to paste."""


def most_bought(store: GraphStore, *, user: str, run: RunRecord, limit: int) -> MostBought:
    """Return what most people bought before the run's moment among those who share most with ``user``, else of all.

    A user without a purchase has no vector and so no segment of ``gnn.export --profiles``; what the shop itself says
    of her is all there is to go by. What she has bought is left out, unless the run may recommend it again.
    """
    everybody = store.read_nodes("User")
    values: dict[str, Value] = {
        "user": user, "run": run.name, "repeat": run.repeat, "now": float(run.now), "limit": limit
    }  # fmt: skip
    facts = known_facts(everybody, user)
    found = _alike(store, everybody, user=user, facts=facts, now=run.now)
    if found is not None:
        users, shared = found
        asked = _asked(store, "list_popular_among", {**values, "users": users})
        if not asked[0].is_empty():
            return MostBought(asked[0], Group(people=len(users), shared=shared, facts=facts), asked[1])
    rows, query = _asked(store, "list_popular", values)
    return MostBought(rows, Group(people=len(everybody), shared=0, facts=facts), query)


def known_facts(everybody: pl.DataFrame, user: str) -> dict[str, str]:
    """Return the properties that the shop has of ``user``; those that a profile must not speak of are left out."""
    own = everybody.filter(pl.col("id") == user).drop("id").cast(pl.String)
    row = own.row(0, named=True) if len(own) else {}
    told = {name: value for name, value in row.items() if value is not None}
    both = pl.Series([f"{name} {value}" for name, value in told.items()], dtype=pl.String)
    blocked = sensitive(both, words=SENSITIVE)
    return {name: value for (name, value), never in zip(told.items(), blocked, strict=True) if not never}


def group_text(group: Group) -> str:
    """Return whose purchases were counted, as the end of a sentence about what most of them bought."""
    if not group.shared:
        return f"all {group.people} people in the shop"
    shown = [f"{one_line(name)} {one_line(value)}" for name, value in list(group.facts.items())[:FACTS_SHOWN]]
    more = len(group.facts) - len(shown)
    facts = ", ".join(shown) + (f" and {more} more" if more else "")
    if group.shared < len(group.facts):
        return f"{group.people} people who share at least {group.shared} of what the shop says of her: {facts}"
    return f"{group.people} people who share what the shop says of her: {facts}"


def _alike(
    store: GraphStore, everybody: pl.DataFrame, *, user: str, facts: Mapping[str, str], now: int
) -> tuple[list[str], int] | None:
    """Return the ids of enough buyers who share the most facts with her, and how many; None where there are none."""
    same = [(pl.col(name).cast(pl.String) == value).fill_null(value=False) for name, value in facts.items()]
    if not same:
        return None
    others = everybody.filter(pl.col("id") != user).select("id", pl.sum_horizontal(same).alias("shared"))
    nearest = others.sort("shared", "id", descending=[True, False])
    for shared in range(len(facts), 0, -1):
        buyers = _buyers(store, nearest.filter(pl.col("shared") >= shared)["id"], now=now)
        if len(buyers) >= ENOUGH:
            return buyers, shared
    return None


def _buyers(store: GraphStore, users: pl.Series, *, now: int) -> list[str]:
    """Return the first :data:`MOST` of ``users`` who bought anything before ``now``."""
    text = read_query("list_buyers", dialect=store.dialect)
    found: list[str] = []
    for start in range(0, len(users), MOST):
        some = users.slice(start, MOST).to_list()
        found += store.query(text, {"users": some, "now": float(now), "limit": MOST})["user"].to_list()
        if len(found) >= MOST:
            break
    return found[:MOST]


def _asked(store: GraphStore, name: str, values: Mapping[str, Value]) -> tuple[pl.DataFrame, str]:
    text = read_query(name, dialect=store.dialect)
    return store.query(text, values), with_values(text, store.stored_values(text, values))
