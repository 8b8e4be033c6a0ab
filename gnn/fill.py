"""Fills lists that are too short with what most users bought lately."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy import sparse

from gnn.caps import Caps
from gnn.history import SECONDS_PER_WEEK, num_buyers
from gnn.ranking import NOBODY, Ranked

WEEKS = 8
"""How long before the moment a purchase may be to count; equal counts are ordered by the buyers of all times."""

USERS_AT_ONCE = 128
"""Users × products are in memory for these."""


def popular_columns(
    parts: Iterable[pl.DataFrame], *, products: Int[np.ndarray, " products"], now: int
) -> Int[np.ndarray, " products"]:
    """Return the columns of ``products`` by their buyers of the last weeks before ``now``, the most first.

    The purchases (``user``, ``product``, ``at``) come in parts, all of a user's in one. Where nobody knows when things
    were bought, all purchases are of the last weeks. Ties go by column.
    """
    buyers, recent, timed = np.zeros(len(products), dtype=np.int64), np.zeros(len(products), dtype=np.int64), False
    for bought in parts:
        with_times = bought.filter(pl.col("at") > 0)
        lately = with_times.filter(pl.col("at") >= now - WEEKS * SECONDS_PER_WEEK)
        buyers = buyers + num_buyers(bought, products=products)
        recent = recent + num_buyers(lately, products=products)
        timed = timed or len(with_times) > 0
    return np.lexsort((np.arange(len(products)), -buyers, -(recent if timed else buyers)))


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
    short = np.flatnonzero((products != NOBODY).sum(axis=1) < k)
    for start in range(0, len(short), USERS_AT_ONCE):
        users = short[start : start + USERS_AT_ONCE]
        known = seen[users]
        # Of so many at least k are others than her own, where there are as many; how many caps refuse nobody knows.
        reach = 2 * k + int(np.diff(known.indptr).max(initial=0)) if caps is None else len(popular)
        own = np.zeros((len(users), seen.shape[1]), dtype=bool)
        own[np.repeat(np.arange(len(users)), np.diff(known.indptr)), known.indices] = True
        row, place = np.nonzero(products[users] != NOBODY)
        own[row, products[users][row, place]] = True
        more = np.where(own[:, popular[:reach]], NOBODY, popular[:reach])
        lists = np.concatenate([products[users], more], axis=1)
        free = lists != NOBODY
        if caps is not None:
            free &= caps.refusals(lists, k=k) < 0
        front = np.argsort(~free, axis=1, kind="stable")[:, :k]
        products[users] = np.where(np.take_along_axis(free, front, 1), np.take_along_axis(lists, front, 1), NOBODY)
    return Ranked(products=products, scores=ranked.scores)
