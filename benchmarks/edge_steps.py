"""Measures a step of the edge network beside a plain one that scores all products: ``python -m benchmarks.edge_steps``.

Both make the same steps on made-up candidates of the size of Amazon Beauty's, in turns, and have the same loss. With
``THP_MEM_ALLOC_ENABLE=0`` before the command large tensors do not lie in large pages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from scipy import sparse
from torch import Tensor

from gnn.candidates import BY_BASE, BY_NETWORK, Candidates
from gnn.edge_batch import EdgeBatch
from gnn.edges import EdgeNetwork
from gnn.memory import freed_memory_kept
from loaders.errors import InputError, run_command

CPU = torch.device("cpu")


@dataclass(frozen=True)
class EdgeSteps:
    """What the steps are made on."""

    products: int = 12_000
    edges: int = 190
    """From each product."""

    features: int = 22
    users: int = 512
    """Of a step."""

    purchases: int = 5
    """Of a user; one more is to be found."""

    steps: int = 10
    rounds: int = 3
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < (name != "seed"):
                raise InputError(f"{name} is {value}; give {int(name != 'seed')} or more")
        if self.products <= max(self.edges, self.purchases):
            raise InputError(f"products is {self.products}; give more than the edges and purchases of one")


@dataclass(frozen=True)
class Drawn:
    """The users of a step: what they bought, and what is to be found."""

    history: sparse.csr_array
    wanted: sparse.csr_array


def edge_steps(config: EdgeSteps) -> str:
    """Return both ways' seconds of the processor a step, in words."""
    torch.set_num_threads(config.threads)
    rng = np.random.default_rng(config.seed)
    candidates = made_up_candidates(config, rng)
    drawn = [made_up_users(config, rng) for _ in range(config.steps)]
    mean, spread = (torch.from_numpy(each) for each in (candidates.features.mean(0), candidates.features.std(0)))
    ways: dict[str, Callable[[EdgeNetwork, Candidates, Drawn], Tensor]] = {"plain": plain_loss, "ours": our_loss}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses = {}
    for _ in range(config.rounds):
        for name, loss_of in ways.items():
            network = EdgeNetwork(mean, spread, hidden=32, rng=torch.Generator().manual_seed(config.seed))
            began = time.process_time()
            losses[name] = run(network, candidates, drawn, loss_of)
            seconds[name].append((time.process_time() - began) / config.steps)
    plain, ours = (float(np.median(seconds[name])) for name in ways)
    ratio = float(np.median(np.divide(seconds["plain"], seconds["ours"])))
    pages = "no large pages" if os.environ.get("THP_MEM_ALLOC_ENABLE") == "0" else "large pages"
    return (
        f"plain {plain:.3f} s of the processor a step, ours {ours:.3f}: {ratio:.2f} times as fast, with {pages}; "
        f"the last loss {losses['plain']:.5f} and {losses['ours']:.5f}"
    )


def run(
    network: EdgeNetwork,
    candidates: Candidates,
    drawn: list[Drawn],
    loss_of: Callable[[EdgeNetwork, Candidates, Drawn], Tensor],
) -> float:
    """Make the steps, and return the last loss."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.004)
    last = 0.0
    for each in drawn:
        optimizer.zero_grad()
        loss = loss_of(network, candidates, each)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        last = float(loss.detach())
    return last


def our_loss(network: EdgeNetwork, candidates: Candidates, drawn: Drawn) -> Tensor:
    """Return the mean of -log softmax at what is wanted, by the program's own batch."""
    batch = EdgeBatch.of(candidates, drawn.history, wanted=drawn.wanted, seen=drawn.history, device=CPU)
    return -network.log_likelihood(batch, 1.0).mean()


def plain_loss(network: EdgeNetwork, candidates: Candidates, drawn: Drawn) -> Tensor:
    """Return the same with a score for every user and product."""
    bought = drawn.history.tocoo()
    sources = np.unique(bought.col)
    edges = np.flatnonzero(np.isin(candidates.source, sources))
    values = network(
        torch.from_numpy(candidates.features[edges]),
        torch.from_numpy(candidates.start[edges]),
        torch.from_numpy((candidates.proposed_by[edges] == BY_NETWORK).astype(np.float32)),
    )
    each = len(edges) // len(sources)
    step = (np.searchsorted(sources, bought.col)[:, None] * each + np.arange(each)).ravel()
    cell = np.repeat(bought.row.astype(np.int64), each) * candidates.num_products + candidates.target[edges][step]
    scores = torch.zeros(drawn.history.shape[0] * candidates.num_products)
    scores = scores.index_add(0, torch.from_numpy(cell), values[torch.from_numpy(step)]).view(drawn.history.shape)
    utility = network.log_sharpness.exp() * torch.log(network.log_floor.exp() + scores.clamp(min=0))
    seen = tuple(torch.from_numpy(part).long() for part in (bought.row, bought.col))
    utility = utility.index_put(seen, torch.tensor(-torch.inf))
    goal = drawn.wanted.tocoo()
    row, column = (torch.from_numpy(part).long() for part in (goal.row, goal.col))
    return -torch.log_softmax(utility, dim=1)[row, column].mean()


def made_up_candidates(config: EdgeSteps, rng: np.random.Generator) -> Candidates:
    """Return as many edges from every product, to products that are the likelier the smaller their number."""
    target = np.sort(_skewed(config, rng, rows=config.products, columns=config.edges), axis=1)
    count = target.size
    return Candidates(
        first=np.arange(config.products + 1) * config.edges,
        target=target.ravel().astype(np.int32),
        start=rng.random(count).astype(np.float32),
        proposed_by=np.where(rng.random(count) < 0.6, BY_BASE, BY_NETWORK).astype(np.int8),
        shares={},
        features=rng.normal(size=(count, config.features)).astype(np.float32),
        names=tuple(f"feature {number}" for number in range(config.features)),
    )


def made_up_users(config: EdgeSteps, rng: np.random.Generator) -> Drawn:
    """Return users who bought some products, and want one more."""
    chosen = _skewed(config, rng, rows=config.users, columns=config.purchases + 1)
    shape = (config.users, config.products)

    def matrix(columns: np.ndarray) -> sparse.csr_array:
        rows = np.repeat(np.arange(config.users), columns.shape[1])
        return sparse.csr_array((np.ones(columns.size, dtype=np.float32), (rows, columns.ravel())), shape=shape)

    return Drawn(matrix(chosen[:, 1:]), matrix(chosen[:, :1]))


def _skewed(config: EdgeSteps, rng: np.random.Generator, *, rows: int, columns: int) -> np.ndarray:
    """Return different products in each row, by a power law."""
    log_chance = -0.7 * np.log1p(np.arange(config.products))
    # The largest of log chance + Gumbel noise are a draw without replacement (Kool et al. 2019).
    parts = [np.argpartition(-(log_chance + rng.gumbel(size=config.products)), columns)[:columns] for _ in range(rows)]
    return np.stack(parts)


def main() -> None:
    """Run the command line."""
    config = tyro.cli(EdgeSteps, prog="python -m benchmarks.edge_steps", description=EdgeSteps.__doc__)
    # As in a training.
    with freed_memory_kept():
        print(edge_steps(config))


if __name__ == "__main__":
    run_command(main)
