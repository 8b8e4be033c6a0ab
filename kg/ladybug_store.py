"""The embedded store: the graph in one file of the Ladybug database, nothing to install or start."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from kg import schema
from kg.build import edges_in_order, nodes_in_order
from kg.cypher import read_query, require_parameters, statements
from kg.graph import GraphLayout, GraphTables, RunRecord
from kg.ladybug_connection import Connection
from loaders.errors import InputError

# A million rows of RELATED.
CELLS_PER_TYPING = 12_000_000
# What they need of the buffer grows with them: 1.4 GB for so many. Each end of a transaction costs a second or two.
ROWS_PER_TRANSACTION = 5_000_000
# Ends the name of a table that is being written; no link of a shop has a space.
BESIDE = " being written"
# What is read together: an answer of the database takes 240 bytes of the buffer a row.
ROWS_AT_ONCE = 2_000_000

TYPES = {"String": "STRING", "Int64": "INT64", "Float64": "DOUBLE", "Boolean": "BOOL"}


class LadybugStore:
    """A graph store in one file; see :class:`kg.store.GraphStore` for what each method promises."""

    dialect = "ladybug"

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self.address = f"ladybug:{self.path}"
        self._read_only = read_only
        if read_only and not self.path.exists():
            raise InputError(f"no graph store at {self.address!r}; make it with: python -m kg.load --shop SHOP")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what is still in memory to the file and let others open it."""
        self._connection.close()

    def layout(self) -> GraphLayout | None:
        """Return what the graph in the file looks like; None where none was loaded."""
        if not self._has_schema():
            return None
        rows = self._connection.read("MATCH (g:Graph) RETURN g.layout AS layout")
        if rows.is_empty():
            return None
        found = json.loads(rows["layout"][0])
        # Before the layout is made: another version may know other fields.
        if found["version"] != schema.VERSION:
            raise InputError(
                f"the graph in {self.address!r} has schema version {found['version']} and this program reads version "
                f"{schema.VERSION}; delete the file and load it again with python -m kg.load --shop SHOP; its runs "
                "have to be trained again then"
            )
        return GraphLayout(**{**found, "relations": tuple(found["relations"])})

    def replace_graph(self, tables: GraphTables) -> None:
        """Build the new graph in a file beside the old one, then put it in its place in one step."""
        results, runs = self._results(tables)
        self.close()
        beside = self.path.with_name(self.path.name + ".new")
        _remove(beside)
        try:
            with LadybugStore(beside) as new:
                new._fill(tables, results, runs)
            beside.replace(self.path)
            # The log of the old file says nothing about the new one.
            _log_of(self.path).unlink(missing_ok=True)
        finally:
            _remove(beside)
            self._open()

    def fingerprint(self) -> str:
        """Return the fingerprint of the graph that was loaded."""
        return self._required_layout().fingerprint

    def read_graph(self, *, purchases: bool = True) -> GraphTables:
        """Return nodes and edges by id, without the results of runs."""
        layout = self._required_layout()
        layout = layout if purchases else layout.without_purchases()
        nodes = nodes_in_order({label: self._nodes(label, properties) for label, properties in layout.nodes.items()})
        edges = {"BOUGHT": schema.no_edges("BOUGHT")} | {
            each: self._in_parts(each) if each == "BOUGHT" else self._edges(each) for each in layout.relations
        }
        return GraphTables(
            shop=layout.shop,
            nodes=nodes,
            edges=edges_in_order(edges),
            validation_from=layout.validation_from,
            test_from=layout.test_from,
        )

    def read_nodes(self, label: str) -> pl.DataFrame:
        """Return the nodes with this label."""
        return self._nodes(label, self._required_layout().nodes[label]).sort("id")

    def read_edges(self, relation: str, sources: pl.Series, *, properties: Sequence[str]) -> pl.DataFrame:
        """Return the edges that start at these nodes."""
        self._required_layout()
        return self._edges_from(sources, relation, properties=properties).sort(pl.all())

    def last_purchase(self) -> int:
        """Return the moment of the last purchase."""
        self._required_layout()
        return int(self._connection.read("MATCH (:User)-[b:BOUGHT]->(:Product) RETURN max(b.at) AS at")["at"][0] or 0)

    def write_results(self, relation: str, edges: pl.DataFrame, *, run: RunRecord) -> None:
        """Write the edges of ``run`` anew and keep those of other runs: all of them take the old ones' place at once.

        Deleting edges one by one took 57 s for 2 million; making the table anew with the edges of all runs takes 5 s.
        It is made beside the old one, some rows at a time: what is in one transaction has to fit in the buffer.
        """
        self._required_layout()
        properties = schema.edge_properties(relation)
        others = self._in_parts(relation, "e.run <> $run", {"run": run.name})
        # Rows in the order of their source are copied twice as fast, and usually they are in it.
        own = edges if edges["source"].is_sorted() else edges.sort("source")
        declared = ", ".join(f"{name} {TYPES[kind.__name__]}" for name, kind in properties.items())
        source = schema.endpoints(relation)[0]
        ends = ", ".join(f"FROM {source} TO {target}" for target in schema.targets(relation))
        beside = relation + BESIDE
        try:
            self._connection.run(f"CREATE REL TABLE `{beside}`({ends}, {declared})")
            self._copy_results(relation, own.with_columns(run=pl.lit(run.name)), table=beside)
            self._copy_results(relation, others, table=beside)
            with self._connection.transaction():
                self._connection.run(f"DROP TABLE {relation}")
                self._connection.run(f"ALTER TABLE `{beside}` RENAME TO {relation}")
                self._connection.run("MATCH (r:Run {id: $id}) DELETE r", {"id": run.name})
                self._connection.copy("Run", _run_frame(run))
        finally:
            # There is none where all went well.
            with suppress(InputError):
                self._connection.run(f"DROP TABLE IF EXISTS `{beside}`")

    def read_results(self, relation: str, run: str, *, sources: pl.Series | None = None) -> pl.DataFrame:
        """Return the edges that ``run`` wrote."""
        self._required_layout()
        if sources is None:
            return self._in_parts(relation, "e.run = $run", {"run": run}).drop("run")
        edges = self._edges_from(sources, relation, "AND e.run = $run", {"run": run})
        return edges.drop("run").sort(*schema.key_columns(relation))

    def run_record(self, name: str | None = None) -> RunRecord | None:
        """Return the record of the run ``name``, or of the last one."""
        self._required_layout()
        columns = ", ".join(f"r.{column} AS {column}" for column in schema.RUN)
        rows = self._connection.read(f"MATCH (r:Run) RETURN {columns}").sort("made_at", "id")
        if name is not None:
            rows = rows.filter(pl.col("id") == name)
        return None if rows.is_empty() else RunRecord(**rows.rename({"id": "name"}).row(-1, named=True))

    def query(self, text: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a Cypher query."""
        require_parameters(text, parameters)
        return self._connection.read(text, parameters)

    def stored_values(self, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as they are, for the graph holds them so."""
        require_parameters(text, parameters)
        return dict(parameters)

    def _open(self) -> None:
        self._connection = Connection(self.path, address=self.address, read_only=self._read_only)
        if not self._read_only:
            # What a process that was killed has left.
            for relation in schema.RESULTS:
                self._connection.run(f"DROP TABLE IF EXISTS `{relation}{BESIDE}`")

    def _has_schema(self) -> bool:
        return "Graph" in self._connection.read("CALL show_tables() RETURN name AS name")["name"].to_list()

    def _required_layout(self) -> GraphLayout:
        layout = self.layout()
        if layout is None:
            raise InputError(f"the store {self.address!r} holds no graph; load one with python -m kg.load --shop SHOP")
        return layout

    def _fill(self, tables: GraphTables, results: Mapping[str, pl.DataFrame], runs: pl.DataFrame) -> None:
        """Make all tables and copy the graph, the kept results and last the word that all is there."""
        for statement in statements(read_query("schema_ladybug")):
            self._connection.run(statement)
        for label, frame in tables.nodes.items():
            for name, kind in frame.schema.items():
                if name not in schema.NODES[label]:
                    self._connection.run(f"ALTER TABLE {label} ADD `{name}` {TYPES[str(kind)]}")
            self._connection.copy(label, frame)
        for relation, frame in tables.edges.items():
            if relation not in schema.ENDPOINTS:
                self._connection.run(f"CREATE REL TABLE `{relation}`(FROM Product TO Product)")
            self._connection.copy(relation, frame)
        for relation, frame in results.items():
            self._copy_edges(relation, frame)
        self._connection.copy("Run", runs)
        layout = GraphLayout.of(tables)
        self._connection.copy(
            "Graph",
            pl.DataFrame(
                {
                    "id": "graph",
                    "shop": layout.shop,
                    "fingerprint": layout.fingerprint,
                    "layout": json.dumps(asdict(layout)),
                }
            ),
        )

    def _results(self, tables: GraphTables) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
        """Return what runs wrote between nodes that ``tables`` still has, and the runs."""
        if self.layout() is None:
            return {}, pl.DataFrame(schema=schema.RUN)
        known = {label: frame["id"].implode() for label, frame in tables.nodes.items()}
        kept = {}
        for relation in schema.RESULTS:
            edges = self._in_parts(relation).filter(pl.col("source").is_in(known[schema.endpoints(relation)[0]]))
            parts = schema.of_kinds(relation, edges)
            still = {label: part.filter(pl.col("target").is_in(known[label])) for label, part in parts.items()}
            kept[relation] = schema.with_kinds(relation, still).sort("source")
        columns = ", ".join(f"r.{column} AS {column}" for column in schema.RUN)
        return kept, self._connection.read(f"MATCH (r:Run) RETURN {columns}")

    def _nodes(self, label: str, properties: Mapping[str, str]) -> pl.DataFrame:
        # Backticks, here and below: a shop may call its own columns and links `order` or `TABLE`.
        columns = ", ".join(f"n.`{name}` AS `{name}`" for name in properties)
        rows = self._connection.read(f"MATCH (n:{label}) RETURN {columns}")
        return rows.select(pl.col(name).cast(_polars_type(kind)) for name, kind in properties.items())

    def _in_parts(
        self, relation: str, condition: str = "true", parameters: Mapping[str, Any] | None = None
    ) -> pl.DataFrame:
        """Return all edges that meet the ``condition``, sorted by source, target, kind and, of purchases, moment.

        Those of some sources at a time where there are many: an answer of the database has to fit in the buffer and
        takes three times the memory of the rows that it becomes. A part costs the more the more sources there are in
        all, so there are as few as the rows allow.
        """
        source = schema.endpoints(relation)[0]
        match = f"MATCH (s:{source})-[e:`{relation}`]->() WHERE {condition}"
        rows = self._connection.read(f"{match} RETURN count(*) AS rows", parameters)["rows"][0]
        properties = schema.edge_properties(relation)
        order = [*schema.key_columns(relation), *(name for name in ("at",) if name in properties)]
        if rows <= ROWS_AT_ONCE:
            return self._edges(relation, f"WHERE {condition}", parameters).sort(order)
        sources = self._connection.read(f"MATCH (n:{source}) RETURN n.id AS id")["id"].sort()
        parts = []
        for some in sources.to_frame().iter_slices(max(1, len(sources) * ROWS_AT_ONCE // rows)):
            where = f"WHERE s.id >= $first AND s.id <= $last AND {condition}"
            ends = {"first": some["id"][0], "last": some["id"][-1]}
            parts.append(self._edges(relation, where, {**ends, **(parameters or {})}).sort(order))
        return pl.concat(parts)

    def _edges_from(
        self,
        sources: pl.Series,
        relation: str,
        condition: str = "",
        parameters: Mapping[str, Any] | None = None,
        *,
        properties: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the edges that start at ``sources`` and meet the ``condition``.

        What lies between the first id and the last is read too: of 10,240 users with 150,000 of 2 million purchases
        that takes 0.1 s, where ``id IN $ids`` takes 11 and ``UNWIND`` 1.2.
        """
        # No id is empty, so no node lies between two empty ones.
        ends = {"first": sources.min() or "", "last": sources.max() or ""}
        where = f"WHERE s.id >= $first AND s.id <= $last {condition}"
        edges = self._edges(relation, where, {**ends, **(parameters or {})}, properties=properties)
        return edges.filter(pl.col("source").is_in(sources.implode()))

    def _edges(
        self,
        relation: str,
        where: str = "",
        parameters: Mapping[str, Any] | None = None,
        *,
        properties: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        every = schema.edge_properties(relation)
        wanted = every if properties is None else {name: every[name] for name in properties}
        source = schema.endpoints(relation)[0]
        columns = "".join(f", e.{name} AS {name}" for name in wanted)
        kinds: dict[str, type[pl.DataType]] = {"source": pl.String, "target": pl.String, **wanted}
        found = {}
        for target in schema.targets(relation):
            match = f"MATCH (s:{source})-[e:`{relation}`]->(t:{target}) {where}"
            rows = self._connection.read(f"{match} RETURN s.id AS source, t.id AS target{columns}", parameters)
            found[target] = rows.select(pl.col(name).cast(kind) for name, kind in kinds.items())
        return schema.with_kinds(relation, found)

    def _copy_results(self, relation: str, edges: pl.DataFrame, *, table: str) -> None:
        """Copy edges of a run into ``table``, in transactions of some of them."""
        properties = schema.edge_properties(relation)
        columns = (*schema.key_columns(relation), *properties)
        for some in edges.iter_slices(ROWS_PER_TRANSACTION):
            with self._connection.transaction():
                # Another copy of millions of edges costs hundreds of megabytes, so few are given their types at a time.
                for part in some.iter_slices(CELLS_PER_TYPING // len(columns)):
                    typed = part.cast(properties)  # type: ignore[arg-type]
                    self._copy_edges(relation, typed.select(columns), table=table)

    def _copy_edges(self, relation: str, frame: pl.DataFrame, *, table: str | None = None) -> None:
        parts = schema.of_kinds(relation, frame)
        for target, part in parts.items():
            # Which of the pairs of labels is meant has to be said where there are several.
            pair = f" (from='{schema.endpoints(relation)[0]}', to='{target}')" if len(parts) > 1 else ""
            self._connection.copy(table or relation, part, options=pair)


def _run_frame(run: RunRecord) -> pl.DataFrame:
    return (
        pl.DataFrame([asdict(run)])
        .rename({"name": "id"})
        .select(pl.col(name).cast(kind) for name, kind in schema.RUN.items())
    )


def _polars_type(name: str) -> type[pl.DataType]:
    kinds: dict[str, type[pl.DataType]] = {
        kind.__name__: kind for kind in (pl.String, pl.Int64, pl.Float64, pl.Boolean)
    }
    return kinds[name]


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    # Its log, and what a checkpoint that failed has left.
    for file in path.parent.glob(f"{glob.escape(path.name)}.*"):
        file.unlink()
