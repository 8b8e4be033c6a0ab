"""Fills lists that are too short with what most users bought lately."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy import sparse

from gnn.caps import Caps
from gnn.ranking import NOBODY, Ranked

WEEKS = 8
"""How long before the moment a purchase may be to count; equal counts are ordered by the buyers of all times."""

SECONDS_PER_WEEK = 7 * 86_400


def popular_columns(
    known: pl.DataFrame, *, products: Int[np.ndarray, " products"], now: int
) -> Int[np.ndarray, " products"]:
    """Return the columns of ``products`` by their buyers of the last weeks before ``now``, the most first.

    Where nobody knows when things were bought, all purchases are of the last weeks. Ties go by column.
    """
    timed = known.filter(pl.col("at") > 0)
    recent = timed.filter(pl.col("at") >= now - WEEKS * SECONDS_PER_WEEK) if len(timed) else known
    return np.lexsort((np.arange(len(products)), -_buyers(known, products), -_buyers(recent, products)))


def filled_up(
    ranked: Ranked,
    *,
    seen: sparse.csr_array,
    popular: Int[np.ndarray, " popular"],
    caps: Caps | None = None,
) -> Ranked:
    """Return the lists with popular products, whose score is -inf, in the places that are free.

    Never with what is in the list already or has been ``seen`` (users × products), nor with one too many of a group.
    """
    products, (_, k) = ranked.products.copy(), ranked.products.shape
    length = (products != NOBODY).sum(axis=1)
    for user in np.flatnonzero(length < k):
        own = np.concatenate([products[user, : length[user]], seen.indices[seen.indptr[user] : seen.indptr[user + 1]]])
        # Of so many at least k are others than her own, where there are as many; how many caps refuse nobody knows.
        first = popular[: k + len(own)] if caps is None else popular
        more = first[~np.isin(first, own)]
        if caps is not None:
            whole = np.concatenate([products[user, : length[user]], more])
            more = more[caps.refusals(whole[None], k=k)[0, length[user] :] < 0]
        more = more[: k - length[user]]
        products[user, length[user] : length[user] + len(more)] = more
    return Ranked(products=products, scores=ranked.scores)


def _buyers(bought: pl.DataFrame, products: Int[np.ndarray, " products"]) -> Int[np.ndarray, " products"]:
    pairs = bought.select("user", "product").unique().filter(pl.col("product").is_in(products))
    return np.bincount(np.searchsorted(products, pairs["product"].to_numpy()), minlength=len(products))
