"""Measures explanations: what the score loses without the named purchases, what it keeps with them alone, and more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.explained_pairs import Pairs, Scores, Standing, rescored
from gnn.metrics import Mean, mean
from gnn.ranking import BLOCK_USERS
from kg.schema import SHARES

NAMED = 3
PLACES = 10
OURS, RANDOM, LEAST, PATHS = "our contributions", "random purchases", "least important purchases", "shortest paths"

Named = Bool[np.ndarray, " purchases"]


@dataclass(frozen=True)
class Truth:
    """What happens to the score of a product when the purchases that an explanation names are gone, or alone."""

    explanation: str
    pairs: int
    """Pairs that were explained so."""

    drop: Mean
    """Fidelity: the share of the score that is lost without the named purchases."""

    rank_loss: Mean
    """Fidelity: the places that the product falls without them."""

    falls_out: Mean
    """Fidelity: the share of pairs in which it is then in none of the first :data:`PLACES`."""

    kept: Mean
    """Sufficiency: the share of the score that they make alone."""

    stays_in: Mean
    """Sufficiency: the share of pairs in which it is then in one of the first :data:`PLACES`."""


def first_named(pairs: Pairs, *keys: Float[np.ndarray, " purchases"], most: int = NAMED) -> Named:
    """Return the ``most`` purchases of each pair that are smallest by the first key, then the next; ties by column."""
    order = np.lexsort((pairs.bought, *reversed(keys), pairs.pair))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - pairs.start[pairs.pair[order]]
    return place < most


def explanations(pairs: Pairs, *, steps: Float[np.ndarray, " purchases"], rng: np.random.Generator) -> dict[str, Named]:
    """Return the purchases that each way to explain names.

    ``steps`` is the length of the shortest path from each purchased product to the recommended one.
    """
    return {
        OURS: first_named(pairs, -pairs.contribution),
        RANDOM: first_named(pairs, rng.random(len(pairs.bought))),
        LEAST: first_named(pairs, np.abs(pairs.contribution)),
        PATHS: first_named(pairs, steps, -pairs.last_at),
    }


def truth(explanation: str, named: Named, *, scores: Scores, pairs: Pairs) -> Truth:
    """Return the measures of one explanation; shares of the score are undefined where that is not above 0."""
    before = rescored(scores, pairs, np.ones(len(pairs.bought), dtype=bool))
    without, alone = rescored(scores, pairs, ~named), rescored(scores, pairs, named)
    whole = np.where(before.score > 0, before.score, np.nan)
    return Truth(
        explanation=explanation,
        pairs=len(pairs.users),
        drop=mean((before.score - without.score) / whole),
        rank_loss=mean((without.rank - before.rank).astype(np.float64)),
        falls_out=mean((~_among_first(without)).astype(np.float64)),
        kept=mean(alone.score / whole),
        stays_in=mean(_among_first(alone).astype(np.float64)),
    )


def _among_first(standing: Standing) -> Bool[np.ndarray, " pairs"]:
    return standing.led_to & (standing.rank <= PLACES)


def coverage(
    scores: Scores, users: Int[np.ndarray, " recommended"], products: Int[np.ndarray, " recommended"]
) -> float:
    """Return the share of the pairs that at least one purchase speaks for; NaN where there is no pair."""
    if not len(users):
        return float("nan")
    speaks = sparse.csr_array(scores.related > 0).astype(np.float64)
    covered, known = 0, np.unique(users)
    for start in range(0, len(known), BLOCK_USERS):
        block = known[start : start + BLOCK_USERS]
        own = np.isin(users, block)
        adds = scores.history[block] @ speaks
        covered += int((adds[np.searchsorted(block, users[own]), products[own]] > 0).sum())
    return covered / len(users)


def entropy(counts: Mapping[str, int]) -> float:
    """Return the entropy of kinds in bits (Shannon 1948): 0 where all are of one kind, log2(n) for n even ones."""
    present = np.array([count for count in counts.values() if count], dtype=np.float64)
    shares = present / present.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def part_counts(pairs: Pairs, edges: pl.DataFrame, products: Int[np.ndarray, " products"]) -> dict[str, int]:
    """Return how many pairs' best reason is an edge whose largest share is each of the shares.

    ``edges`` are the ``RELATED`` by position, ``products`` the positions of the columns. A pair that no edge leads to
    is of no kind and counts nowhere.
    """
    best = np.flatnonzero(first_named(pairs, -pairs.contribution, most=1) & (pairs.contribution > 0))
    wanted = pl.DataFrame(
        {"source": products[pairs.bought[best]], "target": products[pairs.products[pairs.pair[best]]]}
    )
    found = wanted.join(edges, on=["source", "target"], how="inner").select(SHARES).to_numpy()
    largest = found.argmax(axis=1)
    return {share: int((largest == place).sum()) for place, share in enumerate(SHARES)}


def tie_counts(pairs: Pairs, ties: Mapping[str, sparse.csr_array]) -> dict[str, int]:
    """Return how many pairs' best reason shares each kind of node with the product, the first kind that fits.

    ``ties`` is kind → products × nodes, the closest kind first; ``none`` is what shares none of them.
    """
    best = np.flatnonzero(first_named(pairs, -pairs.contribution, most=1) & (pairs.contribution > 0))
    kinds = np.full(len(best), len(ties))
    because, product = pairs.bought[best], pairs.products[pairs.pair[best]]
    for place, incidence in reversed(list(enumerate(ties.values()))):
        common = incidence[because].multiply(incidence[product]).sum(axis=1)
        kinds[np.asarray(common).ravel() > 0] = place
    return {kind: int((kinds == place).sum()) for place, kind in enumerate([*ties, "none"])}


def distinct_reasons(pairs: Pairs) -> float:
    """Return the number of different best reasons over the number of pairs: 1 where each pair has its own.

    A purchase that adds nothing above 0 is no reason.
    """
    best = pairs.bought[first_named(pairs, -pairs.contribution, most=1) & (pairs.contribution > 0)]
    return len(np.unique(best)) / len(pairs.users) if len(pairs.users) else float("nan")


def jaccard(pairs: Pairs, named: Named, others: Pairs, others_named: Named) -> Float[np.ndarray, " pairs"]:
    """Return what two runs' named purchases of the same pairs have in common over what they name together.

    Only purchases that add to the score count as named; both name none: undefined. ``bought`` has to mean the same
    products in both.
    """
    first = named & (pairs.contribution > 0)
    second = others_named & (others.contribution > 0)
    found = np.full(len(pairs.users), np.nan)
    for pair, (own, other) in enumerate(zip(pairs.stretches(), others.stretches(), strict=True)):
        one, two = set(pairs.bought[own][first[own]]), set(others.bought[other][second[other]])
        if one | two:
            found[pair] = len(one & two) / len(one | two)
    return found
