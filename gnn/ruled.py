"""Ranks by the rules of the shop, and says what each of them took out of the lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gnn.ranking import NOBODY, Ranked, best_products
from gnn.rules import Rules

DEEPER = 4
"""Lists that are to be varied are made so many times longer first, and again where that is not enough."""

Probability = Callable[[Float[np.ndarray, " pairs"]], Float[np.ndarray, " pairs"]]


@dataclass(frozen=True)
class Ruled:
    """The lists of some users by the rules."""

    ranked: Ranked
    """In the order of score times boost, with the scores themselves."""

    order: Int[np.ndarray, "users places"]
    """The products by score times boost, before any was refused because of its group."""

    refused: Int[np.ndarray, "users places"]
    """:meth:`gnn.caps.Caps.refusals` of that order."""


def ruled_lists(
    scores: Float[np.ndarray, "users products"], rules: Rules, *, probability: Probability | None, k: int
) -> Ruled:
    """Return the best ``k`` that the rules allow, of finite scores.

    Out go, in this order, what no list may have and what is too improbable; the rest is ordered by its score times the
    boost (a score that is not above 0 is divided by it, so that a boost never lowers), and going down that order, what
    would be one too many of its group. Of equal ones the first column comes first.
    """
    kept = scores.copy()
    kept[:, ~rules.allowed] = -np.inf
    kept[too_improbable(kept, rules, probability=probability)] = -np.inf
    boosted = np.where(kept > 0, kept * rules.boost, kept / rules.boost)
    reach = k if rules.caps is None else DEEPER * k
    while True:
        order = best_products(boosted, k=reach).products
        refused = np.full(order.shape, -1, dtype=np.int64) if rules.caps is None else rules.caps.refusals(order, k=k)
        accepted = (order != NOBODY) & (refused < 0)
        short = (accepted.sum(axis=1) < k) & (order[:, -1] != NOBODY)
        if not short.any() or reach >= scores.shape[1]:
            break
        reach *= DEEPER
    # Accepted ones to the front, in their order.
    front = np.argsort(~accepted, axis=1, kind="stable")[:, :k]
    products = np.where(np.take_along_axis(accepted, front, 1), np.take_along_axis(order, front, 1), NOBODY)
    own = np.take_along_axis(scores, np.maximum(products, 0), axis=1)
    ranked = Ranked(products=products, scores=np.where(products == NOBODY, -np.inf, own))
    return Ruled(ranked=ranked, order=order, refused=refused)


def too_improbable(
    scores: Float[np.ndarray, "users products"], rules: Rules, *, probability: Probability | None
) -> np.ndarray:
    """Return which finite scores say less than the least probability."""
    improbable = np.zeros(scores.shape, dtype=bool)
    if rules.minimum_probability is not None and probability is not None:
        finite = np.isfinite(scores)
        improbable[finite] = probability(scores[finite]) < rules.minimum_probability
    return improbable


def removals(
    scores: Float[np.ndarray, "users products"], ruled: Ruled, rules: Rules, *, probability: Probability | None, k: int
) -> Mapping[str, Int[np.ndarray, " users"]]:
    """Return for each rule how many places of each user's list without rules it takes out, the first that does.

    What a boost of others pushes behind place k counts as taken out by ``boost``.
    """
    plain = best_products(scores, k=k)
    there = plain.products != NOBODY
    user, place = np.nonzero(there)
    product = plain.products[user, place]
    names = [*rules.catalog_rules, "minimum_probability", *(rules.caps.kinds if rules.caps else ()), "boost"]
    first_cap = len(rules.catalog_rules) + 1

    cause = rules.removed_by[product]
    improbable = too_improbable(scores, rules, probability=probability)[user, product]
    cause = np.where((cause < 0) & improbable, first_cap - 1, cause)
    kept = np.zeros(scores.shape, dtype=bool)
    rows, columns = np.nonzero(ruled.ranked.products != NOBODY)
    kept[rows, ruled.ranked.products[rows, columns]] = True
    refused_by = np.full(scores.shape, -1, dtype=np.int64)
    rows, columns = np.nonzero(ruled.refused >= 0)
    refused_by[rows, ruled.order[rows, columns]] = ruled.refused[rows, columns]
    left = (cause < 0) & ~kept[user, product]
    by_group = refused_by[user, product]
    cause = np.where(left, np.where(by_group >= 0, first_cap + by_group, len(names) - 1), cause)

    counts: dict[str, np.ndarray] = {}
    for number, name in enumerate(names):
        count = np.bincount(user[cause == number], minlength=len(scores))
        counts[name] = counts[name] + count if name in counts else count
    return counts
