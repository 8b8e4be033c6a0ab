"""Measures Neo4j on The Complete Journey: loading, loading again, reading, writing back, and each query beside Ladybug.

Ends with code 1 where the two stores differ in an answer, the graph or the edges. Run ``make train`` (Ladybug) and
``make neo4j`` first, set ``NEO4J_PASSWORD_FILE`` as that says, then
``python benchmarks/neo4j_store.py --store bolt://127.0.0.1:7687``. The database has to be empty or to hold this graph.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
import tyro

from kg.cypher import parameters_of, query_names, read_query
from kg.lookup import require_run
from kg.store import GraphStore, open_store

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


def compare(one: GraphStore, other: GraphStore, name: str, values: list[dict[str, object]]) -> int:
    """Ask both stores and print how long they take and how many answers differ, which is returned."""
    texts = [read_query(name, dialect=store.dialect) for store in (one, other)]
    wanted = parameters_of(texts[0])
    different, seconds = 0, ([], [])
    for given in values:
        own = {key: given[key] for key in wanted}
        answers = []
        for place, store in enumerate((one, other)):
            answer, took = timed(lambda store=store, own=own, text=texts[place]: store.query(text, own))
            seconds[place].append(took * 1000)
            answers.append(answer)
        different += not equal(*answers)
    first, second = (statistics.median(times) for times in seconds)
    print(f"{name:24} {different:4} of {len(values)} differ   {first:8.1f} ms   {second:8.1f} ms", flush=True)
    return different


def equal(ours: pl.DataFrame, theirs: pl.DataFrame) -> bool:
    """Return whether two answers agree row for row, numbers up to the order in which they were added."""
    if ours.shape != theirs.shape:
        return False
    pairs = zip(ours.rows(), theirs.rows(), strict=True)
    return all(
        a == b or (isinstance(a, float) and isinstance(b, float) and bool(np.isclose(a, b, rtol=1e-9, atol=1e-15)))
        for row, wanted in pairs
        for a, b in zip(row, wanted, strict=True)
    )


def main(config: BenchmarkConfig) -> None:
    """Measure and print."""
    with open_store(config.ladybug, read_only=True) as ladybug, open_store(config.store) as store:
        tables = ladybug.read_graph()
        run = require_run(ladybug, config.run)
        related = ladybug.read_results("RELATED", run.name)
        edges = sum(len(frame) for frame in tables.edges.values())
        new = store.layout() is None
        before = memory()
        _, seconds = timed(lambda: store.replace_graph(tables))
        if new:
            tell("load", edges + sum(len(frame) for frame in tables.nodes.values()), seconds, wanted=WANTED["load"])
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
        values = [
            {
                "user": str(user),
                "product": str(product),
                "run": run.name,
                "now": float(run.now),
                "half_life": run.half_life,
                "exponent": run.exponent,
                "level": 2,
                "limit": 10,
            }
            for user, product in zip(users, rng.choice(bought, config.pairs), strict=True)
        ]
        print(f"{'':24} {'':4} {'':13}   Neo4j        Ladybug (medians)")
        different = sum(compare(store, ladybug, name, values) for name in query_names())
        if different or not same or not again.equals(related):
            sys.exit("the two stores do not give the same answers")


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
