"""Trains GraphSAGE on sampled neighbourhoods of the graph in a store, and says what that took.

``python -m benchmarks.sampled_training --store ladybug:data/large.lbug``: one pass over all users, or ``--steps``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import tyro

from gnn.checkpoint import Checkpoint, Training
from gnn.config import NetworkConfig
from gnn.cost import Cost, costed
from gnn.fit import make_network
from gnn.hetero import hetero_data
from gnn.history import FOREVER, Weighing, history_weights
from gnn.network import BOUGHT
from gnn.sampled_steps import SampledSteps
from gnn.text import encode_texts
from kg.build import build_graph
from kg.store import open_store
from loaders.errors import InputError, run_command

CPU = torch.device("cpu")


@dataclass(frozen=True)
class SampledTraining:
    """What to train on."""

    store: str
    """Address of the store that holds the graph."""

    steps: int | None = None
    """Steps at the most; by default those of a whole pass."""

    batch_users: int = 2048
    """Users in a step."""

    num_neighbors: tuple[int, ...] = (15, 10)
    """Neighbours along each edge type, a number for each layer."""

    cache: str = "data/text"
    """Folder where text vectors are kept."""

    seed: int = 0
    """All chance comes from it."""


def sampled_training(config: SampledTraining) -> str:
    """Return what reading, preparing and training took."""
    if config.steps is not None and config.steps < 1:
        raise InputError(f"the steps are {config.steps}; give 1 or more")
    with costed() as reading, open_store(config.store, read_only=True) as store:
        graph = build_graph(store.read_graph())
    with costed() as preparing:
        products = np.arange(len(graph.products))
        text = encode_texts(graph.products["text"].to_list(), folder=None, cache=Path(config.cache), device=CPU)
        known = graph.bought.select("user", "product", "at")
        data = hetero_data(graph, past=known, products=products, text=text)
        plain = Weighing(exponent=0.0, half_life=FOREVER)
        history = history_weights(known, products=products, num_users=len(graph.users), weighing=plain, now=0)
        purchases = len(known)
        # What is trained on is in `data` and `history`.
        del graph, known
        settings = NetworkConfig(kind="sage", num_neighbors=config.num_neighbors, layers=len(config.num_neighbors))
        network = make_network(data, settings, device=CPU, seed=config.seed)
        steps = SampledSteps.over(data, history, config=settings, batch_users=config.batch_users)
        training = Training(
            network,
            torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0),
            rng=np.random.default_rng(config.seed),
            dropout=network.rng,
            checkpoint=Checkpoint("sampled training"),
        )
    with costed() as trained:
        begun = time.perf_counter()
        for batch in islice(steps.batches(training.rng), config.steps):
            training.step(steps.loss(network, batch))  # type: ignore[arg-type]
            if len(training.losses) % 100 == 0:
                each = (time.perf_counter() - begun) / len(training.losses)
                print(f"step {len(training.losses)}: loss {np.mean(training.losses[-100:]):.3f}, {each:.2f} s a step")
    done = len(training.losses)
    edges = sum(data[edge_type].num_edges for edge_type in data.edge_types if edge_type == BOUGHT)
    first, last = (float(np.mean(part)) for part in (training.losses[:10], training.losses[-10:]))
    return (
        f"{purchases:,} purchases, {edges:,} of different pairs: read {_in_words(reading)}, prepared "
        f"{_in_words(preparing)}, {done} steps of {config.batch_users} users {steps.in_words} {_in_words(trained)}, "
        f"loss {first:.3f} to {last:.3f}"
    )


def _in_words(cost: Cost) -> str:
    return f"in {cost.seconds:,.0f} s (peak {cost.memory_mb:,.0f} MB)"


def main() -> None:
    """Run the command line."""
    print(
        sampled_training(tyro.cli(SampledTraining, prog="python -m benchmarks.sampled_training", description=__doc__))
    )


if __name__ == "__main__":
    run_command(main)
