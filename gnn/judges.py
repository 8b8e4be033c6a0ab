"""Judges contributions from outside: sampling Shapley and LIME over which purchases are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse, stats
from sklearn.linear_model import Ridge

from gnn.explained_pairs import Pairs, Scores

KERNEL_WIDTH = 0.25
"""Of LIME's kernel, as in the text explainer of its authors' package (25, of distances times 100)."""

BLOCK = 256
DIGITS = 9

BlackBox = Callable[[Bool[np.ndarray, "samples purchases"]], Float[np.ndarray, " samples"]]
"""Which purchases are there → a number to explain."""


@dataclass(frozen=True)
class Judged:
    """What a judge found for one pair."""

    estimate: Float[np.ndarray, " purchases"]
    error: float
    """Root mean squared standard error of the estimates, where the way has one; else NaN."""


def shapley(value: BlackBox, num_purchases: int, *, permutations: int, rng: np.random.Generator) -> Judged:
    """Return the mean gain from each purchase when they come in random order (Štrumbelj and Kononenko 2014)."""
    gains = np.empty((permutations, num_purchases))
    for nth in range(permutations):
        order = rng.permutation(num_purchases)
        place = np.empty(num_purchases, dtype=np.int64)
        place[order] = np.arange(num_purchases)
        # Row t has the first t purchases of the order: none at first, all of them at the end.
        present = place < np.arange(num_purchases + 1)[:, None]
        gains[nth, order] = np.diff(value(present))
    if permutations < 2:
        return Judged(gains.mean(axis=0), error=float("nan"))
    variance = gains.var(axis=0, ddof=1) / permutations
    return Judged(gains.mean(axis=0), error=float(np.sqrt(variance.mean())))


def lime(value: BlackBox, num_purchases: int, *, samples: int, rng: np.random.Generator) -> Judged:
    """Return the weights of a linear model fitted near the whole list (Ribeiro et al. 2016, section 3).

    As in their package for texts: a sample lacks a random number of purchases, weighs by an exponential kernel of its
    cosine distance to the whole list, and the model is a ridge regression (alpha 1).
    """
    present = np.ones((samples, num_purchases), dtype=bool)
    for row, lacking in enumerate(rng.integers(1, num_purchases + 1, size=samples - 1), start=1):
        present[row, rng.choice(num_purchases, size=int(lacking), replace=False)] = False
    distance = 1 - np.sqrt(present.mean(axis=1))
    kernel = np.sqrt(np.exp(-((distance / KERNEL_WIDTH) ** 2)))
    model = Ridge(alpha=1.0).fit(present.astype(np.float64), value(present), sample_weight=kernel)
    return Judged(np.asarray(model.coef_, dtype=np.float64), error=float("nan"))


def rescan(scores: Scores, pairs: Pairs, pair: int, *, places: int | None = None) -> BlackBox:
    """Return what scores every product anew from the purchases that are there, and gives one number of the list.

    The number is the product's score or, with ``places``, its lead: its score less that of the product in this place
    of the list without it, which no sum over purchases gives. What nothing leads to has the score 0.
    """
    at = slice(int(pairs.start[pair]), int(pairs.start[pair + 1]))
    rows = scores.related[pairs.bought[at]]
    weight, product = pairs.weight[at], int(pairs.products[pair])
    rivals = np.ones(len(scores.products), dtype=bool)
    rivals[scores.seen[[int(pairs.users[pair])]].indices] = False
    rivals[product] = False

    def score_of(present: Bool[np.ndarray, "samples purchases"]) -> Float[np.ndarray, " samples"]:
        found = []
        for start in range(0, len(present), BLOCK):
            block = sparse.csr_array(present[start : start + BLOCK] * weight) @ rows
            # Without a rival, the score is the lead.
            if places is None or not rivals.any():
                found.append(block[:, [product]].toarray()[:, 0])
                continue
            dense = block.toarray()
            own = dense[:, product].copy()
            dense[:, ~rivals] = -np.inf
            last = max(len(rivals) - places, int((~rivals).sum()))
            # In place: a list of 24,000 products for each of 256 samples is 50 MB.
            dense.partition(last, axis=1)
            found.append(own - dense[:, last])
        return np.concatenate(found)

    return score_of


def rank_correlation(estimate: Float[np.ndarray, " purchases"], contribution: Float[np.ndarray, " purchases"]) -> float:
    """Return Spearman's correlation of the two; NaN where one of them is the same for all purchases.

    Both are rounded to :data:`DIGITS` digits of the largest, so that the last digits of equal numbers are no ranks.
    """
    one, two = (
        np.round(values / max(np.abs(values).max(initial=0.0), 1e-300), DIGITS) for values in (estimate, contribution)
    )
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return float("nan")
    return float(stats.spearmanr(one, two).statistic)
