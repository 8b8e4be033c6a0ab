"""Measures what sampling neighbours costs in quality: ``python -m benchmarks.sampled_quality --shop FOLDER``.

GraphSAGE is trained over the full graph and on sampled neighbourhoods, and beside it our linear network, on the past of
a shop that is small enough for all three (``benchmarks/large_shop.py``). Each ranks the validation part after every
pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import tyro

from gnn.config import NetworkConfig, TrainConfig
from gnn.evaluate import evaluate
from gnn.fit import FittedNetwork, fit_network
from gnn.hetero import hetero_data
from gnn.measured import MEASURE
from gnn.neighbours import ItemKNN
from gnn.network_alone import NetworkAlone
from gnn.popularity import Popularity
from gnn.prepare import ShopConfig, prepare
from gnn.ranking import Recommender
from gnn.task import Task, evenly_spaced, only_rows
from loaders.errors import InputError, run_command


@dataclass(frozen=True)
class SampledQuality:
    """What to train on, and how."""

    shop: str
    """Folder of the shop."""

    num_neighbors: tuple[int, ...] = (15, 10)
    """Neighbours along each edge type, a number for each layer."""

    passes: int = 4
    """Passes over the users."""

    measured: int = 3000
    """Users whose lists are measured, at the most."""

    seed: int = 0
    cache: str = "data/text"
    """Folder where text vectors are kept."""

    def __post_init__(self) -> None:
        for name in ("passes", "measured"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        for network in self.networks.values():
            TrainConfig(seed=self.seed, network=network)

    @property
    def networks(self) -> dict[str, NetworkConfig]:
        """The trainings: no network loses ids by chance, as among the baselines, but the linear one, as by default."""
        linear = NetworkConfig(evaluate_every=1, patience=self.passes)
        sage = replace(linear, kind="sage", layers=len(self.num_neighbors), identity_dropout=0.0)
        counts = "-".join(map(str, self.num_neighbors))
        return {
            "linear, full graph": linear,
            "GraphSAGE, full graph": sage,
            f"GraphSAGE, {counts} neighbours": replace(sage, num_neighbors=self.num_neighbors),
        }


def sampled_quality(config: SampledQuality) -> Iterator[str]:
    """Yield the table's lines."""
    prepared = prepare(ShopConfig(shop=config.shop, cache=config.cache, device="cpu", seed=config.seed))
    task, content = prepared.validation_task(), prepared.content
    able = np.flatnonzero(np.diff(task.relevant.indptr))
    some = able[evenly_spaced(len(able), most=config.measured)]
    task = replace(task, relevant=only_rows(task.relevant, some))
    yield f"{task.history.nnz:,} pairs, {len(task.products):,} products; {len(some):,} users measured"
    yield f"| model | s of the processor | {MEASURE} % after each pass |\n|---|---:|---|"
    for model in (Popularity(), ItemKNN()):
        begin = time.process_time()
        fitted = model.fit(task, content, seed=config.seed)
        yield f"| {model.name} | {time.process_time() - begin:,.0f} | {_percent(fitted, task)[1]} |"
    data = hetero_data(prepared.graph, past=task.known, products=task.products, text=content.text[task.products])
    for name, network in config.networks.items():
        found: list[str] = []
        looking: list[float] = []

        def validate(fitted: FittedNetwork, found: list[str] = found, looking: list[float] = looking) -> float:
            begin = time.process_time()
            ndcg, words = _percent(NetworkAlone("network", task.history, fitted), task)
            found.append(words)
            looking.append(time.process_time() - begin)
            return ndcg

        begin = time.process_time()
        cpu = torch.device("cpu")
        fit_network(
            data, task.history, config=network, device=cpu, seed=config.seed, epochs=config.passes, validate=validate
        )
        spent = time.process_time() - begin - sum(looking)
        yield f"| {name} | {spent:,.0f} | {', '.join(found)} |"


def _percent(recommender: Recommender, task: Task) -> tuple[float, str]:
    found = evaluate(recommender, task).measures[MEASURE]
    return found.value, f"{100 * found.value:.2f} ± {100 * found.interval:.2f}"


def main() -> None:
    """Run the command line."""
    for line in sampled_quality(tyro.cli(SampledQuality, prog="python -m benchmarks.sampled_quality")):
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
