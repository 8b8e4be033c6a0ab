"""Ranks products for users: the one place where scores become lists, for evaluation and for export alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from tqdm import tqdm

BLOCK_USERS = 256
NOBODY = -1
"""Stands in a list after its last product, where a user has fewer than k."""


@runtime_checkable
class Recommender(Protocol):
    """Anything that scores products for users."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        ...

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return a new array of scores; -inf where this recommender has nothing to say about a product."""
        ...


@runtime_checkable
class SumRecommender(Recommender, Protocol):
    """A recommender whose scores are sums along edges: of very many products few have one."""

    def sums(self, users: Int[np.ndarray, " users"]) -> sparse.csr_array:
        """Return the scores, users × products, where there is one."""
        ...


@dataclass(frozen=True)
class Ranked:
    """Each user's products, best first, and their scores."""

    products: Int[np.ndarray, "users k"]
    """Columns of the score matrix; :data:`NOBODY` fills a list that is too short."""

    scores: Float[np.ndarray, "users k"]


@dataclass(frozen=True)
class RelatedRecommender:
    """Scores by the sum over a user's purchases along ``RELATED``: the score that Cypher finds too."""

    name: str
    history: sparse.csr_array
    """a(u, j), users × products."""

    related: sparse.csr_array
    """R, products × products."""

    def sums(self, users: Int[np.ndarray, " users"]) -> sparse.csr_array:
        """Return the sums, users × products, where an edge leads to the product."""
        return self.history[users] @ self.related

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return the sums; a product that no edge leads to has no score."""
        return dense_scores(self.sums(users))


def dense_scores(sums: sparse.csr_array) -> Float[np.ndarray, "users products"]:
    """Return the same scores, -inf where there is none."""
    dense = np.full(sums.shape, -np.inf)
    rows = np.repeat(np.arange(sums.shape[0]), np.diff(sums.indptr))
    dense[rows, sums.indices] = sums.data
    return dense


def rank(
    recommender: Recommender, *, seen: sparse.csr_array, k: int, users: Int[np.ndarray, " some"] | None = None
) -> Ranked:
    """Return the best ``k`` products of every user (a row of ``seen``) that she has not seen; ties by column.

    With ``users`` (rows) of these alone, in their order.
    """
    users = np.arange(seen.shape[0]) if users is None else users
    ranked = Ranked(np.full((len(users), k), NOBODY, dtype=np.int64), np.full((len(users), k), -np.inf))
    with tqdm(total=len(users), desc=f"rank by {recommender.name}", unit="user", disable=None) as progress:
        for start in range(0, len(users), BLOCK_USERS):
            block = users[start : start + BLOCK_USERS]
            best = best_unseen(recommender, block, seen=seen, k=k)
            place = slice(start, start + len(block))
            ranked.products[place], ranked.scores[place] = best.products, best.scores
            progress.update(len(block))
    return ranked


def spread(ranked: Ranked, users: Int[np.ndarray, " some"], *, num_users: int) -> Ranked:
    """Return the lists of all users, of whom those that are not among ``users`` have empty ones."""
    k = ranked.products.shape[1]
    every = Ranked(np.full((num_users, k), NOBODY, dtype=np.int64), np.full((num_users, k), -np.inf))
    every.products[users], every.scores[users] = ranked.products, ranked.scores
    return every


def best_unseen(
    recommender: Recommender, users: Int[np.ndarray, " users"], *, seen: sparse.csr_array, k: int
) -> Ranked:
    """Return the best ``k`` products of these users, as :func:`rank` does."""
    if isinstance(recommender, SumRecommender):
        return best_sums(recommender.sums(users), seen=seen[users], k=k)
    return best_products(unseen_scores(recommender, users, seen=seen), k=k)


def unseen_scores(
    recommender: Recommender, users: Int[np.ndarray, " users"], *, seen: sparse.csr_array
) -> Float[np.ndarray, "users products"]:
    """Return the scores of these users, -inf where a product is seen (a row of ``seen`` for each user there is)."""
    return without_seen(recommender.scores(users), seen=seen[users])


def without_seen(
    scores: Float[np.ndarray, "users products"], *, seen: sparse.csr_array
) -> Float[np.ndarray, "users products"]:
    """Return ``scores``, changed in place, with -inf where a product is ``seen`` (users × products)."""
    block = seen.tocoo()
    scores[block.row, block.col] = -np.inf
    return scores


def best_sums(sums: sparse.csr_array, *, seen: sparse.csr_array, k: int) -> Ranked:
    """Return what :func:`best_products` does of the same scores without what is ``seen`` (both users × products).

    It takes time and memory for the scores that there are: ten times less where a tenth of the products has one.
    """
    is_seen = np.zeros(sums.shape, dtype=bool)
    row, column = seen.nonzero()
    is_seen[row, column] = True
    counts = np.diff(sums.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    # The scores of each user pushed to the left, in whatever order scipy has them.
    is_there = np.arange(counts.max(initial=0)) < counts[:, None]
    scores, columns = np.full(is_there.shape, -np.inf), np.zeros(is_there.shape, dtype=np.int32)
    scores[is_there] = np.where(is_seen[row, sums.indices], -np.inf, sums.data)
    columns[is_there] = sums.indices
    return _best(scores, columns, k=k)


def best_products(scores: Float[np.ndarray, "users products"], *, k: int) -> Ranked:
    """Return the ``k`` largest finite scores of each row, best first; of equal scores the first column comes first."""
    return _best(scores, None, k=k)


def _best(
    scores: Float[np.ndarray, "users places"], columns: Int[np.ndarray, "users places"] | None, *, k: int
) -> Ranked:
    """Return the best of each row by score, then column; without ``columns`` a place is its column."""
    num_users, num_places = scores.shape
    reach = min(k, num_places)
    threshold = -np.partition(-scores, reach - 1, axis=1)[:, reach - 1 : reach]
    rows, found = np.nonzero((scores >= threshold) & np.isfinite(scores))
    values = scores[rows, found]
    if columns is not None:
        found = columns[rows, found]
    order = np.lexsort((found, -values, rows))
    rows, found, values = rows[order], found[order], values[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, np.arange(num_users))[rows]
    kept = place < k
    products = np.full((num_users, k), NOBODY, dtype=np.int64)
    best = np.full((num_users, k), -np.inf)
    products[rows[kept], place[kept]] = found[kept]
    best[rows[kept], place[kept]] = values[kept]
    return Ranked(products=products, scores=best)
