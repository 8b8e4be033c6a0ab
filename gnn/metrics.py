"""Measures of ranked lists: one number for each user, NaN where it is undefined, and their mean last.

A list that is too short is padded by :data:`gnn.ranking.NOBODY`, which is a miss. Definitions follow Järvelin and
Kekäläinen 2002 for NDCG (gain 1, discount log2(rank + 1), divided by the DCG of the ideal list, which
has min(k, relevant) hits).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

Hits = Bool[np.ndarray, "users k"]
PerUser = Float[np.ndarray, " users"]


@dataclass(frozen=True)
class Mean:
    """The mean over the users for whom a measure is defined."""

    value: float
    interval: float
    """Half the width of its 95 % interval (normal approximation)."""

    users: int


@dataclass(frozen=True)
class Row:
    """One recommender's measures: a row of a result table."""

    recommender: str
    measures: dict[str, Mean]


def hits(ranked: Int[np.ndarray, "users k"], relevant: sparse.csr_array) -> Hits:
    """Return which ranked products are relevant (users × products, 1 where relevant)."""
    rows = np.arange(len(ranked))[:, None]
    # A row of relevant as keys user * products + product: found by search, without a dense matrix.
    num_products = relevant.shape[1]
    pairs = relevant.tocoo()
    keys = np.sort(pairs.row.astype(np.int64) * num_products + pairs.col)
    asked = rows * num_products + ranked
    if not len(keys):
        return np.zeros(ranked.shape, dtype=bool)
    found: np.ndarray = keys[np.minimum(np.searchsorted(keys, asked), len(keys) - 1)] == asked
    return found & (ranked >= 0)


def count_relevant(relevant: sparse.csr_array) -> Int[np.ndarray, " users"]:
    """Return how many products are relevant to each user."""
    return np.diff(relevant.indptr)


def ndcg(found: Hits, num_relevant: Int[np.ndarray, " users"]) -> PerUser:
    """Return DCG over the DCG of the ideal list."""
    discount = 1.0 / np.log2(np.arange(found.shape[1]) + 2.0)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(num_relevant, found.shape[1])]
    return _over(found @ discount, ideal)


def recall(found: Hits, num_relevant: Int[np.ndarray, " users"]) -> PerUser:
    """Return the share of the relevant products that were ranked."""
    return _over(found.sum(1), num_relevant)


def precision(found: Hits, num_relevant: Int[np.ndarray, " users"]) -> PerUser:
    """Return the share of the k places that hold a relevant product."""
    return _where_defined(found.sum(1, dtype=np.float64) / found.shape[1], num_relevant)


def hit_rate(found: Hits, num_relevant: Int[np.ndarray, " users"]) -> PerUser:
    """Return 1 where at least one relevant product was ranked, else 0."""
    return _where_defined(found.any(1).astype(np.float64), num_relevant)


def mrr(found: Hits, num_relevant: Int[np.ndarray, " users"]) -> PerUser:
    """Return 1 / rank of the first relevant product, 0 where none was ranked."""
    first = np.where(found.any(1), 1.0 / (found.argmax(1) + 1.0), 0.0)
    return _where_defined(first, num_relevant)


MEASURES: dict[str, Callable[[Hits, Int[np.ndarray, " users"]], PerUser]] = {
    "NDCG": ndcg,
    "Recall": recall,
    "HitRate": hit_rate,
    "Precision": precision,
    "MRR": mrr,
}


def mean(per_user: PerUser) -> Mean:
    """Return the mean over the users for whom the measure is defined; NaN where there is none."""
    defined = per_user[~np.isnan(per_user)]
    if not len(defined):
        return Mean(value=float("nan"), interval=float("nan"), users=0)
    spread = float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
    return Mean(value=float(defined.mean()), interval=1.96 * spread / len(defined) ** 0.5, users=len(defined))


def per_user(
    ranked: Int[np.ndarray, "users places"], relevant: sparse.csr_array, *, cutoffs: tuple[int, ...]
) -> dict[str, PerUser]:
    """Return every measure at every cutoff for each user, named like ``NDCG@10``; NaN for a user without relevant ones.

    Raise ValueError where the lists have fewer places than a cutoff: a short list is padded, never cut.
    """
    if ranked.shape[1] < max(cutoffs):
        raise ValueError(f"lists of {ranked.shape[1]} places have no measures at {max(cutoffs)}; rank more products")
    found, num_relevant = hits(ranked, relevant), count_relevant(relevant)
    return {f"{name}@{k}": of(found[:, :k], num_relevant) for k in cutoffs for name, of in MEASURES.items()}


def measure(
    ranked: Int[np.ndarray, "users places"], relevant: sparse.csr_array, *, cutoffs: tuple[int, ...]
) -> dict[str, Mean]:
    """Return the mean over users of every measure at every cutoff, named like ``NDCG@10``."""
    return {name: mean(values) for name, values in per_user(ranked, relevant, cutoffs=cutoffs).items()}


def _over(part: np.ndarray, whole: np.ndarray) -> PerUser:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def _where_defined(values: Any, num_relevant: np.ndarray) -> PerUser:
    return np.where(num_relevant > 0, values, np.nan)
