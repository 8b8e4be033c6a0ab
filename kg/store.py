"""What every graph store can do, and how an address finds the store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import polars as pl

from kg.graph import GraphLayout, GraphTables, RunRecord
from kg.ladybug_store import LadybugStore
from kg.neo4j_connection import SCHEMES, credentials, place_of
from kg.neo4j_store import Neo4jStore
from loaders.errors import InputError
from loaders.shops import shop_name


@runtime_checkable
class GraphStore(Protocol):
    """Holds one graph; a write is there whole or not at all."""

    address: str

    dialect: str
    """Which of the queries with a text of their own for one store this store takes."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def layout(self) -> GraphLayout | None:
        """Return what the store says of its graph without reading it; None where there is none."""
        ...

    def replace_graph(self, tables: GraphTables) -> None:
        """Put this graph in the place of the old one; results of runs stay where both their ends still exist."""
        ...

    def fingerprint(self) -> str:
        """Return :meth:`kg.graph.GraphTables.fingerprint` of the graph that was loaded; raise where there is none."""
        ...

    def read_graph(self, *, purchases: bool = True) -> GraphTables:
        """Return the graph without the results of runs, in the order of its fingerprint.

        Without ``purchases`` there is no row of ``BOUGHT`` and of users the id alone.
        """
        ...

    def read_edges(self, relation: str, sources: pl.Series, *, properties: Sequence[str]) -> pl.DataFrame:
        """Return the shop's edges that start at ``sources`` (ids): ``source``, ``target``, ``properties``, sorted.

        Quickest where no other id lies between them.
        """
        ...

    def last_purchase(self) -> int:
        """Return the moment (seconds, UTC) of the last purchase; 0 where nobody knows."""
        ...

    def read_nodes(self, label: str) -> pl.DataFrame:
        """Return the nodes with this label, ``id`` and properties, sorted by id."""
        ...

    def write_results(self, relation: str, edges: pl.DataFrame, *, run: RunRecord) -> None:
        """Put ``edges`` (``source``, ``target``, properties) in the place of all that this run wrote before."""
        ...

    def read_results(self, relation: str, run: str, *, sources: pl.Series | None = None) -> pl.DataFrame:
        """Return the edges that ``run`` wrote: ``source``, ``target`` and properties, sorted by both ends.

        With ``sources`` (ids), only those that start there; quickest where no other id lies between them.
        """
        ...

    def run_record(self, name: str | None = None) -> RunRecord | None:
        """Return what the store knows of a run, by default the one made last; None where there is none."""
        ...

    def query(self, text: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a Cypher query; all its parameters must be given, and no others."""
        ...

    def stored_values(self, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a query with the values to give it elsewhere, such as in Neo4j Browser."""
        ...


def address_of(store: str | None, shop: str) -> str:
    """Return the address that was given, else ``NEO4J_URI``, else that of the shop's own file in ``data/``."""
    return store or os.environ.get("NEO4J_URI") or f"ladybug:data/{shop_name(shop)}.lbug"


def open_store(address: str, *, read_only: bool = False, password_file: str | None = None) -> GraphStore:
    """Return the store at ``address``: ``ladybug:PATH`` or ``neo4j://host:7687/database`` (or another Bolt scheme).

    A Ladybug file is made when it is not there; one that is only read from may be open many times at once, one that is
    written to, once. In Neo4j, processes that write wait for each other. Its user comes from ``NEO4J_USER``, its
    password from ``password_file``, ``NEO4J_PASSWORD`` or the file ``NEO4J_PASSWORD_FILE``, never from the address.
    """
    scheme, colon, rest = address.partition(":")
    if scheme == "ladybug" and colon and rest:
        return LadybugStore(rest, read_only=read_only)
    if scheme in SCHEMES and rest.startswith("//"):
        # The address first: one with a password in it is refused whatever else is missing.
        place_of(address)
        return Neo4jStore(address, login=credentials(password_file))
    # Not the whole address: a misspelt one may hold a password.
    shown = f"{scheme}:…" if "@" in address else address
    raise InputError(
        f"no store has the address {shown!r}; give ladybug:PATH, for example ladybug:data/shop.lbug, "
        "or neo4j://host:7687"
    )
