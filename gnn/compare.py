"""Says how sure a mean and a difference of two recommenders are: bootstrap, paired tests, Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from gnn.metrics import PerUser

RESAMPLES = 2_000
"""Resamples of a bootstrap interval; the ends of a 95 % interval are then its 50th values from outside."""

FLIPS = 20_000
"""Random sign flips of a paired test; the smallest p it can give is 1 / (FLIPS + 1)."""

BATCH = 100


@dataclass(frozen=True)
class Interval:
    """Where a mean lies with 95 % confidence."""

    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """One recommender against another on the same users."""

    difference: float
    """Mean over users of ours less theirs."""

    interval: Interval
    """95 % bootstrap interval of the difference."""

    p: float
    """Two-sided p of the paired randomisation test: what tables report."""

    p_of_t: float
    """Two-sided p of the paired t-test, beside it as a check; NaN with fewer than two users or no spread."""

    users: int
    """Users for whom the measure is defined."""


def bootstrap_interval(values: PerUser, *, seed: int) -> Interval:
    """Return the percentile bootstrap interval of the mean over users (Efron and Tibshirani 1993, section 13.3).

    Users are drawn with replacement, since it is other users that another week or shop would bring. Users for whom
    the measure is undefined (NaN) are left out; with fewer than two users there is no interval (NaN).
    """
    defined = values[~np.isnan(values)]
    if len(defined) < 2:
        return Interval(low=float("nan"), high=float("nan"))
    ends = stats.bootstrap(
        (defined,), np.mean, n_resamples=RESAMPLES, batch=BATCH, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(low=float(ends.low), high=float(ends.high))


def compare(ours: PerUser, theirs: PerUser, *, seed: int) -> Comparison:
    """Return how much better ours is than theirs, user by user, and how sure that is.

    Reported is the randomisation test: it asks about the mean difference itself, which tables show, and assumes nothing
    of its distribution, which for NDCG@10 is mostly zeros. The t-test agrees with it on many users; Wilcoxon's test
    asks about ranks instead, and rejects too often on large samples (Smucker, Allan and Carterette 2007; Ihemelandu and
    Ekstrand 2023). With thousands of users nearly any difference is significant: read the difference and its interval.

    Where chance is part of a recommender, give the mean over its seeds for each user. Raise ValueError where the two
    are defined for different users: they were not measured on the same task.
    """
    undefined = np.isnan(ours)
    if not np.array_equal(undefined, np.isnan(theirs)):
        odd = int((undefined != np.isnan(theirs)).sum())
        raise ValueError(f"{odd} users have a number from one recommender only; measure both on the same task")
    differences = (ours - theirs)[~undefined]
    spread = len(differences) > 1 and bool(np.ptp(differences))
    return Comparison(
        difference=float(differences.mean()) if len(differences) else float("nan"),
        interval=bootstrap_interval(differences, seed=seed),
        p=randomisation_p(differences, seed=seed),
        p_of_t=float(stats.ttest_1samp(differences, 0.0).pvalue) if spread else float("nan"),
        users=len(differences),
    )


def randomisation_p(differences: Float[np.ndarray, " users"], *, seed: int) -> float:
    """Return the two-sided p of the mean difference where a coin chooses each user's sign (Fisher 1935).

    (1 + the flips whose sum is at least as far from 0) / (1 + all flips) (Phipson and Smyth 2010). NaN without users.
    """
    if not len(differences):
        return float("nan")
    # Users without a difference change no sum. scipy.stats.permutation_test gives the same, thirty times slower.
    moved = differences[differences != 0]
    # Sums in another order differ in their last digits; equal ones are to count as equal.
    reached = abs(moved.sum()) - 1e-9 * np.abs(moved).sum()
    rng = np.random.default_rng(seed)
    as_far = 0
    for _ in range(FLIPS // BATCH):
        signs = 2.0 * rng.integers(2, size=(BATCH, len(moved)), dtype=np.int8) - 1.0
        as_far += int((np.abs(signs @ moved) >= reached).sum())
    return (1 + as_far) / (1 + FLIPS)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p of each comparison of one table, corrected for their number (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1 and so on; none falls below the one before, none passes 1.
    A comparison that has no p (NaN) keeps none and does not count.
    """
    order = sorted((name for name, p in p_values.items() if not np.isnan(p)), key=lambda name: p_values[name])
    corrected = dict(p_values)
    largest = 0.0
    for place, name in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[name]))
        corrected[name] = largest
    return corrected
