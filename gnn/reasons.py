"""Finds the best reason of every ranked edge: the one purchase that adds the most to its score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse

from gnn.ranking import NOBODY, Ranked
from kg.schema import SHARES

MOST_STEPS = 4_000_000
"""Steps purchase → RELATED edge that are in memory at once, unless one user alone takes more."""


@dataclass(frozen=True)
class Reasons:
    """For each place of the lists of :class:`gnn.ranking.Ranked`, the purchase that speaks loudest for it."""

    via: Int[np.ndarray, "users k"]
    """Column of the purchased product; :data:`gnn.ranking.NOBODY` where no purchase adds anything above 0."""

    kind: Int[np.ndarray, "users k"]
    """Position in :data:`kg.schema.SHARES` of the largest share of the ``RELATED`` edge from there; NOBODY as above."""

    share: Float[np.ndarray, "users k"]
    """What that purchase adds, a(u, j) · R(j, i), over the score; NaN where the score is not above 0.

    Above 1 where other purchases speak against the product.
    """


def largest_shares(edges: pl.DataFrame) -> pl.Series:
    """Return for each ``RELATED`` edge the position in ``SHARES`` of its largest share; of equal ones the first."""
    largest = pl.max_horizontal(SHARES)
    found = [pl.when(pl.col(name) == largest).then(pl.lit(place, pl.Int8)) for place, name in enumerate(SHARES)]
    return edges.select(pl.coalesce(found)).to_series()


def best_reasons(
    ranked: Ranked, *, history: sparse.csr_array, related: sparse.csr_array, kinds: sparse.csr_array
) -> Reasons:
    """Return the reasons of these lists; of purchases that add the same, the one whose column comes first.

    ``history`` holds a(u, j) of the users of ``ranked`` (users × products); ``related`` is R and ``kinds`` the
    :func:`largest_shares` of its edges (products × products).
    """
    # The block of R from what these users bought to what is in their lists: all that matters, and little of R.
    bought, row = np.unique(history.indices, return_inverse=True)
    listed = np.unique(ranked.products[ranked.products != NOBODY])
    steps = related[bought][:, listed]
    compact = sparse.csr_array((history.data, row, history.indptr), shape=(history.shape[0], len(bought)))
    columns = np.where(ranked.products != NOBODY, np.searchsorted(listed, ranked.products), NOBODY)
    via = np.full(columns.shape, NOBODY, dtype=np.int64)
    adds = np.zeros(columns.shape)
    for users in _parts(compact, steps):
        via[users], adds[users] = _best_of_part(columns[users], compact[users], steps)
    has_reason = via != NOBODY
    via[has_reason] = bought[via[has_reason]]
    kind = np.full(columns.shape, NOBODY, dtype=np.int64)
    # Of no positions scipy gives back a sparse array.
    if has_reason.any():
        kind[has_reason] = kinds[via[has_reason], ranked.products[has_reason]]
    share = np.full(adds.shape, np.nan)
    np.divide(adds, ranked.scores, out=share, where=has_reason & (ranked.scores > 0))
    return Reasons(via=via, kind=kind, share=share)


def _parts(history: sparse.csr_array, steps: sparse.csr_array) -> Iterator[slice]:
    """Yield users that follow each other, as many as take at most :data:`MOST_STEPS` steps."""
    until = np.concatenate([[0], np.cumsum(np.diff(steps.indptr)[history.indices])])[history.indptr]
    start = 0
    while start < history.shape[0]:
        stop = int(np.searchsorted(until, until[start] + MOST_STEPS, side="right")) - 1
        stop = max(stop, start + 1)
        yield slice(start, stop)
        start = stop


def _best_of_part(
    columns: Int[np.ndarray, "users k"], history: sparse.csr_array, steps: sparse.csr_array
) -> tuple[Int[np.ndarray, "users k"], Float[np.ndarray, "users k"]]:
    """Return for each place the row of ``steps`` that adds the most, if above 0, and how much it adds."""
    # Where a step of this user to this column leads: a place in her list, or nowhere.
    user, rank = np.nonzero(columns != NOBODY)
    place_of = np.full((len(columns), steps.shape[1]), NOBODY, dtype=np.int32)
    place_of[user, columns[user, rank]] = user * columns.shape[1] + rank

    taken = steps[history.indices]
    purchase = np.repeat(np.arange(history.nnz, dtype=np.int32), np.diff(taken.indptr))
    buyer = np.repeat(np.arange(len(columns), dtype=np.int32), np.diff(history.indptr))
    place = place_of[buyer[purchase], taken.indices]
    kept = place != NOBODY
    place, purchase = place[kept], purchase[kept]
    added = history.data[purchase] * taken.data[kept]

    adds = np.zeros(columns.size)
    np.maximum.at(adds, place, added)
    is_best = (added == adds[place]) & (added > 0)
    first = np.full(columns.size, steps.shape[0], dtype=np.int64)
    np.minimum.at(first, place[is_best], history.indices[purchase[is_best]])
    first[first == steps.shape[0]] = NOBODY
    return first.reshape(columns.shape), adds.reshape(columns.shape)
