"""Measures slice by slice: relevant pairs by the buyers of their product, users by what they had bought before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.list_measures import TAIL_BUYERS, count_buyers
from gnn.metrics import Mean, PerUser, hits, mean

Bounds = tuple[int, int]
"""Smallest and largest number in a slice, both included."""

NO_BOUND = 2**62

BUYER_SLICES: dict[str, Bounds] = {
    "0 buyers": (0, 0),
    "1-5 buyers": (1, 5),
    "6-20 buyers": (6, 20),
    "over 20 buyers": (21, NO_BOUND),
    "tail (at most 5 buyers)": (0, TAIL_BUYERS),
}
PURCHASE_SLICES: dict[str, Bounds] = {
    "0 products bought": (0, 0),
    "1-4 products bought": (1, 4),
    "5-9 products bought": (5, 9),
    "10 or more products bought": (10, NO_BOUND),
}


@dataclass(frozen=True)
class PairSlice:
    """How many of the relevant pairs whose product is in the slice were found."""

    hits: int
    pairs: int

    per_user: PerUser
    """Numbers whose mean over users is :attr:`recall`, for tests of two recommenders: a user's hits times users over
    pairs, both counted in the slice; NaN for a user without such a pair."""

    @property
    def recall(self) -> float:
        """Hits over pairs, all users pooled: every pair weighs the same; NaN without pairs."""
        return self.hits / self.pairs if self.pairs else float("nan")


@dataclass(frozen=True)
class UserSlice:
    """The measures of the users in the slice."""

    users: int
    """Users in the slice, with or without something to find."""

    measures: dict[str, Mean]
    """Measure → its mean over those of them for whom it is defined, and how many these are."""


def recall_by_buyers(
    ranked: Int[np.ndarray, "users places"], relevant: sparse.csr_array, *, bought: sparse.csr_array, k: int = 10
) -> dict[str, PairSlice]:
    """Return recall@k of the relevant pairs by how many buyers their product is known to have.

    "Tail recall" is the last slice: of all pairs to find whose product has at most 5 buyers, the share that stands in
    the first k of its user's list. It is pooled over pairs, not a mean over users: most users have no such pair.
    """
    buyers = count_buyers(bought)
    found = hits(ranked[:, :k], relevant)
    return {
        name: _pair_slice(found, ranked[:, :k], relevant, inside=_within(buyers, bounds))
        for name, bounds in BUYER_SLICES.items()
    }


def by_purchases(per_user: Mapping[str, PerUser], bought: sparse.csr_array) -> dict[str, UserSlice]:
    """Return the means of ``per_user`` by how many different products each user is known to have bought.

    Different products of the catalogue, since that is what a score sums over: of two users who bought 12 times, one may
    be known by 12 products and the other by one.
    """
    products = np.diff(bought.indptr).astype(np.float64)
    slices = {}
    for name, bounds in PURCHASE_SLICES.items():
        inside = _within(products, bounds)
        slices[name] = UserSlice(
            users=int(inside.sum()), measures={measure: mean(values[inside]) for measure, values in per_user.items()}
        )
    return slices


def _pair_slice(
    found: Bool[np.ndarray, "users k"],
    ranked: Int[np.ndarray, "users k"],
    relevant: sparse.csr_array,
    *,
    inside: Bool[np.ndarray, " products"],
) -> PairSlice:
    pairs = relevant.astype(bool).astype(np.float64) @ inside.astype(np.float64)
    # A padded place reads the last product, but is no hit.
    hit = (found & inside[ranked]).sum(1).astype(np.float64)
    users, total = int((pairs > 0).sum()), int(pairs.sum())
    return PairSlice(
        hits=int(hit.sum()), pairs=total, per_user=np.where(pairs > 0, hit * (users / max(total, 1)), np.nan)
    )


def _within(counts: Float[np.ndarray, " counted"], bounds: Bounds) -> Bool[np.ndarray, " counted"]:
    inside: np.ndarray = (counts >= bounds[0]) & (counts <= bounds[1])
    return inside
