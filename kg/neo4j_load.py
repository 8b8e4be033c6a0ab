"""Makes the graph in Neo4j equal to given tables by writing only what differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import polars as pl

from kg import schema
from kg.graph import GraphLayout, GraphTables
from kg.neo4j_connection import Connection
from kg.neo4j_lock import WriteLock
from kg.neo4j_rows import delete_edges, quoted, read_edges, read_ids, read_nodes, write_edges, write_nodes
from loaders.errors import InputError

ROUNDS = 3
DELETED_NODES = 100
DELETED_EDGES = 10_000
SOME_SOURCES = 2_000

FOREIGN = """
OPTIONAL MATCH (g:Graph)
WITH count(g) AS graphs WHERE graphs = 0
MATCH (n:User|Product|Brand|Category)
RETURN labels(n)[0] LIMIT 1
"""
# The relations of all loads that did not end: what they wrote has to be found again.
MARK = """
MERGE (g:Graph {id: 'graph'})
SET g.loading = true, g.relations = coalesce(g.relations, []) + $relations
RETURN g.relations
"""
FINISH = """
MATCH (g:Graph {id: 'graph'})
SET g.shop = $shop, g.fingerprint = $fingerprint, g.layout = $layout, g.relations = $relations, g.loading = null
"""


def load_difference(connection: Connection, lock: WriteLock, tables: GraphTables) -> None:
    """Make the graph equal to ``tables``; results of runs stay where both their ends still exist.

    The ``Graph`` node is marked first and gets its layout last, so a graph whose load was killed is never taken for
    whole, and the next load finds what is missing or too much by comparing.
    """
    foreign = connection.rows(FOREIGN)
    if foreign:
        raise InputError(
            f"{connection.address!r} holds {foreign[0][0]} nodes that were not loaded by this program, which would "
            "delete them; give an empty database"
        )
    layout = GraphLayout.of(tables)
    ((seen,),) = lock.write(MARK, {"relations": list(tables.edges)})
    for relation in set(seen) - set(tables.edges):
        _delete_relation(lock, relation)
    for _ in range(ROUNDS):
        for label, frame in tables.nodes.items():
            _load_nodes(connection, lock, label, frame)
        for relation, frame in tables.edges.items():
            source = tables.nodes[schema.endpoints(relation)[0]]
            _load_edges(connection, lock, relation, frame, sources=source["id"].to_list())
        # A commit that was not confirmed is done twice, which makes edges twice: comparing again mends that.
        wrong = _wrong_counts(connection, tables)
        if not wrong:
            break
    else:
        raise InputError(f"{connection.address!r} holds another number of {wrong[0]} than was loaded; load again")
    values = {"shop": layout.shop, "fingerprint": layout.fingerprint, "layout": json.dumps(asdict(layout))}
    lock.write(FINISH, {**values, "relations": list(layout.relations)})


def _load_nodes(connection: Connection, lock: WriteLock, label: str, frame: pl.DataFrame) -> None:
    found = read_ids(connection, label)
    keys: list[str] = connection.rows(f"MATCH (n:{label}) UNWIND keys(n) AS key RETURN collect(DISTINCT key)")[0][0]
    gone = sorted(set(keys) - set(frame.columns))
    wanted = set(frame["id"])
    unwanted = [known for known in found if known not in wanted]
    for start in range(0, len(unwanted), DELETED_NODES):
        text = f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) DETACH DELETE n"
        lock.write(text, {"ids": unwanted[start : start + DELETED_NODES]})
    same = pl.DataFrame() if gone or not found else _nodes_or_none(connection, label, frame)
    missing = frame if same.is_empty() else frame.join(same, on=frame.columns, how="anti", nulls_equal=True)
    write_nodes(lock.write, label, missing, gone=gone)


def _nodes_or_none(connection: Connection, label: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the nodes that are there, none of them where a property has become of another type."""
    try:
        return read_nodes(connection, label, {name: str(kind) for name, kind in frame.schema.items()})
    except (TypeError, pl.exceptions.PolarsError):
        return pl.DataFrame()


def _load_edges(
    connection: Connection, lock: WriteLock, relation: str, frame: pl.DataFrame, *, sources: Sequence[str]
) -> None:
    if not connection.rows(f"MATCH ()-[e:{quoted(relation)}]->() RETURN count(e)")[0][0]:
        write_edges(lock.write, relation, frame)
        return
    key = ["source", "target", "at"] if relation == "BOUGHT" else ["source", "target"]
    by_source = frame.with_row_index("row").group_by("source", maintain_order=True).agg(pl.len(), pl.col("row").first())
    where = {source: (first, count) for source, count, first in by_source.iter_rows()}
    for start in range(0, len(sources), SOME_SOURCES):
        lock.keep()
        some = sources[start : start + SOME_SOURCES]
        wanted_rows = [where[source] for source in some if source in where]
        # Edges and sources are in the same order, so those of some sources are one slice.
        first = wanted_rows[0][0] if wanted_rows else 0
        wanted = frame[first : first + sum(count for _, count in wanted_rows)]
        found = pl.concat(
            [wanted.clear(), *(page.select(wanted.columns) for page in read_edges(connection, relation, some))]
        )
        once = found.filter(pl.len().over(key) == 1)
        right = once.join(wanted, on=wanted.columns, how="semi", nulls_equal=True)
        wrong = found.select(key).unique().join(right, on=key, how="anti")
        delete_edges(lock.write, relation, wrong.sort(key))
        write_edges(lock.write, relation, wanted.join(right, on=key, how="anti", maintain_order="left"))


def _delete_relation(lock: WriteLock, relation: str) -> None:
    text = f"MATCH (:Product)-[e:{quoted(relation)}]->(:Product) WITH e LIMIT {DELETED_EDGES} DELETE e RETURN count(*)"
    while lock.write(text)[0][0]:
        pass


def _wrong_counts(connection: Connection, tables: GraphTables) -> list[str]:
    counts = {
        **{label: (f"MATCH (n:{label}) RETURN count(n)", len(frame)) for label, frame in tables.nodes.items()},
        **{
            relation: (f"MATCH ()-[e:{quoted(relation)}]->() RETURN count(e)", len(frame))
            for relation, frame in tables.edges.items()
        },
    }
    return [kind for kind, (text, count) in counts.items() if connection.rows(text)[0][0] != count]
