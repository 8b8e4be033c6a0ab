"""Measures of the lists themselves, whatever is relevant: novelty, the tail's share, popularity, coverage, Gini."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.metrics import PerUser

TAIL_BUYERS = 5
"""A product with at most as many buyers belongs to the tail."""


def per_list(
    ranked: Int[np.ndarray, "users places"], bought: sparse.csr_array, *, cutoffs: tuple[int, ...]
) -> dict[str, PerUser]:
    """Return the measures of each user's own list, named like ``Novelty@10``; NaN for an empty list.

    ``bought`` is users × products, 1 where a user is known to have bought a product; padded places do not count.

    - ``Novelty``: mean of -log2(buyers / users), the self-information of Zhou et al. 2010 (PNAS 107); a product that
      nobody bought counts as if one user had.
    - ``TailShare``: share of the places that hold a product with at most :data:`TAIL_BUYERS` buyers.
    - ``Popularity``: mean number of buyers, the ARP of Yin et al. 2012 (section 5) and Abdollahpouri et al. 2019.
    """
    buyers = count_buyers(bought)
    of_product = {
        "Novelty": np.log2(bought.shape[0] / np.maximum(buyers, 1.0)),
        "TailShare": (buyers <= TAIL_BUYERS).astype(np.float64),
        "Popularity": buyers,
    }
    return {
        f"{name}@{k}": _mean_of_places(values, ranked[:, :k]) for k in cutoffs for name, values in of_product.items()
    }


def of_all_lists(
    ranked: Int[np.ndarray, "users places"], bought: sparse.csr_array, *, cutoffs: tuple[int, ...]
) -> dict[str, float]:
    """Return the measures that only all lists together have, named like ``Coverage@10``.

    - ``Coverage``: share of the products that stand in at least one list (Ge et al. 2010, catalogue coverage).
    - ``Gini``: Gini coefficient of how often each product of the catalogue is recommended: 0 when all are equally
      often, near 1 when one product takes all places (Adomavicius and Kwon 2012, there as 1 - Gini); NaN without lists.
    - ``PopularityLift``: mean popularity of the lists over that of the users' own purchases, less 1: 0 is as popular as
      what they buy, 1 twice as popular (ΔGAP of Abdollahpouri et al. 2019, all users as one group). Users without a
      list or without purchases are left out of both means; NaN without such users.
    """
    buyers = count_buyers(bought)
    count = np.diff(bought.indptr)
    own = np.where(count > 0, bought @ buyers / np.maximum(count, 1), np.nan)
    measures = {}
    for k in cutoffs:
        lists = ranked[:, :k]
        exposure = np.bincount(lists[lists >= 0], minlength=bought.shape[1])
        measures[f"Coverage@{k}"] = float((exposure > 0).mean())
        measures[f"Gini@{k}"] = gini(exposure)
        measures[f"PopularityLift@{k}"] = _lift(_mean_of_places(buyers, lists), own)
    return measures


def count_buyers(bought: sparse.csr_array) -> Float[np.ndarray, " products"]:
    """Return how many users bought each product; ``bought`` is users × products, one entry a pair."""
    buyers: np.ndarray = np.bincount(bought.indices, minlength=bought.shape[1]).astype(np.float64)
    return buyers


def gini(exposure: Int[np.ndarray, " products"]) -> float:
    """Return Σ (2i - n - 1) x_i / (n Σ x), x in rising order and i from 1 to n; NaN where all are 0."""
    total, size = exposure.sum(), len(exposure)
    if not total:
        return float("nan")
    return float((2 * np.arange(1, size + 1) - size - 1) @ np.sort(exposure) / (size * total))


def _lift(of_lists: PerUser, own: PerUser) -> float:
    both: Bool[np.ndarray, " users"] = ~np.isnan(of_lists) & ~np.isnan(own)
    return float(of_lists[both].mean() / own[both].mean() - 1.0) if both.any() else float("nan")


def _mean_of_places(values: Float[np.ndarray, " products"], lists: Int[np.ndarray, "users k"]) -> PerUser:
    filled = lists >= 0
    count = filled.sum(1)
    # A padded place reads some product's value, and the factor 0 takes it out.
    return np.where(count > 0, (values[lists] * filled).sum(1) / np.maximum(count, 1), np.nan)
