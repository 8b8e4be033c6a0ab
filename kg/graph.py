"""The graph in memory, twice: by id, as stores hold it, and by position, as learning needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from kg import schema

ROWS_AT_ONCE = 1_000_000
"""Rows that are hashed, or whose order is looked at, together: it takes memory for as many."""


@dataclass(frozen=True)
class GraphTables:
    """A graph by id: what is written to a store and read from it, in one fixed order."""

    shop: str
    """Name of the shop it was made from."""

    nodes: Mapping[str, pl.DataFrame]
    """Label → ``id`` and properties, sorted by id."""

    edges: Mapping[str, pl.DataFrame]
    """Relation → ``source`` and ``target`` (ids) and properties, sorted by all of them."""

    validation_from: int | None
    """Where the shop's own split starts its validation part (seconds, UTC), if it has one."""

    test_from: int | None
    """Where the shop's own split starts its test part (seconds, UTC), if it has one."""

    def fingerprint(self) -> str:
        """Return a hash of all that is in the graph: equal graphs, equal fingerprints, whatever the store."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        own = f"{schema.VERSION} polars {pl.__version__} {self.shop} {self.validation_from} {self.test_from}"
        digest = hashlib.sha256(own.encode())
        for kind, frame in sorted([*self.nodes.items(), *self.edges.items()]):
            digest.update(f"{kind} {frame.schema}".encode())
            for part in frame.iter_slices(ROWS_AT_ONCE):
                digest.update(part.hash_rows(seed=0).to_numpy().tobytes())
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class GraphLayout:
    """What a store says of the graph it holds: whose it is, and which columns its tables have."""

    shop: str
    """Name of the shop it was made from."""

    fingerprint: str
    """:meth:`GraphTables.fingerprint` of what was loaded."""

    nodes: Mapping[str, Mapping[str, str]]
    """Label → property → name of its polars type."""

    relations: tuple[str, ...]
    """Relations that hold edges of the shop."""

    validation_from: int | None
    """Where the shop's own split starts its validation part (seconds, UTC), if it has one."""

    test_from: int | None
    """Where the shop's own split starts its test part (seconds, UTC), if it has one."""

    version: int = schema.VERSION
    """:data:`kg.schema.VERSION` when it was loaded."""

    def without_purchases(self) -> GraphLayout:
        """Return the layout of what does not grow with the users but for their ids: of users nothing else is read."""
        nodes = {**self.nodes, "User": {"id": self.nodes["User"]["id"]}}
        return replace(self, nodes=nodes, relations=tuple(each for each in self.relations if each != "BOUGHT"))

    @classmethod
    def of(cls, tables: GraphTables) -> GraphLayout:
        """Return the layout of ``tables``."""
        nodes = {
            label: {column: str(kind) for column, kind in frame.schema.items()} for label, frame in tables.nodes.items()
        }
        return cls(
            shop=tables.shop,
            fingerprint=tables.fingerprint(),
            nodes=nodes,
            relations=tuple(tables.edges),
            validation_from=tables.validation_from,
            test_from=tables.test_from,
        )


@dataclass(frozen=True)
class RunRecord:
    """What Cypher must know of a run to weigh a purchase as the run did."""

    name: str
    """The run's name, the ``run`` of every edge it wrote."""

    made_at: str
    """When it was made (ISO 8601, UTC)."""

    now: int
    """The moment (seconds, UTC) purchases are aged to and must be before."""

    half_life: float
    """Seconds after which a purchase weighs half."""

    exponent: float
    """Power of the sum of a product's recent purchases."""

    learned_before: int
    """Purchases from this moment (seconds, UTC) on were not learned from."""

    repeat: bool = False
    """Whether products that a user has bought may be recommended to her again."""


@dataclass(frozen=True)
class Graph:
    """A graph by position: a node's position is its row in the table of its label."""

    shop: str
    """Name of the shop it was made from."""

    users: pl.DataFrame
    """``id`` and properties."""

    products: pl.DataFrame
    """``id``, ``name``, ``text``, ``price`` and further properties."""

    brands: pl.DataFrame
    """``id``, ``name``."""

    categories: pl.DataFrame
    """``id``, ``name``, ``level`` (1 is the top)."""

    bought: pl.DataFrame
    """``user``, ``product`` (positions), ``at`` and the other properties of a purchase (:data:`kg.schema.BOUGHT`)."""

    has_brand: pl.DataFrame
    """``source`` (product), ``target`` (brand), positions."""

    in_category: pl.DataFrame
    """``source`` (product), ``target`` (category), positions; one row for every level of a product's path."""

    subcategory_of: pl.DataFrame
    """``source`` (category), ``target`` (its parent), positions."""

    links: Mapping[str, pl.DataFrame]
    """The shop's own relation → ``source``, ``target`` (product positions)."""

    validation_from: int | None
    """Where the shop's own split starts its validation part (seconds, UTC), if it has one."""

    test_from: int | None
    """Where the shop's own split starts its test part (seconds, UTC), if it has one."""

    @property
    def listed(self) -> np.ndarray:
        """True for each product that may be recommended: all, unless the shop says ``listed`` is false of some."""
        if "listed" not in self.products.columns:
            return np.ones(len(self.products), dtype=bool)
        return self.products["listed"].fill_null(value=True).to_numpy()
