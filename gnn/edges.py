"""The edge network: a link predictor that re-weighs the candidates of ``RELATED``, trained by the ranking loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor, nn
from tqdm import tqdm

from gnn.candidates import BY_BASE, BY_NETWORK, ITSELF, Candidates
from gnn.checkpoint import Checkpoint, Training
from gnn.config import EdgeConfig
from gnn.distributed import own_share
from gnn.edge_batch import EdgeBatch, edges_at
from gnn.losses import require_finite
from gnn.memory import freed_memory_kept
from gnn.related import Related
from kg.schema import SHARES

LEAST_STEPS = 40
"""Steps of a pass at the least: batches are smaller where users are few."""

MOST_PURCHASES = 6_144
"""Purchases that lead along edges in one step, at the most in the mean: what bounds a step's time and memory."""

MOST_STEPS = 320
"""Steps of all passes at the most: where users bought much, each teaches much."""

BLOCK_EDGES = 1_000_000

NOT_KEPT = Checkpoint("edge network")


class EdgeNetwork(nn.Module):
    """R(j, i) = start(j, i) · (unweighed + exp(MLP(features))): the closed form's edges, re-weighed, with their shares.

    An edge that only the network proposed starts from ``proposal`` · p(i | j), a learned factor, and is all re-weighed.
    The last layer is 0 at first, so that learning begins at the closed form; ``unweighed`` is 0 until all is learned.
    """

    def __init__(
        self, mean: Float[Tensor, " features"], spread: Float[Tensor, " features"], *, hidden: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.spread: Tensor
        self.unweighed: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.register_buffer("unweighed", torch.tensor(0.0))
        first, second, last = nn.Linear(len(mean), hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        with torch.no_grad():
            for layer in (first, second):
                bound = layer.in_features**-0.5
                layer.weight.copy_(bound * (2 * torch.rand(layer.weight.shape, generator=rng) - 1))
                layer.bias.zero_()
            last.weight.zero_()
            last.bias.zero_()
        self.layers = nn.Sequential(first, nn.GELU(), second, nn.GELU(), last)
        self.log_proposal = nn.Parameter(torch.tensor(-3.0))
        self.log_floor = nn.Parameter(torch.tensor(-3.0))
        """ε in units of a middling score."""
        self.log_sharpness = nn.Parameter(torch.tensor(0.0))
        """κ."""

    def forward(
        self,
        features: Float[Tensor, "edges features"],
        start: Float[Tensor, " edges"],
        proposed: Float[Tensor, " edges"],
    ) -> Float[Tensor, " edges"]:
        """Return the weights of edges."""
        gate: Tensor = self.layers((features - self.mean) / self.spread).squeeze(1)
        return start * (self.unweighed * (1 - proposed) + torch.exp(gate + proposed * self.log_proposal))

    def log_likelihood(self, batch: EdgeBatch, unit: float) -> Float[Tensor, " wanted"]:
        """Return how likely it makes each wanted product of a batch; ``unit`` is a middling score."""
        scores = batch.scores(self(batch.features, batch.start, batch.proposed) / unit)
        return batch.log_likelihood(scores, sharpness=self.log_sharpness.exp(), floor=self.log_floor.exp())


def edge_network(weights: Mapping[str, Tensor]) -> EdgeNetwork:
    """Return the network with these weights (its ``state_dict``)."""
    hidden = weights["layers.0.bias"]
    network = EdgeNetwork(weights["mean"], weights["spread"], hidden=len(hidden), rng=torch.Generator())
    network.load_state_dict(dict(weights))
    return network


@dataclass(frozen=True)
class FittedEdges:
    """A trained edge network."""

    network: EdgeNetwork
    names: tuple[str, ...]
    """The features it was trained on."""

    def weights(self, candidates: Candidates) -> Float[np.ndarray, " edges"]:
        """Return R of every candidate edge."""
        if candidates.names != self.names:
            raise ValueError(f"trained on {self.names}, given {candidates.names}")
        device = self.network.log_floor.device
        parts = []
        with torch.no_grad():
            for begin in range(0, len(candidates.target), BLOCK_EDGES):
                part = slice(begin, begin + BLOCK_EDGES)
                parts.append(self.network(*edges_at(candidates, part, device)).cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


@freed_memory_kept()
def fit_edges(
    candidates: Candidates,
    *,
    history: sparse.csr_array,
    wanted: sparse.csr_array,
    seen: sparse.csr_array,
    config: EdgeConfig,
    device: torch.device,
    seed: int,
    checkpoint: Checkpoint = NOT_KEPT,
) -> FittedEdges:
    """Train on purchases that the candidates were made without.

    ``history`` holds the weights a(u, j) that scores sum over, ``wanted`` is 1 where a user bought a product later,
    ``seen`` 1 where a product is no candidate for her; all users × products.
    """
    spread = candidates.features.std(0)
    network = EdgeNetwork(
        torch.from_numpy(candidates.features.mean(0)),
        torch.from_numpy(np.where(spread > 0, spread, 1.0).astype(np.float32)),
        hidden=config.hidden,
        rng=torch.Generator().manual_seed(seed),
    ).to(device)
    learners = np.flatnonzero((np.diff(wanted.indptr) > 0) & (np.diff(history.indptr) > 0))
    batches = _Batches(np.diff(history.indptr)[learners], most=config.batch_users)
    steps = min(config.passes * batches.per_pass, MOST_STEPS)
    if not steps:
        return FittedEdges(network, candidates.names)
    unit = _middling_score(candidates, history[learners])
    buyers = np.bincount(history.indices, minlength=history.shape[1])
    target_weight = ((buyers + 1.0) ** -config.tail_power).astype(np.float32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=steps)
    training = Training(network, [optimizer], schedule=schedule, rng=np.random.default_rng(seed), checkpoint=checkpoint)
    with tqdm(total=steps, desc="edge network", unit="step", disable=None) as progress:
        while (done := training.epoch * batches.per_pass) < steps:
            for batch in training.batches(islice(batches.drawn(training.rng), steps - done)):
                users = learners[batch]
                own, losses = own_share(users), []
                if len(own):
                    batch_of = EdgeBatch.of(candidates, history[own], wanted=wanted[own], seen=seen[own], device=device)
                    counts, of_all = (_counts(wanted[part], target_weight, device) for part in (own, users))
                    # Of several processes each has its share of the mean over all that is wanted.
                    losses = [-(counts * network.log_likelihood(batch_of, unit)).sum() / of_all.sum()]
                require_finite(training.step(losses, clip=config.clip), "--edges.learning-rate", config.learning_rate)
                progress.update()
            progress.set_postfix(loss=f"{training.end_pass(None).loss:.4f}")
    fitted = FittedEdges(network, candidates.names)
    network.unweighed.fill_(_unweighed(candidates, fitted.weights(candidates), part=config.unweighed))
    return fitted


def _unweighed(candidates: Candidates, weights: Float[np.ndarray, " edges"], *, part: float) -> float:
    """Return what to add to the gate so that ``part`` of what the closed form's edges weigh in all is as it was."""
    by_base = candidates.proposed_by == BY_BASE
    before, after = (float(np.abs(each[by_base]).sum(dtype=np.float64)) for each in (candidates.start, weights))
    return part / (1 - part) * after / before if before else 0.0


@dataclass(frozen=True)
class _Batches:
    """Users in batches of at most ``most``, fewer where there are few or where they bought much."""

    purchases: Int[np.ndarray, " users"]
    """Products that each has bought."""

    most: int

    @property
    def size(self) -> int:
        """Users in a batch."""
        by_purchases = int(MOST_PURCHASES // max(self.purchases.mean(), 1.0)) if len(self.purchases) else 1
        return max(min(self.most, by_purchases, len(self.purchases) // LEAST_STEPS), 1)

    @property
    def per_pass(self) -> int:
        """Batches of one pass."""
        return -(-len(self.purchases) // self.size)

    def drawn(self, rng: np.random.Generator) -> Iterator[Int[np.ndarray, " batch"]]:
        """Yield the rows of the users of each batch, sorted."""
        order = rng.permutation(len(self.purchases))
        for start in range(0, len(order), self.size):
            yield np.sort(order[start : start + self.size])


def _counts(
    wanted: sparse.csr_array, weight: Float[np.ndarray, " products"], device: torch.device
) -> Float[Tensor, " wanted"]:
    """Return how much each wanted product counts: by its weight, and less for a user who wants many."""
    goal = wanted.tocoo()
    row, column = (torch.from_numpy(part).long().to(device) for part in (goal.row, goal.col))
    return torch.from_numpy(weight).to(device)[column] * torch.bincount(row, minlength=wanted.shape[0])[row].rsqrt()


def largest_edges(
    candidates: Candidates, weights: Float[np.ndarray, " edges"], *, per_product: int
) -> Int[np.ndarray, " kept"]:
    """Return the places of each product's ``per_product`` edges of largest absolute weight, and of that to itself."""
    source = candidates.source
    itself = candidates.proposed_by == ITSELF
    order = np.lexsort((-np.where(itself, np.inf, np.abs(weights)), source))
    has_itself = np.bincount(source[itself], minlength=candidates.num_products)
    place = np.arange(len(source)) - candidates.first[source[order]]
    return np.sort(order[(place < per_product + has_itself[source[order]]) & (weights[order] != 0)])


def without_factor(
    candidates: Candidates, weights: Float[np.ndarray, " edges"], factor: Float[np.ndarray, " products"]
) -> Float[np.ndarray, " edges"]:
    """Return the weights over the factor of the product an edge leads to, which only the closed form's edges have."""
    with_it = (candidates.proposed_by == BY_BASE) & (factor[candidates.target] != 0)
    plain: np.ndarray = weights / np.where(with_it, factor[candidates.target], 1.0)
    return plain


def reweighed(
    candidates: Candidates, weights: Float[np.ndarray, " edges"], *, kept: Int[np.ndarray, " kept"]
) -> Related:
    """Return the edges at these places, in their shares.

    The shares of an edge of the closed form grow and shrink together; one that only the network proposed is all
    ``network``, one to the product itself all ``repeat``.
    """
    weight, start, by = weights[kept], candidates.start[kept], candidates.proposed_by[kept]
    nothing = np.zeros(len(kept), dtype=np.float32)
    gate = np.where(by == BY_BASE, weight / np.where(start != 0, start, 1.0), 0.0).astype(np.float32)
    shares = dict.fromkeys(SHARES, nothing) | {name: part[kept] * gate for name, part in candidates.shares.items()}
    shares["bought"] = np.where(by == BY_BASE, weight - sum(shares[name] for name in candidates.shares), nothing)
    shares["network"] = np.where(by == BY_NETWORK, weight, nothing)
    shares["repeat"] = np.where(by == ITSELF, weight, nothing)
    return Related(source=candidates.source[kept], target=candidates.target[kept], shares=shares)


def _middling_score(candidates: Candidates, history: sparse.csr_array) -> float:
    """Return the size of a score that stands out: the mean over purchases of a(u, j) times the largest edge of j."""
    largest = np.zeros(candidates.num_products)
    np.maximum.at(
        largest, candidates.source, np.where(candidates.proposed_by == BY_BASE, np.abs(candidates.start), 0.0)
    )
    return float(np.mean(history.data * largest[history.indices])) or 1.0
