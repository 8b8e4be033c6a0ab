"""Measures recommenders on purchases after a moment: ``python -m gnn.evaluate --run NAME`` reads the test part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tyro
from scipy import sparse

from gnn.baselines import NetworkAlone, popularity
from gnn.co_purchase import CoPurchase
from gnn.fit import FittedNetwork
from gnn.metrics import Row, measure
from gnn.ranking import Recommender, RelatedRecommender, rank
from gnn.related import Recipe, related_edges, related_matrix
from gnn.report import as_markdown
from gnn.run import RunFolder
from gnn.split import split_purchases
from gnn.task import Task, make_task
from kg.build import build_graph, results_by_position
from kg.store import open_store
from loaders.errors import run_command

CUTOFFS = (10, 20)
OURS = "Cartograph"
NEIGHBOURS = 200
SHRINK = 10.0


@dataclass(frozen=True)
class EvaluateConfig:
    """Score the test part of a run's graph by the run's RELATED edges and by the baselines."""

    run: str
    """Name of the run."""

    runs: str = "runs"
    """Folder of all runs."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""


def evaluate(recommender: Recommender, task: Task) -> Row:
    """Return the measures of one recommender by full ranking over all products of the task."""
    ranked = rank(recommender, seen=task.seen, k=max(CUTOFFS))
    return Row(recommender=recommender.name, measures=measure(ranked.products, task.relevant, cutoffs=CUTOFFS))


def evaluate_all(task: Task, *, related: sparse.csr_array, fitted: FittedNetwork, times_known: bool) -> list[Row]:
    """Return the table: plain baselines, the network alone, and ours."""
    as_ever = np.ones(len(task.products))
    neighbours = [Recipe(per_product=NEIGHBOURS)]
    (item_knn,) = related_edges(CoPurchase(task.bought, shrink=SHRINK), neighbours, fitted=None, trend=as_ever)
    recommenders: list[Recommender] = [
        popularity(task.known, products=task.products, weeks=None, now=task.now),
        *([popularity(task.known, products=task.products, weeks=8, now=task.now)] if times_known else []),
        RelatedRecommender("ItemKNN", task.history, item_knn.matrix(len(task.products))),
        NetworkAlone("graph network alone", task.history, fitted),
        RelatedRecommender(OURS, task.history, related),
    ]
    return [evaluate(recommender, task) for recommender in recommenders]


def evaluate_run(folder: RunFolder, *, password_file: str | None = None) -> list[Row]:
    """Score the test part of a finished run from its folder and its store; raise if one of them is another's."""
    config, manifest = folder.config(), folder.manifest()
    with open_store(manifest.store, read_only=True, password_file=password_file) as store:
        graph = build_graph(manifest.require_same_graph(store))
        manifest.require_own_results(store)
        edges = results_by_position(store.read_results("RELATED", manifest.run), graph, relation="RELATED")
    split = split_purchases(graph, config.split, seed=config.seed)
    task = make_task(
        "test",
        graph,
        known=split.before_test,
        later=split.test,
        weighing=manifest.weighing,
        now=split.test_from,
        min_buyers=config.min_buyers,
    )
    return evaluate_all(
        task,
        related=related_matrix(edges, task.products),
        fitted=folder.fitted(),
        times_known=split.way == "by time",
    )


def main() -> None:
    """Run the command line."""
    config = tyro.cli(EvaluateConfig, prog="python -m gnn.evaluate", description=EvaluateConfig.__doc__)
    folder = RunFolder.open(config.runs, config.run)
    report = folder.report().with_test(evaluate_run(folder, password_file=config.password_file))
    folder.write_report(report)
    print(as_markdown(report))


if __name__ == "__main__":
    run_command(main)
