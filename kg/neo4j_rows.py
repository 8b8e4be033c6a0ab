"""Reads nodes and edges of Neo4j into tables and writes tables as nodes and edges, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from kg import schema
from kg.neo4j_connection import Connection
from loaders.errors import InputError

PART_ROWS = 10_000
PART_BYTES = 16_000_000
PAGE_EDGES = 50_000
PAGE_IDS = 10_000
KINDS: dict[str, type[pl.DataType]] = {kind.__name__: kind for kind in (pl.String, pl.Int64, pl.Float64, pl.Boolean)}
DEFAULTS = {"String": "''", "Int64": "0", "Float64": "0.0", "Boolean": "false"}
Write = Callable[[str, Mapping[str, Any]], Any]


def quoted(name: str) -> str:
    """Return a name as Cypher takes it; a shop may call its own columns and links `order` or `TABLE`."""
    return f"`{name.replace('`', '``')}`"


def read_ids(connection: Connection, label: str) -> list[str]:
    """Return the ids of all nodes with this label."""
    ids: list[str] = connection.rows(f"MATCH (n:{label}) RETURN collect(n.id)")[0][0]
    return ids


def read_nodes(connection: Connection, label: str, kinds: Mapping[str, str]) -> pl.DataFrame:
    """Return the nodes with this label; ``kinds`` are their properties and the names of the polars types."""
    columns = ", ".join(f"n.{quoted(name)}" for name in kinds)
    rows = connection.rows(f"MATCH (n:{label}) RETURN {columns}")
    return pl.DataFrame(rows, schema={name: KINDS[kind] for name, kind in kinds.items()}, orient="row", strict=True)


def read_edges(
    connection: Connection,
    relation: str,
    sources: Sequence[str],
    *,
    run: str | None = None,
    target: str | None = None,
    properties: Sequence[str] | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the edges that start at ``sources``, a page at a time, or only those with this ``run``.

    ``target`` is the label they lead to, for a relation that may lead to several; ``properties`` are by default all.

    A page is one row of lists, for rows of single edges come from the server five to ten times slower.
    """
    source = schema.endpoints(relation)[0]
    target = target or schema.endpoints(relation)[1]
    every = {name: kind.__name__ for name, kind in schema.edge_properties(relation).items() if name != "run"}
    kinds = every if properties is None else {name: every[name] for name in properties}
    # A list drops nulls, so what stands for one goes into the list, and a second list says where.
    lists = "".join(
        f", collect(coalesce(e.{name}, {DEFAULTS[kind]})), collect(e.{name} IS NULL)" for name, kind in kinds.items()
    )
    only = "{run: $run}" if run is not None else ""
    text = (
        f"UNWIND $ids AS id MATCH (s:{source} {{id: id}})-[e:{quoted(relation)} {only}]->(t:{target}) "
        f"RETURN collect(id), collect(t.id){lists}"
    )
    for ids in pages(connection, relation, sources):
        (lists_of_page,) = connection.rows(text, {"ids": ids} | ({"run": run} if run is not None else {}))
        yield _edge_frame(lists_of_page, kinds, relation=relation)


def pages(connection: Connection, relation: str, sources: Sequence[str]) -> Iterator[list[str]]:
    """Yield ``sources`` in parts with at most ``PAGE_EDGES`` edges of this relation, or a single source."""
    text = (
        f"UNWIND $ids AS id MATCH (s:{schema.endpoints(relation)[0]} {{id: id}}) "
        f"RETURN collect(id), collect(COUNT {{ (s)-[:{quoted(relation)}]->() }})"
    )
    page: list[str] = []
    edges = 0
    for start in range(0, len(sources), PAGE_IDS):
        ((ids, counts),) = connection.rows(text, {"ids": list(sources[start : start + PAGE_IDS])})
        for source, count in zip(ids, counts, strict=True):
            if page and edges + count > PAGE_EDGES:
                yield page
                page, edges = [], 0
            if count:
                page.append(source)
                edges += count
    if page:
        yield page


def write_nodes(write: Write, label: str, frame: pl.DataFrame, *, gone: Sequence[str]) -> None:
    """Make or change the nodes in ``frame``, and take the properties ``gone`` from them."""
    values = [f"n.{quoted(name)} = $c{place}[row]" for place, name in enumerate(frame.columns) if name != "id"]
    values += [f"n.{quoted(name)} = null" for name in gone]
    own = frame.columns.index("id")
    text = f"MERGE (n:{label} {{id: $c{own}[row]}})" + (f" SET {', '.join(values)}" if values else "")
    _write_parts(write, text, frame)


def write_edges(
    write: Write, relation: str, frame: pl.DataFrame, *, run: str | None = None, target: str | None = None
) -> None:
    """Make the edges in ``frame``, ``source`` and ``target`` first, each with this ``run`` if one is given.

    ``target`` is the label they lead to, for a relation that may lead to several.

    Rows of one source that follow each other share its search: a quarter faster where they are sorted by it.
    """
    values = [f"{name}: $c{place}[row]" for place, name in enumerate(frame.columns) if place > 1]
    fixed = {} if run is None else {"run": run}
    values += [f"{name}: ${name}" for name in fixed]
    source = schema.endpoints(relation)[0]
    target = target or schema.endpoints(relation)[1]
    text = (
        f"UNWIND range(0, size($sources) - 1) AS place MATCH (s:{source} {{id: $sources[place]}}) "
        f"UNWIND range($starts[place], $starts[place + 1] - 1) AS row MATCH (t:{target} {{id: $c1[row]}}) "
        f"CREATE (s)-[:{quoted(relation)} {{{', '.join(values)}}}]->(t)"
    )
    for part in _parts(frame):
        groups = part["source"].rle().struct.unnest()
        columns = {f"c{place}": column.to_list() for place, column in enumerate(part.iter_columns()) if place}
        starts = [0, *groups["len"].cast(pl.Int64).cum_sum()]
        write(text, {"sources": groups["value"].to_list(), "starts": starts, **columns, **fixed})


def delete_edges(write: Write, relation: str, keys: pl.DataFrame) -> None:
    """Delete all edges that join the ends in ``keys`` with the same further properties."""
    same = " AND ".join(f"e.{name} = $c{place}[row]" for place, name in enumerate(keys.columns) if place > 1)
    where = f" WHERE {same}" if same else ""
    _write_parts(write, f"{_ends(relation)} MATCH (s)-[e:{quoted(relation)}]->(t){where} DELETE e", keys)


def _ends(relation: str) -> str:
    source, target = schema.endpoints(relation)
    return f"MATCH (s:{source} {{id: $c0[row]}}) MATCH (t:{target} {{id: $c1[row]}})"


def _write_parts(write: Write, text: str, frame: pl.DataFrame) -> None:
    # Lists of columns: a map for each row is 10 to 25 % slower.
    for part in _parts(frame):
        columns = {f"c{place}": column.to_list() for place, column in enumerate(part.iter_columns())}
        write(f"UNWIND range(0, size($c0) - 1) AS row {text}", columns)


def _parts(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield ``frame`` in parts of at most ``PART_ROWS`` rows and about ``PART_BYTES`` of text."""
    texts = [pl.col(name).str.len_bytes().fill_null(0) for name, kind in frame.schema.items() if kind == pl.String]
    size = frame.select(pl.sum_horizontal(pl.lit(0, pl.Int64), *texts).cum_sum()).to_series()
    start = 0
    while start < len(frame):
        before = size[start - 1] if start else 0
        stop = min(start + PART_ROWS, max(start + 1, int(size.search_sorted(before + PART_BYTES, side="right"))))
        yield frame[start:stop]
        start = stop


def _edge_frame(lists: list[list[Any]], properties: Mapping[str, str], *, relation: str) -> pl.DataFrame:
    source, target, *rest = lists
    columns = {"source": pl.Series(source, dtype=pl.String), "target": pl.Series(target, dtype=pl.String)}
    try:
        for (name, kind), values, is_null in zip(properties.items(), rest[::2], rest[1::2], strict=True):
            stored = pl.Series(name, values, dtype=KINDS[kind], strict=True)
            columns[name] = stored.set(pl.Series(is_null, dtype=pl.Boolean), None)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{relation} edges of another program are in the graph ({error}); delete them, or give an empty database"
        ) from error
    return pl.DataFrame(columns)
