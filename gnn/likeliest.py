"""Finds what the graph network expects next of each product: by all scores, or by faiss where a shop is large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from gnn.fit import FittedNetwork
from gnn.nearest import Nearest
from gnn.similarity import LARGEST_EXACT, alike

SAMPLED_REST = 4_096
"""Products that stand for all that were not found, in the sum that makes probabilities of scores."""

SAMPLED_ROWS = 64
"""Products that the recall of the search is measured on."""


@dataclass(frozen=True)
class Likeliest:
    """Of some products: what is likeliest to be bought next by somebody who only bought the one."""

    best: Int[np.ndarray, "rows count"]
    """Positions, the likeliest first; -1 where fewer were found."""

    log_total: Float[np.ndarray, " rows"]
    """log Σ exp of the scores of all products, which a score is less its log p."""


@dataclass(frozen=True)
class Likely:
    """The products that a network expects next; ``nearest`` is None where all scores are looked at."""

    network: FittedNetwork
    nearest: Nearest | None

    @classmethod
    def of(cls, network: FittedNetwork, *, largest: int = LARGEST_EXACT) -> Likely:
        """Return the search over the network's products; by faiss above ``largest`` of them.

        Raises an InputError where faiss is needed and not installed.
        """
        if len(network.keys) <= largest:
            return cls(network, None)
        # q · k / temperature + popularity, as one inner product.
        keys = np.column_stack([network.keys / np.float32(network.temperature), network.popularity])
        return cls(network, Nearest.of(keys))

    @cached_property
    def directions(self) -> Float[np.ndarray, "products dimension"]:
        """The queries at unit length."""
        queries = self.network.queries
        length = np.linalg.norm(queries, axis=1, keepdims=True)
        directions: np.ndarray = queries / np.where(length > 0, length, np.float32(1.0))
        return directions

    def rows(self, products: Int[np.ndarray, " rows"], count: int) -> Likeliest:
        """Return the ``count`` likeliest of each of these products."""
        if self.nearest is None:
            return self._by_all(products, count)
        queries = np.column_stack([self.directions[products], np.ones(len(products), dtype=np.float32)])
        scores, best = self.nearest.largest(queries, count)
        found = np.where(best >= 0, scores, -np.inf)
        # What was not found, and most of the sum may be, by a sample of it.
        sample = self._sample
        rest = self._scores(products, sample)
        place = np.full(len(self.network.keys) + 1, len(sample))
        place[sample] = np.arange(len(sample))
        column = place[best]
        row = np.broadcast_to(np.arange(len(products))[:, None], column.shape)
        known = column < len(sample)
        rest[row[known], column[known]] = -np.inf
        left = np.maximum(len(sample) - known.sum(1), 1)
        unseen = len(self.network.keys) - (best >= 0).sum(1)
        by_sample = logsumexp(rest, axis=1) + np.log(np.maximum(unseen, 1) / left)
        return Likeliest(best, np.logaddexp(logsumexp(found, axis=1), by_sample))

    def edges(
        self, source: Int[np.ndarray, " edges"], target: Int[np.ndarray, " edges"]
    ) -> tuple[Float[np.ndarray, " edges"], Float[np.ndarray, " edges"]]:
        """Return the score of each edge, and the cosine in it."""
        near = alike(self.directions, source, target, of_target=self.network.keys)
        return near / np.float32(self.network.temperature) + self.network.popularity[target], near

    def way(self, count: int, searched: int | None = None) -> str:
        """Return how the search is made and what it loses of ``count`` products a row, for the log; it is measured.

        ``searched`` are the products that are asked for, if they are more: a wider search finds more.
        """
        if self.nearest is None:
            return "the network's candidates by all scores"
        # faiss finds no 0 vectors; where the network proposes nothing, its log p is read all the same.
        count = max(count, 1)
        num_products = len(self.network.keys)
        sampled = np.random.default_rng(0).choice(num_products, min(SAMPLED_ROWS, num_products), replace=False)
        exact, found = self._by_all(sampled, count), self.rows(sampled, max(count, searched or 0))
        pairs = zip(exact.best, found.best[:, :count], strict=True)
        recall = np.mean([np.isin(all_of, some).mean() for all_of, some in pairs])
        off = np.abs(exact.log_total - found.log_total).mean()
        return (
            f"the network's candidates by faiss; recall {recall:.1%} (of the {exact.best.shape[1]} likeliest of "
            f"{len(sampled)} products), log p off by {off:.3f} on average"
        )

    @cached_property
    def _sample(self) -> Int[np.ndarray, " sampled"]:
        num_products = len(self.network.keys)
        size = min(SAMPLED_REST, num_products)
        return np.random.default_rng(0).choice(num_products, size, replace=False)

    def _scores(
        self, products: Int[np.ndarray, " rows"], others: Int[np.ndarray, " some"] | slice
    ) -> Float[np.ndarray, "rows some"]:
        keys, popularity = self.network.keys[others], self.network.popularity[others]
        scores: np.ndarray = self.directions[products] @ keys.T / np.float32(self.network.temperature) + popularity
        return scores

    def _by_all(self, products: Int[np.ndarray, " rows"], count: int) -> Likeliest:
        scores = self._scores(products, slice(None))
        keep = min(count, scores.shape[1])
        best = np.argpartition(-scores, keep - 1, axis=1)[:, :keep]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        return Likeliest(np.take_along_axis(best, order, axis=1), logsumexp(scores, axis=1))
