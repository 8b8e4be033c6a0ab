"""Fits the field's baselines to Amazon Beauty, split A, with the field's settings; prints ours beside its figures.

``python benchmarks/field_figures.py --raw FOLDER``. It shows that our baselines are as strong as those that others
measured; nothing is chosen by what it prints. Machines are shared: seconds are those of the processor, on one thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from threadpoolctl import threadpool_limits

from gnn.config import SplitConfig
from gnn.ease import EASE, EASERelations
from gnn.evaluate import evaluate
from gnn.factors import IALS, LightGCN
from gnn.history import FOREVER, Weighing
from gnn.model import Content, Model
from gnn.neighbours import ItemKNN, RP3beta
from gnn.popularity import Popularity
from gnn.ranking import Recommender
from gnn.split import split_purchases
from gnn.task import Task, make_task
from kg.build import build_graph, graph_tables
from loaders.amazon_beauty import RAW, load_amazon_beauty
from loaders.errors import run_command

FIELD_RIDGE = 150.0
"""EASE's λ as the field counts it; ours counts in mean diagonals of XᵀX."""


@dataclass(frozen=True)
class FieldFiguresConfig:
    """What to measure."""

    raw: str = str(RAW)
    """Folder of Amazon Beauty's raw files."""

    seed: int = 0
    """Of the validation part, and of the models that draw."""

    light_gcn: bool = True
    """Measure the seconds of a pass of LightGCN as well."""


def models(task: Task) -> list[tuple[Model, str]]:
    """Return each model with the field's settings and its figure on test, NDCG@10 in percent."""
    ridge = FIELD_RIDGE * len(task.products) / task.bought.nnz
    return [
        (Popularity(), "-"),
        (ItemKNN(neighbours=1000, shrink=30.0), "7.07"),
        (RP3beta(alpha=0.3, beta=0.1, neighbours=1000), "7.39"),
        # The field's settings are not known: these were the best of a few on validation.
        (IALS(factors=256, regularization=10.0, alpha=30.0), "7.46"),
        (EASE(ridge=ridge), "7.64"),
        # Nor are the field's weights known: these are the ones that every shop starts with.
        (EASERelations(ridge=ridge), "8.61"),
    ]


def tasks(config: FieldFiguresConfig) -> tuple[Task, Task, Content]:
    """Return the validation task, the test task, and what a model may know; all that a user bought weighs the same."""
    graph = build_graph(graph_tables(load_amazon_beauty(Path(config.raw))))
    split = split_purchases(graph, SplitConfig(), seed=config.seed)
    equal = Weighing(exponent=0.0, half_life=FOREVER)
    validation = make_task(
        "validation", graph, known=split.past, later=split.validation,
        weighing=equal, now=split.validation_from, min_buyers=0,
    )  # fmt: skip
    test = make_task(
        "test", graph, known=split.before_test, later=split.test,
        weighing=equal, now=split.test_from, min_buyers=0,
    )  # fmt: skip
    # None of these baselines reads a text.
    no_text = np.zeros((len(graph.products), 0), dtype=np.float32)
    return validation, test, Content(graph, no_text, times_known=False, device=torch.device("cpu"))


def fit(model: Model, task: Task, content: Content, *, seed: int) -> tuple[Recommender, float]:
    """Return the fitted model and the processor's seconds it took."""
    start = time.process_time()
    recommender = model.fit(task, content, seed=seed)
    return recommender, time.process_time() - start


def main() -> None:
    """Measure and print a row as soon as it is there."""
    config = tyro.cli(FieldFiguresConfig, description=FieldFiguresConfig.__doc__)
    torch.set_num_threads(1)
    validation, test, content = tasks(config)
    print(
        "| model | settings | validation | test | field, test | s to fit |\n| --- | --- | ---: | ---: | ---: | ---: |"
    )
    with threadpool_limits(limits=1):
        for (for_validation, field), (for_test, _) in zip(models(validation), models(test), strict=True):
            chosen, _ = fit(for_validation, validation, content, seed=config.seed)
            final, seconds = fit(for_test, test, content, seed=config.seed)
            found = [
                f"{100 * evaluate(recommender, task).measures['NDCG@10'].value:.2f}"
                for recommender, task in ((chosen, validation), (final, test))
            ]
            settings = ", ".join(f"{name} {value:.4g}" for name, value in vars(for_test).items())
            print(f"| {for_test.name} | {settings} | {found[0]} | {found[1]} | {field} | {seconds:.1f} |", flush=True)
        if config.light_gcn:
            few, more = (fit(replace(LightGCN(), epochs=epochs), test, content, seed=config.seed) for epochs in (1, 4))
            print(f"\nLightGCN, dimension {LightGCN().dimension}: {(more[1] - few[1]) / 3:.1f} s a pass")


if __name__ == "__main__":
    run_command(main)
