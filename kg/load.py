"""Loads a shop into a graph store: ``python -m kg.load --shop complete-journey``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from kg.build import graph_tables
from kg.graph import GraphLayout
from kg.neo4j_bulk import imported_store
from kg.store import GraphStore, address_of, open_store
from kg.text_table import one_line
from loaders.errors import InputError, run_command
from loaders.finding import Finding
from loaders.shops import load_shop
from loaders.tables import Shop


@dataclass(frozen=True)
class LoadConfig:
    """Loads a shop into a graph store; a graph that is already there unchanged is not written again."""

    shop: str = "complete-journey"
    """``complete-journey``, ``amazon-beauty``, ``synthetic``, or the folder of your own tables."""

    raw: str | None = None
    """Folder of the raw files of amazon-beauty; by default ../shared/data/amazon_beauty."""

    store: str | None = None
    """Address of the store, such as ladybug:data/shop.lbug; by default NEO4J_URI, else the shop's file in data/."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    bulk: str | None = None
    """Folder of a stopped Neo4j of this machine, such as data/neo4j/home: its database is OVERWRITTEN by the offline
    importer, the fastest way for a first load. No --store then; start the server afterwards."""


@dataclass(frozen=True)
class LoadReport:
    """What the store holds now, and whether that was news to it."""

    layout: GraphLayout
    """The layout of the shop's graph."""

    written: bool
    """False where the store already held this very graph."""

    nodes: Mapping[str, int]
    """Label → number of nodes."""

    edges: Mapping[str, int]
    """Relation → number of edges."""


def load_graph(shop: Shop, store: GraphStore) -> LoadReport:
    """Put the graph of ``shop`` in ``store``, unless it is there already."""
    tables = graph_tables(shop)
    wanted, found = GraphLayout.of(tables), store.layout()
    unchanged = found is not None and found.fingerprint == wanted.fingerprint
    if not unchanged:
        store.replace_graph(tables)
    return LoadReport(
        layout=wanted,
        written=not unchanged,
        nodes={label: len(frame) for label, frame in tables.nodes.items()},
        edges={relation: len(frame) for relation, frame in tables.edges.items()},
    )


def finding_text(finding: Finding) -> str:
    """Return a finding as one line."""
    line = f"{finding.rows:,} rows of {finding.table} {finding.action}: {finding.rule} (for example {finding.example})"
    return one_line(line)


def main() -> None:
    """Load the shop that the command line names."""
    config = tyro.cli(LoadConfig, prog="python -m kg.load")
    start = time.monotonic()
    # The shop first: a mistake in it leaves no empty store behind.
    shop = load_shop(config.shop, raw=config.raw)
    for finding in shop.findings:
        print(finding_text(finding))
    if config.bulk is None:
        address = address_of(config.store, config.shop)
        with open_store(address, password_file=config.password_file) as store:
            report = load_graph(shop, store)
            address = store.address
    else:
        if config.store:
            raise InputError("--bulk fills the database of the folder it names; leave out --store")
        with imported_store(graph_tables(shop), home=Path(config.bulk)) as store:
            report = load_graph(shop, store)
        address = f"the stopped Neo4j in {config.bulk}"
    for kind, count in [*report.nodes.items(), *report.edges.items()]:
        print(f"{count:>12,} {kind}")
    what = "graph loaded into" if report.written else "graph unchanged in"
    print(f"{what} {address} after {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    run_command(main)
