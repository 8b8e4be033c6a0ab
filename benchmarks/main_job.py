"""Measures the main job on The Complete Journey: loading, the second start, memory, and Cypher's answers.

Run ``make train`` first, then ``make benchmark`` (or ``python benchmarks/main_job.py --pairs 200``). It prints what it
saw beside what is wanted; machines differ, so the last table also gives ratios to a plain way in the same run.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import tyro
from scipy.sparse import csr_array

from gnn.history import Weighing, history_weights
from gnn.profile_export import export_profiles
from gnn.ranking import Ranked, best_products
from gnn.related import related_matrix, related_products
from gnn.run import RunFolder
from kg.build import build_graph, results_by_position
from kg.cypher import read_query
from kg.explain import score_parameters
from kg.recommend import recommend
from kg.store import open_store

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    run: str = "complete-journey"
    """Name of a finished run."""

    runs: str = "runs"
    """Folder of all runs."""

    pairs: int = 200
    """Random users that are recommended to, and one product of each that is explained."""

    seed: int = 0
    """Of the choice of users."""

    store: str | None = None
    """Another store that the run was copied to (by benchmarks.exact_sums --copy-to): only its answers are measured."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    start: bool = True
    """Measure loading and the start of a second training as well, in processes of their own."""


def timed(ask: Callable[[], Answer]) -> tuple[Answer, float]:
    """Return the answer, and how many milliseconds it took."""
    start = time.perf_counter()
    answer = ask()
    return answer, 1000 * (time.perf_counter() - start)


def start_rows(config: BenchmarkConfig) -> list[tuple[str, str, str]]:
    """Return the rows about loading and starting, measured in fresh processes."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = f"ladybug:{folder}/shop.lbug"
        command = [sys.executable, "-m", "kg.load", "--store", store]
        for name, wanted in (("load into an empty store, whole process", "15 s"), ("load again, unchanged", "-")):
            _, milliseconds = timed(partial(subprocess.run, command, check=True, capture_output=True))
            rows.append((name, f"{milliseconds / 1000:.1f} s", wanted))
    rows.append(("second run, process start until training starts", f"{seconds_to_training(config):.1f} s", "20 s"))
    return rows


def seconds_to_training(config: BenchmarkConfig) -> float:
    """Return the seconds from process start to the first epoch of a run whose graph and text vectors are there."""
    name = "benchmark-start"
    command = [sys.executable, "-m", "gnn.train", "--runs", config.runs, "--run", name, "--overwrite"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        stdout = process.stdout
        if stdout is None:
            raise RuntimeError("no output to read")
        for line in stdout:
            if line.startswith("text vectors:"):
                break
        seconds = time.perf_counter() - start
        process.terminate()
        process.communicate()
    for part in Path(config.runs).glob(f".{name}.*.part"):
        shutil.rmtree(part)
    return seconds


def query_rows(config: BenchmarkConfig) -> list[tuple[str, str, str]]:
    """Return the rows about Cypher's answers and about the same answers as a sparse product."""
    folder = RunFolder.open(config.runs, config.run)
    manifest = folder.manifest()
    with open_store(config.store or manifest.store, read_only=True, password_file=config.password_file) as store:
        recommend_in, explain_in = ("120 ms", "20 ms") if store.dialect == "neo4j" else ("60 ms", "5 ms")
        run = manifest.require_own_results(store)
        graph = build_graph(store.read_graph())
        edges = results_by_position(store.read_results("RELATED", manifest.run), graph, relation="RELATED")
        buyers = graph.bought["user"].unique().sort().to_numpy()
        rng = np.random.default_rng(config.seed)
        chosen = np.sort(rng.choice(buyers, size=min(config.pairs, len(buyers)), replace=False))
        users = graph.users["id"].gather(chosen).to_list()
        asked = [timed(partial(recommend, store, user=user, run=run, limit=100)) for user in users]
        pairs = [
            (user, rows["product"][int(rng.integers(len(rows)))])
            for user, (rows, _) in zip(users, asked, strict=True)
            if len(rows)
        ]
        text = read_query("explain_score", dialect=store.dialect)
        explain = [
            timed(partial(store.query, text, score_parameters(user, product, run, limit=10_000)))[1]
            for user, product in pairs
        ]
    products = related_products(edges)
    weighing = Weighing(exponent=run.exponent, half_life=run.half_life)
    history = history_weights(
        graph.bought, products=products, num_users=len(graph.users), weighing=weighing, now=run.now
    )
    related = related_matrix(edges, products)
    slow = [milliseconds for _, milliseconds in asked]
    sparse = [timed(partial(rank_one, history, related, user))[1] for user in chosen.tolist()]
    median, fast = statistics.median(slow), statistics.median(sparse)
    return [
        (f"recommend 100 by Cypher, median of {len(slow)}", f"{median:.1f} ms", recommend_in),
        ("recommend 100 by Cypher, 95th percentile", f"{np.quantile(slow, 0.95):.1f} ms", "-"),
        (f"explain a pair by Cypher, median of {len(explain)}", f"{statistics.median(explain):.1f} ms", explain_in),
        ("explain a pair by Cypher, 95th percentile", f"{np.quantile(explain, 0.95):.1f} ms", "-"),
        ("the same recommendation as a sparse product in memory", f"{fast:.1f} ms", "-"),
        ("Cypher / sparse product", f"{median / fast:.1f} times", "-"),
    ]


def profile_rows(config: BenchmarkConfig) -> list[tuple[str, str, str]]:
    """Return the row about making and writing the profiles of all users; the store is read for it too."""
    folder = RunFolder.open(config.runs, config.run)
    with tempfile.TemporaryDirectory() as place:
        make = partial(export_profiles, folder, out=f"{place}/profiles", to_graph=False, password_file=None)
        seconds = timed(make)[1] / 1000
    return [("profiles of all users, to files", f"{seconds:.1f} s", "60 s")]


def rank_one(history: csr_array, related: csr_array, user: int) -> Ranked:
    """Return the best 100 products of one user by the sparse product."""
    return best_products((history[[user]] @ related).toarray(), k=100)


def main() -> None:
    """Measure and print a table."""
    config = tyro.cli(BenchmarkConfig, description=BenchmarkConfig.__doc__)
    rows = query_rows(config)
    if config.store is None:
        report = json.loads((Path(config.runs) / config.run / "report.json").read_text())
        stages = [(f"main job: {stage}", f"{seconds:.1f} s", "-") for stage, seconds in report["seconds"].items()]
        whole = ("main job: all stages", f"{sum(report['seconds'].values()):.1f} s", "600 s")
        rows = [*stages, whole, *rows, *profile_rows(config), *(start_rows(config) if config.start else [])]
    width = max(len(name) for name, _, _ in rows)
    print(f"| {'what':{width}} | {'measured':>12} | {'wanted':>8} |\n| {'-' * width} | {'-' * 11}: | {'-' * 7}: |")
    for name, value, wanted in rows:
        print(f"| {name:{width}} | {value:>12} | {wanted:>8} |")


if __name__ == "__main__":
    main()
