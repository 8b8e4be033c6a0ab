"""What some users' purchases lead to, and how likely that makes what they bought later: a step of the edge network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor

from gnn.candidates import BY_NETWORK, Candidates


@dataclass(frozen=True)
class EdgeBatch:
    """The edges that users' purchases lead along, and the pairs of user and product that these reach.

    Most products are reached by none of a user's edges and have the score 0, all the same: they are counted only.
    """

    features: Float[Tensor, "edges features"]
    start: Float[Tensor, " edges"]
    proposed: Float[Tensor, " edges"]
    """1 where the network alone proposed the edge."""

    edge: Int[Tensor, " steps"]
    """A step is a purchase and an edge from its product that leads to no product she has: which of the edges it is."""

    pair: Int[Tensor, " steps"]
    """The pair that the step leads to."""

    weight: Float[Tensor, " steps"]
    """a(u, j)."""

    user: Int[Tensor, " pairs"]
    """Row of each pair's user."""

    wanted: Int[Tensor, " wanted"]
    """The pairs that are to be found, by user and product."""

    others: Float[Tensor, " users"]
    """How many products are candidates for each user, and in no pair."""

    @classmethod
    def of(
        cls,
        candidates: Candidates,
        history: sparse.csr_array,
        *,
        wanted: sparse.csr_array,
        seen: sparse.csr_array,
        device: torch.device,
    ) -> EdgeBatch:
        """Return the batch of these users; all three matrices have a row of each, and a column of each product."""
        first, num_products = candidates.first, candidates.num_products
        sources = np.unique(history.indices)
        counts = np.diff(first)[sources]
        edges = _ranges(first[sources], counts)
        offset = np.zeros(num_products, dtype=np.int64)
        offset[sources] = np.cumsum(counts) - counts
        per_purchase = np.diff(first)[history.indices]
        edge = _ranges(offset[history.indices], per_purchase)
        weight = np.repeat(history.data.astype(np.float32), per_purchase)
        cell = np.repeat(_rows(history) * num_products, per_purchase) + candidates.target[edges][edge]
        goal = _rows(wanted) * num_products + wanted.indices
        in_pair = np.zeros(history.shape[0] * num_products, dtype=bool)
        in_pair[cell] = True
        in_pair[_rows(seen) * num_products + seen.indices] = False
        in_pair[goal] = True
        cells = np.flatnonzero(in_pair)
        place = np.zeros(len(in_pair), dtype=np.int32)
        place[cells] = np.arange(len(cells))
        user = cells // num_products
        used = in_pair[cell]
        others = num_products - np.diff(seen.indptr) - np.bincount(user, minlength=history.shape[0])
        parts = (
            edge[used],
            place[cell[used]].astype(np.int64),
            weight[used],
            user,
            place[goal].astype(np.int64),
            others.astype(np.float32),
        )
        return cls(*edges_at(candidates, edges, device), *(torch.from_numpy(part).to(device) for part in parts))

    def scores(self, values: Float[Tensor, " edges"]) -> Float[Tensor, " pairs"]:
        """Return Σ a(u, j) R(j, i) of each pair, by the edges' weights R."""
        return values.new_zeros(len(self.user)).index_add(0, self.pair, self.weight * values[self.edge])

    def log_likelihood(
        self, scores: Float[Tensor, " pairs"], *, sharpness: Tensor, floor: Tensor
    ) -> Float[Tensor, " wanted"]:
        """Return the log of a softmax, over all candidates of a user, of κ · log(ε + score) at what is wanted.

        κ is ``sharpness`` and ε ``floor``; a score below 0 counts as 0.
        """
        utility = sharpness * torch.log(floor + scores.clamp(min=0.0))
        of_zero = sharpness * torch.log(floor)
        # The largest of each user is taken off before exp, as softmax does; it has no gradient of its own.
        largest = of_zero.detach().expand(len(self.others)).scatter_reduce(0, self.user, utility.detach(), "amax")
        total = (self.others * torch.exp(of_zero - largest)).index_add(
            0, self.user, torch.exp(utility - largest[self.user])
        )
        return utility[self.wanted] - (largest + torch.log(total))[self.user[self.wanted]]


def edges_at(
    candidates: Candidates, edges: Int[np.ndarray, " edges"] | slice, device: torch.device
) -> tuple[Float[Tensor, "edges features"], Float[Tensor, " edges"], Float[Tensor, " edges"]]:
    """Return features, start, and 1 where only the network proposed it, of the edges at these places."""
    parts = (
        candidates.features[edges],
        candidates.start[edges],
        (candidates.proposed_by[edges] == BY_NETWORK).astype(np.float32),
    )
    features, start, proposed = (torch.from_numpy(part).to(device) for part in parts)
    return features, start, proposed


def _rows(matrix: sparse.csr_array) -> Int[np.ndarray, " entries"]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _ranges(first: Int[np.ndarray, " ranges"], counts: Int[np.ndarray, " ranges"]) -> Int[np.ndarray, " total"]:
    """Return first[0], first[0] + 1, … (counts[0] numbers), then those of first[1], and so on."""
    ends = np.cumsum(counts)
    total: np.ndarray = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - counts), counts)
    return total
