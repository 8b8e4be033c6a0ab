"""Measures Neo4j on The Complete Journey: loading, adding a day, reading, writing back, and each query beside Ladybug.

Ends with code 1 where a store's answer is not that of the tables, or the graph or the edges differ. Run ``make train``
(Ladybug) and ``make neo4j`` first, set ``NEO4J_PASSWORD_FILE`` as that says, then
``python -m benchmarks.neo4j_store --store bolt://127.0.0.1:7687``. The database has to be empty or to hold this graph.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl
import tyro

from kg.cypher import parameters_of, query_names, read_query
from kg.graph import GraphTables
from kg.lookup import require_run
from kg.store import GraphStore, open_store
from tests.kg.answers import ANSWERS, Known, same_rows

Answer = TypeVar("Answer")
WANTED = {"load": 36_000.0, "read": 103_000.0, "write": 36_000.0}
"""Edges a second that a plain, careful script reached on two cores."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    store: str
    """Address of the Neo4j database."""

    ladybug: str = "ladybug:data/complete-journey.lbug"
    """The store the graph and the run are taken from."""

    run: str | None = None
    """Run to copy; by default the last."""

    pairs: int = 200
    """Random pairs of user and product that every query is asked about."""

    rows: int = 10
    """Rows that every query is asked for, such as products to recommend."""

    seed: int = 0
    """Of the choice of pairs."""


def timed(ask: Callable[[], Answer]) -> tuple[Answer, float]:
    """Return the answer, and how many seconds it took."""
    start = time.perf_counter()
    answer = ask()
    return answer, time.perf_counter() - start


def memory() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tell(what: str, count: int, seconds: float, *, wanted: float | None = None) -> None:
    """Print a rate, and its ratio to the wanted one."""
    rate = count / seconds
    beside = f", {rate / wanted:.2f} times the {wanted:,.0f} of a plain script" if wanted else ""
    print(f"{what}: {count:,} in {seconds:.1f} s, {rate:,.0f} a second{beside}", flush=True)


def compare(stores: tuple[GraphStore, GraphStore], known: Known, name: str, values: list[dict[str, object]]) -> int:
    """Ask both stores; print how long they take and how many answers are not those of the tables, which is returned."""
    wrong, seconds = [0, 0], ([], [])
    for given in values:
        expected = ANSWERS[name](known, given).head(given["limit"])
        for place, store in enumerate(stores):
            text = read_query(name, dialect=store.dialect)
            own = {key: given[key] for key in parameters_of(text)}
            answer, took = timed(lambda store=store, own=own, text=text: store.query(text, own))
            seconds[place].append(took * 1000)
            wrong[place] += not same_rows(answer, expected)
    shown = "".join(
        f"{bad:6} of {len(values)} wrong {statistics.median(times):8.1f} ms"
        for bad, times in zip(wrong, seconds, strict=True)
    )
    print(f"{name:20}{shown}", flush=True)
    return sum(wrong)


def without_the_newest(tables: GraphTables, *, share: float) -> GraphTables:
    """Return the graph before the newest ``share`` of its purchases."""
    bought = tables.edges["BOUGHT"]
    newest = bought.with_row_index("row").sort("at", "row").tail(int(share * len(bought)))["row"]
    older = bought.with_row_index("row").filter(~pl.col("row").is_in(newest.implode())).drop("row")
    return replace(tables, edges={**tables.edges, "BOUGHT": older})


def main(config: BenchmarkConfig) -> None:
    """Measure and print."""
    with open_store(config.ladybug, read_only=True) as ladybug, open_store(config.store) as store:
        tables = ladybug.read_graph()
        run = require_run(ladybug, config.run)
        related = ladybug.read_results("RELATED", run.name)
        edges = sum(len(frame) for frame in tables.edges.values())
        new = store.layout() is None
        before = memory()
        if new:
            older = without_the_newest(tables, share=0.01)
            records = sum(len(frame) for frame in [*older.nodes.values(), *older.edges.values()])
            _, seconds = timed(lambda: store.replace_graph(older))
            tell("load without the newest 1 % of purchases", records, seconds, wanted=WANTED["load"])
        _, seconds = timed(lambda: store.replace_graph(tables))
        print(f"load the whole graph {'after that' if new else 'again'}: {seconds:.1f} s")
        print(
            f"memory of the client: {before:,.0f} MB with the tables, {memory():,.0f} MB at most while they were loaded"
        )
        found, seconds = timed(store.read_graph)
        tell("read edges (and all nodes)", edges, seconds, wanted=WANTED["read"])
        same = found.fingerprint() == tables.fingerprint()
        print(f"the same fingerprint from both stores: {same}")
        _, seconds = timed(lambda: store.write_results("RELATED", related, run=run))
        tell("write RELATED", len(related), seconds, wanted=WANTED["write"])
        _, seconds = timed(lambda: store.write_results("RELATED", related, run=run))
        tell("write RELATED again (and delete the old)", len(related), seconds)
        again, seconds = timed(lambda: store.read_results("RELATED", run.name))
        tell("read RELATED", len(again), seconds, wanted=WANTED["read"])

        rng = np.random.default_rng(config.seed)
        users = rng.choice(tables.nodes["User"]["id"].to_numpy(), config.pairs)
        bought = tables.edges["BOUGHT"]["target"].unique().sort().to_numpy()
        source_of = dict(related.group_by("target").agg(pl.col("source").first()).iter_rows())
        values = [
            {
                "user": str(user),
                "users": [str(user)],
                "product": str(product),
                "run": run.name,
                "now": float(run.now),
                "half_life": run.half_life,
                "exponent": run.exponent,
                "repeat": run.repeat,
                "level": 2,
                "limit": config.rows,
                "because": source_of.get(product, str(product)),
                "basket": [str(product), source_of.get(product, str(product))] * 2,
                "sample": 3,
            }
            for user, product in zip(users, rng.choice(bought, config.pairs), strict=True)
        ]
        others = {relation: ladybug.read_results(relation, run.name) for relation in ("RECOMMENDED", "PREFERS")}
        for relation, frame in others.items():
            store.write_results(relation, frame, run=run)
        known = Known.of(tables, related, run, recommended=others["RECOMMENDED"], preferred=others["PREFERS"])
        print(f"{'':20}{'Neo4j':>24}{'Ladybug (medians)':>33}")
        wrong = sum(compare((store, ladybug), known, name, values) for name in query_names())
        if wrong or not same or not again.equals(related):
            sys.exit("the two stores do not give the answers of the tables")


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
