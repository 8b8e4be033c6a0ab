"""The pairs whose explanations are measured: what each user bought, and what every purchase adds to the score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.history import Weighing, binary, history_weights
from gnn.ranking import BLOCK_USERS, RelatedRecommender
from gnn.related import related_matrix
from kg.graph import Graph, RunRecord


@dataclass(frozen=True)
class Scores:
    """All that a run's scores are made of, by column: its products in the order of their positions."""

    products: Int[np.ndarray, " products"]
    """Positions of the products in the graph."""

    history: sparse.csr_array
    """a(u, j), users × products."""

    related: sparse.csr_array
    """R, products × products."""

    seen: sparse.csr_array
    """1 where a product must not be ranked for a user, users × products."""

    last_at: sparse.csr_array
    """When she last bought it (seconds, UTC), users × products; entries where ``history`` has them."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of a user and a product; all the purchases of a pair's user are a stretch of the flat arrays.

    A *purchase* here is a product she bought, however often: the term a(u, j) · R(j, i) of the score.
    """

    users: Int[np.ndarray, " pairs"]
    products: Int[np.ndarray, " pairs"]
    """Columns of the score matrices."""

    start: Int[np.ndarray, " pairs_and_one"]
    """Where the purchases of a pair begin; those of pair p end before ``start[p + 1]``."""

    bought: Int[np.ndarray, " purchases"]
    """Column of each purchase."""

    weight: Float[np.ndarray, " purchases"]
    """a(u, j) of each purchase."""

    last_at: Float[np.ndarray, " purchases"]
    """When she last bought it (seconds, UTC)."""

    contribution: Float[np.ndarray, " purchases"]
    """a(u, j) · R(j, i) of each purchase; 0 where no edge leads to the product."""

    @property
    def pair(self) -> Int[np.ndarray, " purchases"]:
        """The pair that each purchase belongs to."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.start))

    def stretches(self) -> Iterator[slice]:
        """Yield where the purchases of each pair are in the flat arrays."""
        for begin, end in zip(self.start[:-1], self.start[1:], strict=True):
            yield slice(int(begin), int(end))


def scores_of(graph: Graph, *, edges: pl.DataFrame, run: RunRecord, products: Int[np.ndarray, " products"]) -> Scores:
    """Return what the scores of ``run`` are made of, by ``edges`` (its ``RELATED`` by position), as it ranks."""
    known = graph.bought.filter(pl.col("at") < run.now)
    num_users = len(graph.users)
    weighing = Weighing(exponent=run.exponent, half_life=run.half_life)
    history = history_weights(known, products=products, num_users=num_users, weighing=weighing, now=run.now)
    last = (known.filter(pl.col("product").is_in(products)).group_by("user", "product").agg(pl.col("at").max())).sort(
        "user", "product"
    )
    ends = (last["user"].to_numpy(), np.searchsorted(products, last["product"].to_numpy()))
    last_at = sparse.csr_array((last["at"].to_numpy().astype(np.float64), ends), shape=history.shape)
    history.sort_indices()
    last_at.sort_indices()
    return Scores(
        products=products,
        history=history,
        related=related_matrix(edges, products),
        seen=sparse.csr_array(history.shape) if run.repeat else binary(history),
        last_at=last_at,
    )


def pairs_of(scores: Scores, users: Int[np.ndarray, " pairs"], products: Int[np.ndarray, " pairs"]) -> Pairs:
    """Return the pairs with their purchases and contributions."""
    rows, last = scores.history[users], scores.last_at[users]
    owner = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
    return Pairs(
        users=users,
        products=products,
        start=rows.indptr.astype(np.int64),
        bought=rows.indices.astype(np.int64),
        weight=rows.data,
        last_at=last.data,
        contribution=rows.data * scores.related[rows.indices, products[owner]],
    )


@dataclass(frozen=True)
class Standing:
    """Where the product of each pair stands in its user's list."""

    score: Float[np.ndarray, " pairs"]
    """Its score, 0 where nothing leads to it."""

    rank: Int[np.ndarray, " pairs"]
    """Its place; after all others that have a score where nothing leads to it. Ties go by column."""

    led_to: Bool[np.ndarray, " pairs"]
    """Whether any purchase leads to it: else it is in no place of the list."""


def rescored(scores: Scores, pairs: Pairs, kept: Bool[np.ndarray, " purchases"]) -> Standing:
    """Return where each pair's product stands with only the ``kept`` purchases, every product scored anew.

    What she has bought stays out of her list, also where the purchase is taken away.
    """
    shape = (len(pairs.users), len(scores.products))
    # Only what is kept: an entry of 0 would still lead to products, with the score 0.
    entries = (pairs.weight[kept], (pairs.pair[kept], pairs.bought[kept]))
    history = sparse.csr_array(entries, shape=shape)
    recommender = RelatedRecommender("", history, scores.related)
    score, rank = np.full(shape[0], -np.inf), np.zeros(shape[0], dtype=np.int64)
    for start in range(0, shape[0], BLOCK_USERS):
        rows = np.arange(start, min(start + BLOCK_USERS, shape[0]))
        each = recommender.scores(rows)
        wanted = pairs.products[rows]
        own = each[np.arange(len(rows)), wanted]
        seen = scores.seen[pairs.users[rows]].tocoo()
        each[seen.row, seen.col] = -np.inf
        tied = (each == own[:, None]) & (np.arange(shape[1]) < wanted[:, None])
        rank[rows] = 1 + (each > own[:, None]).sum(1) + (tied & np.isfinite(each)).sum(1)
        score[rows] = own
    led_to = np.isfinite(score)
    return Standing(score=np.where(led_to, score, 0.0), rank=rank, led_to=led_to)
