"""Measures recommenders on purchases after a moment: ``python -m gnn.evaluate --run NAME`` reads the test part.

With ``--explanations`` it measures the run's explanations instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import tyro
from scipy import sparse

from gnn.explanation_evaluation import ExplanationSample, measure_explanations
from gnn.explanation_table import table_text
from gnn.fit import FittedNetwork
from gnn.metrics import Row, measure
from gnn.model import Content, Model
from gnn.neighbours import ItemKNN
from gnn.network_alone import NAMES, NetworkAlone
from gnn.popularity import PersonalFrequency, Popularity, PopularityLastWeeks
from gnn.profile_evaluation import evaluate_profiles
from gnn.ranking import Recommender, RelatedRecommender, rank
from gnn.related import related_matrix
from gnn.report import as_markdown
from gnn.run import RunFolder
from gnn.split import split_purchases
from gnn.task import Task, task_of_split
from kg.build import build_graph, results_by_position
from kg.store import open_store
from loaders.errors import InputError, run_command

CUTOFFS = (10, 20)
OURS = "Cartograph"
CLOSED_FORM = "closed form"


@dataclass(frozen=True)
class EvaluateConfig:
    """Score the test part of a run's graph by the run's RELATED edges and by the baselines."""

    run: str
    """Name of the run."""

    runs: str = "runs"
    """Folder of all runs."""

    profiles: bool = False
    """Measure the users' profiles (docs/profiles.md) in place of the recommendations."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    explanations: bool = False
    """Measure whether the run's explanations are true, in the place of its rankings (docs/explanations.md)."""

    sample: tyro.conf.OmitArgPrefixes[ExplanationSample] = field(default_factory=ExplanationSample)
    """Which explanations are measured."""


def evaluate(recommender: Recommender, task: Task) -> Row:
    """Return the measures of one recommender by full ranking over all products of the task."""
    users = task.measured
    # Nothing is measured of a user who has nothing to find.
    users = users[np.diff(task.relevant.indptr)[users] > 0]
    ranked = rank(recommender, seen=task.seen, k=max(CUTOFFS), users=users)
    measures = measure(ranked.products, task.relevant[users], cutoffs=CUTOFFS)
    return Row(recommender=recommender.name, measures=measures)


def evaluate_all(
    task: Task,
    content: Content,
    *,
    history: sparse.csr_array,
    related: sparse.csr_array,
    network: FittedNetwork | None,
    kind: Literal["linear", "sage", "hgt"],
) -> list[Row]:
    """Return the table: the baselines that are fitted in no time, the network alone, and ours by a(u, j) and R."""
    plain: list[Model] = [
        Popularity(),
        *([PopularityLastWeeks()] if content.times_known else []),
        *([PersonalFrequency()] if task.repeat else []),
        ItemKNN(),
    ]
    recommenders: list[Recommender] = [
        *(model.fit(task, content, seed=0) for model in plain),
        *([NetworkAlone(NAMES[kind], history, network)] if network else []),
        RelatedRecommender(OURS, history, related),
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
    task = task_of_split(
        "test", graph, split, weighing=manifest.weighing, min_buyers=config.min_buyers, repeat=config.repeat
    )
    # None of the plain baselines reads a text.
    no_text = np.zeros((len(graph.products), 0), dtype=np.float32)
    content = Content(graph, no_text, times_known=split.way == "by time", device=torch.device("cpu"))
    return evaluate_all(
        task,
        content,
        history=task.history,
        related=related_matrix(edges, task.products),
        network=folder.network(),
        kind=config.network.kind,
    )


def main() -> None:
    """Run the command line."""
    config = tyro.cli(EvaluateConfig, prog="python -m gnn.evaluate", description=EvaluateConfig.__doc__)
    if config.explanations and config.profiles:
        raise InputError("--explanations and --profiles measure different things; give one of them")
    folder = RunFolder.open(config.runs, config.run)
    if config.explanations:
        found = measure_explanations(folder, config.sample, runs=config.runs, password_file=config.password_file)
        file = folder.write_explanations(found.to_json())
        print(f"{table_text(found)}\n\nwritten to {file}")
        return
    if config.profiles:
        print(evaluate_profiles(folder, password_file=config.password_file))
        return
    report = folder.report().with_test(evaluate_run(folder, password_file=config.password_file))
    folder.write_report(report)
    print(as_markdown(report))


if __name__ == "__main__":
    run_command(main)
