"""What every graph store can do, and how an address finds the store."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import polars as pl

from kg.graph import GraphLayout, GraphTables, RunRecord
from kg.ladybug_store import LadybugStore
from kg.neo4j_connection import SCHEMES
from kg.neo4j_store import Neo4jStore
from loaders.errors import InputError


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

    def read_graph(self) -> GraphTables:
        """Return the graph without the results of runs, in the order of its fingerprint."""
        ...

    def write_results(self, relation: str, edges: pl.DataFrame, *, run: RunRecord) -> None:
        """Put ``edges`` (``source``, ``target``, properties) in the place of all that this run wrote before."""
        ...

    def read_results(self, relation: str, run: str) -> pl.DataFrame:
        """Return the edges that ``run`` wrote: ``source``, ``target`` and properties, sorted by both ends."""
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


def open_store(address: str, *, read_only: bool = False) -> GraphStore:
    """Return the store at ``address``: ``ladybug:PATH`` or ``neo4j://host:7687/database`` (or another Bolt scheme).

    A Ladybug file is made when it is not there; one that is only read from may be open many times at once, one that is
    written to, once. In Neo4j, processes that write wait for each other. Its user and password come from
    ``NEO4J_USER`` and ``NEO4J_PASSWORD`` or the file that ``NEO4J_PASSWORD_FILE`` names, never from the address.
    """
    scheme, colon, rest = address.partition(":")
    if scheme == "ladybug" and colon and rest:
        return LadybugStore(rest, read_only=read_only)
    if scheme in SCHEMES and rest.startswith("//"):
        return Neo4jStore(address)
    # Not the whole address: a misspelt one may hold a password.
    shown = f"{scheme}:…" if "@" in address else address
    raise InputError(
        f"no store has the address {shown!r}; give ladybug:PATH, for example ladybug:data/shop.lbug, "
        "or neo4j://host:7687"
    )
