"""Gives what some users bought at a time: out of memory, or out of the graph store, which then may hold any number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import polars as pl

from kg.build import results_by_position
from kg.graph import Graph
from kg.store import GraphStore
from loaders.errors import InputError

USERS_AT_ONCE = 10_240
"""Whose purchases are in memory where all are counted; as many as a shard has by default."""


@runtime_checkable
class Purchases(Protocol):
    """What all users bought before a moment."""

    @property
    def now(self) -> int:
        """The moment (seconds, UTC)."""
        ...

    def of_users(self, start: int, stop: int) -> pl.DataFrame:
        """Return what the users at these positions bought: ``user`` (0 is the first of them), ``product``, ``at``.

        A row a purchase, sorted by user; products are positions, ``at`` is in seconds (UTC).
        """
        ...


@dataclass(frozen=True)
class PurchasesInMemory:
    """Purchases that are all in memory."""

    known: pl.DataFrame
    """``user``, ``product`` (positions), ``at``, sorted by user."""

    now: int
    """The moment (seconds, UTC) that they are before."""

    @classmethod
    def of(cls, bought: pl.DataFrame, *, now: int) -> PurchasesInMemory:
        """Return those of ``bought`` before ``now`` (seconds, UTC)."""
        known = bought.select("user", "product", "at").filter(pl.col("at") < now)
        return cls(known if known["user"].is_sorted() else known.sort("user"), now)

    def of_users(self, start: int, stop: int) -> pl.DataFrame:
        """Return what the users at these positions bought."""
        begin, end = (int(self.known["user"].search_sorted(position, "left")) for position in (start, stop))
        return self.known.slice(begin, end - begin).with_columns(pl.col("user") - start)


@dataclass(frozen=True)
class PurchasesInStore:
    """Purchases that are read from the graph store when they are asked for, and then forgotten."""

    store: GraphStore
    graph: Graph
    """The nodes of the store's graph; its purchases are not looked at."""

    fingerprint: str
    """Of the store's graph when its nodes were read."""

    now: int
    """The moment (seconds, UTC) that they are before."""

    def of_users(self, start: int, stop: int) -> pl.DataFrame:
        """Return what the users at these positions bought; raise if the graph was loaded anew meanwhile."""
        some = replace(self.graph, users=self.graph.users.slice(start, stop - start))
        edges = self.store.read_edges("BOUGHT", some.users["id"], properties=("at",))
        require_unchanged(self.store, self.fingerprint)
        bought = results_by_position(edges.filter(pl.col("at") < self.now), some, relation="BOUGHT")
        return bought.rename({"source": "user", "target": "product"})


def require_unchanged(store: GraphStore, fingerprint: str) -> None:
    """Raise if the store holds another graph than when it had this ``fingerprint``."""
    if store.fingerprint() != fingerprint:
        raise InputError(f"the graph in {store.address!r} was loaded anew while it was read; give the command again")


def in_parts(purchases: Purchases, *, num_users: int) -> Iterator[pl.DataFrame]:
    """Yield all purchases, those of the next users at a time."""
    for start in range(0, num_users, USERS_AT_ONCE):
        yield purchases.of_users(start, min(start + USERS_AT_ONCE, num_users))
