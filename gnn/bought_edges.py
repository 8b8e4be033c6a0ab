"""Ranks products for a range of users: what is in one shard of the delivery user → product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy import sparse

from gnn.calibration import Calibration
from gnn.columns import Column, columns_of, with_types
from gnn.edges_by_id import ranked_by_id
from gnn.fill import filled_up, popular_columns
from gnn.history import binary, history_weights
from gnn.ranking import BLOCK_USERS, RelatedRecommender, best_products, unseen_scores
from gnn.reasons import best_reasons, largest_shares
from gnn.related import related_matrix, related_products
from gnn.run import Manifest
from gnn.shards import Shard
from kg.graph import Graph
from loaders.errors import InputError

NO_PURCHASE = "no purchase of a ranked product"
NOTHING_LEFT = "nothing left to recommend"


@dataclass(frozen=True)
class BoughtEdges:
    """The ranked edges of all users, made for some of them at a time, by all their purchases before a moment."""

    graph: Graph
    manifest: Manifest
    products: Int[np.ndarray, " products"]
    """Sorted positions of the products that are ranked: those that the run's ``RELATED`` edges join."""

    known: pl.DataFrame
    """Purchases before the moment: ``user``, ``product`` (positions), ``at``."""

    related: sparse.csr_array
    """R, products × products."""

    kinds: sparse.csr_array
    """:func:`gnn.reasons.largest_shares` of each edge of R."""

    now: int
    k: int
    calibration: Calibration | None
    """How a score becomes a probability; None where nobody knows."""

    popular: Int[np.ndarray, " popular"]
    """Columns of what fills lists that are too short, the best first; none where they are not to be filled."""

    @classmethod
    def of(
        cls,
        graph: Graph,
        *,
        edges: pl.DataFrame,
        manifest: Manifest,
        calibration: Calibration | None,
        now: int,
        k: int,
        fill: bool,
    ) -> BoughtEdges:
        """Return the ranked edges by a run's ``RELATED`` (``edges``, by position, with shares) as of ``now``."""
        products = related_products(edges)
        if not len(products):
            raise InputError(f"the run {manifest.run!r} has no RELATED edge to rank by; train with more purchases")
        known = graph.bought.filter(pl.col("at") < now)
        nobody = np.zeros(0, dtype=np.int64)
        return cls(
            graph=graph,
            manifest=manifest,
            products=products,
            known=known,
            related=related_matrix(edges, products),
            kinds=related_matrix(edges.with_columns(kind=largest_shares(edges)), products, column="kind"),
            now=now,
            k=min(k, len(products)),
            calibration=calibration,
            popular=popular_columns(known, products=products, now=now) if fill else nobody,
        )

    @property
    def most_rows(self) -> int:
        """How many edges there are at the most."""
        return self.k * len(self.graph.users)

    @property
    def owners(self) -> pl.Series:
        """Ids of all users, by position."""
        return self.graph.users["id"]

    @property
    def items(self) -> pl.Series:
        """Ids of what can be in a list."""
        return self.graph.products["id"].gather(self.products)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a shard."""
        return columns_of("bought")

    def shard(self, start: int, stop: int) -> Shard:
        """Return the lists of the users at these positions; memory depends on how many they are, not on all users."""
        users = np.arange(start, stop)
        history = self._history(start, stop)
        seen = sparse.csr_array(history.shape) if self.manifest.repeat else binary(history)
        recommender = RelatedRecommender("Cartograph", history, self.related)
        blocks = [
            self._block(recommender, np.arange(first, min(first + BLOCK_USERS, len(users))), seen=seen, start=start)
            for first in range(0, len(users), BLOCK_USERS)
        ]
        edges = with_types(pl.concat(blocks), self.columns)
        covered = self.graph.users["id"].gather(users).is_in(edges["user_id"].unique().implode()).to_numpy()
        bought = np.diff(history.indptr) > 0
        left_out = {NO_PURCHASE: int((~covered & ~bought).sum()), NOTHING_LEFT: int((~covered & bought).sum())}
        return Shard(edges, owners=int(covered.sum()), left_out=left_out)

    def _block(
        self, recommender: RelatedRecommender, rows: Int[np.ndarray, " users"], *, seen: sparse.csr_array, start: int
    ) -> pl.DataFrame:
        history = recommender.history[rows]
        ranked = best_products(unseen_scores(recommender, rows, seen=seen), k=self.k)
        reasons = best_reasons(ranked, history=history, related=self.related, kinds=self.kinds)
        edges = ranked_by_id(
            filled_up(ranked, seen=seen[rows], popular=self.popular),
            reasons,
            graph=self.graph,
            users=start + rows,
            products=self.products,
        )
        return edges.with_columns(
            self._probability(edges["score"]),
            run=pl.lit(self.manifest.run),
            made_at=pl.lit(self.manifest.made_at),
        )

    def _history(self, start: int, stop: int) -> sparse.csr_array:
        """Return a(u, j) of these users, (stop - start) × products."""
        of_these = self.known.filter(pl.col("user").is_between(start, stop - 1)).with_columns(pl.col("user") - start)
        return history_weights(
            of_these, products=self.products, num_users=stop - start, weighing=self.manifest.weighing, now=self.now
        )

    def _probability(self, score: pl.Series) -> pl.Series:
        if self.calibration is None:
            return pl.Series("probability", [None] * len(score), dtype=pl.Float64)
        # Of no score numpy makes NaN, and interp a NaN of it.
        return pl.Series("probability", self.calibration.probability(score.to_numpy()), nan_to_null=True)
