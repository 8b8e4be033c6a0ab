"""The store for production: the graph in a Neo4j database, shared by everyone who can reach it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import polars as pl

from kg import schema
from kg.build import edges_in_order, nodes_in_order
from kg.cypher import read_query, require_parameters, statements
from kg.graph import GraphLayout, GraphTables, RunRecord
from kg.neo4j_connection import Connection
from kg.neo4j_load import load_difference
from kg.neo4j_lock import WriteLock
from kg.neo4j_rows import pages, quoted, read_edges, read_ids, read_nodes, write_edges
from loaders.errors import InputError

QUERY_SECONDS = 30.0
EMPTY = ":auto MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 50 ROWS"

# A server that is killed while it makes a rule keeps the rule's index without the rule, and then refuses to make it.
HALF_MADE = """
SHOW INDEXES YIELD name, owningConstraint
WHERE name IN $names AND owningConstraint IS NULL
RETURN name
"""
RULE_NAME = re.compile(r"CREATE CONSTRAINT (\w+)")
LOCK_RULE = "cartograph_lock"
LOCK_RULE_SECONDS = 2.0
LAYOUT = "MATCH (g:Graph {id: 'graph'}) RETURN g.layout, g.loading"
# Which `run` the edges of each run carry; see Neo4jStore.write_results.
CURRENT = "MATCH (r:Run {id: $id}) RETURN r.edges_related, r.edges_recommended, r.edges_prefers, coalesce(r.writes, 0)"
CURRENT_OF = ("RELATED", "RECOMMENDED", "PREFERS")
LEFTOVERS = "MATCH (l:Leftover) RETURN l.id, l.relation ORDER BY l.id"
SHOW = """
MERGE (r:Run {id: $id})
SET r.made_at = $made_at, r.now = $now, r.half_life = $half_life, r.exponent = $exponent,
    r.learned_before = $learned_before, r.repeat = $repeat, r.writes = $writes,
    r.edges_related = coalesce($related, r.edges_related),
    r.edges_recommended = coalesce($recommended, r.edges_recommended),
    r.edges_prefers = coalesce($prefers, r.edges_prefers)
WITH r
MATCH (new:Leftover {id: $leftover})
DELETE new
WITH r WHERE $old IS NOT NULL
MERGE (old:Leftover {id: $old})
SET old.relation = $relation
"""


class Neo4jStore:
    """A graph store in a Neo4j database; see :class:`kg.store.GraphStore` for what each method promises."""

    dialect = "neo4j"

    def __init__(self, address: str, *, login: tuple[str, str] | None = None) -> None:
        self.address = address
        self._connection = Connection(address, login=login)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the graph stays where it is."""
        self._connection.close()

    def layout(self) -> GraphLayout | None:
        """Return what the graph looks like; None where none was loaded, or not to its end."""
        rows = self._connection.rows(LAYOUT)
        if not rows or rows[0][0] is None or rows[0][1]:
            return None
        found = json.loads(rows[0][0])
        # Before the layout is made: another version may know other fields.
        if found["version"] != schema.VERSION:
            raise InputError(
                f"the graph in {self.address!r} has schema version {found['version']} and this program reads version "
                f"{schema.VERSION}; empty the database (in Neo4j Browser: {EMPTY}) and load it again with "
                "python -m kg.load; its runs have to be trained again then"
            )
        return GraphLayout(**{**found, "relations": tuple(found["relations"])})

    def replace_graph(self, tables: GraphTables) -> None:
        """Write what differs from the graph that is there, which may be one whose load was killed."""
        lock_rule, *rules = statements(read_query("schema_neo4j"))
        # No lock guards the lock's own rule: another process may be making it, which takes a moment.
        if LOCK_RULE in self._half_made():
            time.sleep(LOCK_RULE_SECONDS)
            self._drop_half_made()
        self._connection.write([(lock_rule, {})])
        with WriteLock(self._connection) as lock:
            self._drop_half_made()
            for rule in rules:
                lock.keep()
                self._connection.write([(rule, {})])
            # Another process may have loaded the same while this one waited for the lock.
            found = self.layout()
            if found is None or found != GraphLayout.of(tables):
                load_difference(self._connection, lock, tables)

    def fingerprint(self) -> str:
        """Return the fingerprint of the graph that was loaded."""
        return self._required_layout().fingerprint

    def read_graph(self, *, purchases: bool = True) -> GraphTables:
        """Return nodes and edges by id, without the results of runs."""
        whole = self._required_layout()
        layout = whole if purchases else whole.without_purchases()
        nodes = nodes_in_order(
            {label: read_nodes(self._connection, label, kinds) for label, kinds in layout.nodes.items()}
        )
        edges = {"BOUGHT": schema.no_edges("BOUGHT")} | {each: self._edges(each, nodes) for each in layout.relations}
        if self.layout() != whole:
            raise InputError(f"the graph in {self.address!r} was loaded anew while it was read; give the command again")
        return GraphTables(
            shop=layout.shop,
            nodes=nodes,
            edges=edges_in_order(edges),
            validation_from=layout.validation_from,
            test_from=layout.test_from,
        )

    def read_nodes(self, label: str) -> pl.DataFrame:
        """Return the nodes with this label."""
        kinds = self._required_layout().nodes[label]
        return read_nodes(self._connection, label, kinds).sort("id")

    def read_edges(self, relation: str, sources: pl.Series, *, properties: Sequence[str]) -> pl.DataFrame:
        """Return the edges that start at these nodes."""
        self._required_layout()
        wanted = schema.no_edges(relation).select("source", "target", *properties)
        found = read_edges(self._connection, relation, sources.to_list(), properties=properties)
        return pl.concat([wanted, *found]).sort(pl.all())

    def last_purchase(self) -> int:
        """Return the moment of the last purchase."""
        self._required_layout()
        # No limit of time: it reads all purchases, on the server.
        return int(self._connection.rows("MATCH (:User)-[b:BOUGHT]->(:Product) RETURN max(b.at)")[0][0] or 0)

    def write_results(self, relation: str, edges: pl.DataFrame, *, run: RunRecord) -> None:
        """Write the edges of ``run`` anew, so that a reader sees the old ones whole or the new ones whole.

        Millions of edges do not fit in one transaction. The new ones are written under a ``run`` that nobody asks
        for yet; one small transaction then makes it the one that the ``Run`` node names and readers ask for, and the
        old edges are deleted. A ``Leftover`` node names what no reader needs from before it is written until after it
        is deleted, so what a killed process left is deleted by the next.
        """
        self._required_layout()
        with WriteLock(self._connection) as lock:
            self._delete_leftovers(lock)
            self._require_ends(relation, edges)
            current, writes = self._current(run.name)
            # The first edges carry the plain name, as Ladybug's do; a run's name is that of a folder, so has no slash.
            mark = f"{run.name}/{writes + 1}" if relation in current else run.name
            leftover = {"id": f"{relation} {mark}", "relation": relation}
            lock.write("MERGE (l:Leftover {id: $id}) SET l.relation = $relation", leftover)
            own = edges.select(pl.col(name).cast(kind) for name, kind in _no_results(relation).schema.items())
            for label, part in schema.of_kinds(relation, own.sort("source", "target")).items():
                write_edges(lock.write, relation, _without_zeros(part), run=mark, target=label)
            old = current.get(relation)
            values = {name: value for name, value in asdict(run).items() if name != "name"}
            shown = {name.lower(): mark if name == relation else None for name in CURRENT_OF}
            lock.write(
                SHOW,
                {
                    **values,
                    **shown,
                    "id": run.name,
                    "writes": writes + 1,
                    "leftover": leftover["id"],
                    "old": None if old is None else f"{relation} {old}",
                    "relation": relation,
                },
            )
            self._delete_leftovers(lock)

    def read_results(self, relation: str, run: str, *, sources: pl.Series | None = None) -> pl.DataFrame:
        """Return the edges that ``run`` wrote."""
        self._required_layout()
        while True:
            mark = self._current(run)[0].get(relation)
            if not mark:
                ids = []
            elif sources is None:
                ids = sorted(read_ids(self._connection, schema.endpoints(relation)[0]))
            else:
                ids = sources.to_list()
            found = {
                label: pl.concat(
                    [
                        _no_results(relation).drop(schema.KIND, strict=False),
                        *read_edges(self._connection, relation, ids, run=mark or "", target=label),
                    ]
                )
                for label in schema.targets(relation)
            }
            frame = schema.with_kinds(relation, found)
            # Old edges are deleted only after the new ones are shown: the same mark, all the edges.
            if self._current(run)[0].get(relation) == mark:
                often_zero = [name for name in schema.OFTEN_ZERO if name in frame.columns]
                return frame.with_columns(pl.col(often_zero).fill_null(0.0)).sort(*schema.key_columns(relation))

    def run_record(self, name: str | None = None) -> RunRecord | None:
        """Return the record of the run ``name``, or of the last one."""
        self._required_layout()
        # In the order of the fields of RunRecord.
        columns = ", ".join(f"r.{column}" for column in schema.RUN)
        rows = self._connection.rows(
            f"MATCH (r:Run) WHERE $id IS NULL OR r.id = $id RETURN {columns} "
            "ORDER BY r.made_at DESC, r.id DESC LIMIT 1",
            {"id": name},
        )
        return RunRecord(*rows[0]) if rows else None

    def query(self, text: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a Cypher query, whose ``$run`` is the name of a run."""
        require_parameters(text, parameters)
        while True:
            values = self._as_stored(text, parameters)
            ((columns, rows),) = self._connection.read([(text, values)], seconds=QUERY_SECONDS)
            if "run" not in values or self._as_stored(text, parameters) == values:
                return schema.with_types(pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None))

    def stored_values(self, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the graph has them: for ``$run``, what the run's newest edges carry."""
        require_parameters(text, parameters)
        values = self._as_stored(text, parameters)
        return {**values, "run": values["run"] or parameters["run"]} if "run" in values else values

    def _as_stored(self, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the graph has them; no ``run`` for one that wrote nothing, or not to its end."""
        values = dict(parameters)
        asked = [relation for relation in CURRENT_OF if re.search(rf":\s*`?{relation}\b", text)]
        if "run" in values and asked:
            current = self._current(values["run"])[0]
            marks = {current.get(relation) for relation in asked}
            if len(marks) > 1:
                raise InputError(f"the query asks for {' and '.join(asked)} of a run in one; ask for one at a time")
            values["run"] = marks.pop()
        return values

    def _half_made(self) -> set[str]:
        # Only names of the schema file: an index of somebody else is not ours to drop.
        names = RULE_NAME.findall(read_query("schema_neo4j"))
        return {name for (name,) in self._connection.rows(HALF_MADE, {"names": names})}

    def _drop_half_made(self) -> None:
        for name in sorted(self._half_made()):
            self._connection.write([(f"DROP INDEX {name} IF EXISTS", {})])

    def _required_layout(self) -> GraphLayout:
        layout = self.layout()
        if layout is not None:
            return layout
        if self._connection.rows(LAYOUT):
            raise InputError(
                f"the graph in {self.address!r} is being loaded, or its load did not end; wait, or load it again with "
                "python -m kg.load"
            )
        raise InputError(f"the store {self.address!r} holds no graph; load one with python -m kg.load")

    def _edges(self, relation: str, nodes: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        sources = nodes[schema.endpoints(relation)[0]]["id"].to_list()
        return pl.concat([schema.no_edges(relation), *read_edges(self._connection, relation, sources)])

    def _current(self, run: str) -> tuple[dict[str, str], int]:
        """Return the ``run`` that the edges of each relation carry, and how often the run was written."""
        rows = self._connection.rows(CURRENT, {"id": run})
        if not rows:
            return {}, 0
        *marks, writes = rows[0]
        return {relation: mark for relation, mark in zip(CURRENT_OF, marks, strict=True) if mark is not None}, writes

    def _require_ends(self, relation: str, edges: pl.DataFrame) -> None:
        ends = [("source", schema.endpoints(relation)[0], edges)]
        ends += [("target", label, part) for label, part in schema.of_kinds(relation, edges).items()]
        for column, label, part in ends:
            known = pl.Series(column, read_ids(self._connection, label), dtype=pl.String)
            lost = part.join(known.to_frame(), on=column, how="anti")
            if len(lost):
                raise InputError(
                    f"{len(lost)} of {len(part)} {relation} edges name a {label} that {self.address!r} does not hold, "
                    f"first {lost[column][0]!r}; load the graph again, then make the results again"
                )

    def _delete_leftovers(self, lock: WriteLock) -> None:
        for leftover, relation in self._connection.rows(LEFTOVERS):
            source = schema.endpoints(relation)[0]
            mark = leftover.removeprefix(f"{relation} ")
            match = f"MATCH (:{source} {{id: id}})-[e:{quoted(relation)} {{run: $run}}]->()"
            text = f"UNWIND $ids AS id {match} DELETE e"
            for ids in pages(self._connection, relation, sorted(read_ids(self._connection, source))):
                lock.write(text, {"ids": ids, "run": mark})
            lock.write("MATCH (l:Leftover {id: $id}) DELETE l", {"id": leftover})


def _without_zeros(edges: pl.DataFrame) -> pl.DataFrame:
    """Leave out shares that are 0: writing four properties fewer is half as fast again, and readers fill them in."""
    often_zero = [name for name in schema.OFTEN_ZERO if name in edges.columns]
    left = edges.with_columns(pl.when(pl.col(name) != 0).then(pl.col(name)).alias(name) for name in often_zero)
    return left.drop(name for name in often_zero if left[name].null_count() == len(left))


def _no_results(relation: str) -> pl.DataFrame:
    kinds = {name: kind for name, kind in schema.edge_properties(relation).items() if name != "run"}
    return pl.DataFrame(schema={**schema.key_columns(relation), **kinds})
