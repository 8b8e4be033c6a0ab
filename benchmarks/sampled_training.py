"""Trains GraphSAGE on sampled neighbourhoods of a store's graph, or of made-up purchases, and says what that took.

``python -m benchmarks.sampled_training --store ladybug:data/large.lbug`` makes one pass over all users, ``--millions
100 --steps 1000`` so many steps on purchases that power laws draw (``benchmarks/large_shop.py``) and no store holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import torch
import tyro
from scipy import sparse
from torch_geometric.data import HeteroData

from benchmarks.large_shop import PRODUCT_SKEW, USER_SKEW, by_power_law
from gnn.checkpoint import Checkpoint, Training
from gnn.config import NetworkConfig
from gnn.cost import Cost, costed
from gnn.fit import make_network
from gnn.hetero import hetero_data
from gnn.memory import freed_memory_kept
from gnn.message_passing import REVERSED
from gnn.network import BOUGHT
from gnn.purchases import USERS_AT_ONCE, PurchasesInStore
from gnn.sampled_steps import SampledSteps
from gnn.text import encode_texts
from kg.build import build_graph
from kg.store import open_store
from loaders.errors import InputError, run_command

CPU = torch.device("cpu")
TEXT = 384
"""Length of made-up text vectors: MiniLM's."""


@dataclass(frozen=True)
class SampledTraining:
    """What to train on."""

    store: str | None = None
    """Address of the store that holds the graph."""

    millions: float | None = None
    """Millions of purchases to make up in the place of a store's, by a twentieth as many users."""

    products: int = 200_000
    """Products of what is made up, with random text vectors."""

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
    with costed() as reading:
        data, history = _stored(config) if config.store else _made_up(config)
    with costed() as preparing:
        settings = NetworkConfig(kind="sage", num_neighbors=config.num_neighbors, layers=len(config.num_neighbors))
        network = make_network(data, settings, device=CPU, seed=config.seed)
        steps = SampledSteps.over(data, history, config=settings, batch_users=config.batch_users)
        training = Training(
            network,
            [torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)],
            rng=np.random.default_rng(config.seed),
            dropout=network.rng,
            checkpoint=Checkpoint("sampled training"),
        )
    with costed() as trained, freed_memory_kept():
        for batch in islice(steps.batches(training.rng), config.steps):
            training.step(steps.losses(network, batch))
            if len(training.losses) % 100 == 0:
                print(f"step {len(training.losses)}: loss {np.mean(training.losses[-100:]):.3f}", flush=True)
    first, last = (float(np.mean(part)) for part in (training.losses[:10], training.losses[-10:]))
    return (
        f"{history.nnz:,} pairs of a user and a product: read {_in_words(reading)}, prepared "
        f"{_in_words(preparing)}, {len(training.losses)} steps of {config.batch_users} users {steps.in_words} "
        f"{_in_words(trained)}, loss {first:.3f} to {last:.3f}"
    )


def _stored(config: SampledTraining) -> tuple[HeteroData, sparse.csr_array]:
    """Return the graph in the store, and who bought what there, users × products."""
    with open_store(str(config.store), read_only=True) as store:
        graph = build_graph(store.read_graph(purchases=False))
        purchases = PurchasesInStore(store, graph, store.fingerprint(), now=np.iinfo(np.int64).max)
        num_users, parts = len(graph.users), []
        for start in range(0, num_users, USERS_AT_ONCE):
            part = purchases.of_users(start, min(start + USERS_AT_ONCE, num_users))
            parts.append(part.select((pl.col("user") + start).cast(pl.Int32), pl.col("product").cast(pl.Int32)))
    text = encode_texts(graph.products["text"].to_list(), folder=None, cache=Path(config.cache), device=CPU)
    data = hetero_data(graph, past=pl.concat(parts), products=np.arange(len(graph.products)), text=text)
    return data, _history(data)


def _made_up(config: SampledTraining) -> tuple[HeteroData, sparse.csr_array]:
    """Return the same of purchases with the skew of :mod:`benchmarks.large_shop`, and nothing else."""
    if config.millions is None or config.millions <= 0:
        raise InputError("nothing to train on; give --store ADDRESS, or --millions above 0")
    count = int(1e6 * config.millions)
    users, rng = max(count // 20, 1), np.random.default_rng(config.seed)
    pairs = np.unique(
        by_power_law(rng, count, count=users, skew=USER_SKEW) * config.products
        + rng.permutation(config.products)[by_power_law(rng, count, count=config.products, skew=PRODUCT_SKEW)]
    )
    both = torch.from_numpy(np.stack(np.divmod(pairs, config.products)))
    del pairs
    data = HeteroData()
    data["user"].num_nodes = users
    data["product"].num_nodes = config.products
    data["product"].x = torch.from_numpy(rng.standard_normal((config.products, TEXT), dtype=np.float32))
    data[BOUGHT].edge_index, data[REVERSED].edge_index = both, both.flip(0)
    return data, _history(data)


def _history(data: HeteroData) -> sparse.csr_array:
    """Return who bought what, users × products, each pair once and of one weight."""
    user, product = data[BOUGHT].edge_index.numpy()
    shape = (data["user"].num_nodes, data["product"].num_nodes)
    # They are sorted by user, then product: the rows of a matrix as they stand.
    ends = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=shape[0]))])
    return sparse.csr_array((np.ones(len(product)), product.astype(np.int32), ends), shape=shape)


def _in_words(cost: Cost) -> str:
    return f"in {cost.seconds:,.0f} s (peak {cost.memory_mb:,.0f} MB)"


def main() -> None:
    """Run the command line."""
    print(
        sampled_training(tyro.cli(SampledTraining, prog="python -m benchmarks.sampled_training", description=__doc__))
    )


if __name__ == "__main__":
    run_command(main)
