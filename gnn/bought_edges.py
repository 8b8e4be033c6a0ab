"""Ranks products for a range of users: what is in one shard of the delivery user → product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.calibration import Calibration
from gnn.columns import TYPES, Column, columns_of, with_types
from gnn.edges_by_id import ranked_by_id
from gnn.fill import filled_up, popular_columns
from gnn.history import binary, history_weights
from gnn.purchases import Purchases, PurchasesInMemory, in_parts
from gnn.ranking import BLOCK_USERS, NOBODY, Ranked, RelatedRecommender, best_sums, dense_scores, without_seen
from gnn.reasons import best_reasons, largest_shares
from gnn.related import related_matrix, related_products
from gnn.ruled import Probability, removals, ruled_lists
from gnn.rules import Rules, read_rules
from gnn.run import Manifest
from gnn.shard_work import Shard
from kg.graph import Graph
from loaders.errors import InputError

NO_PURCHASE = "no purchase of a ranked product"
NOTHING_LEFT = "nothing left to recommend"
NOT_ASKED_FOR = "not among the users of the rules"


@dataclass(frozen=True)
class Removed:
    """What the rules of the shop take out of some users' lists: rule → places and users; first, what there was."""

    places: Counter[str]
    users: Counter[str]

    def __add__(self, other: Removed) -> Removed:
        """Return the sum of both; a rule that takes nothing stays in it."""
        names = [*dict.fromkeys([*self.places, *other.places])]
        return Removed(
            Counter({name: self.places[name] + other.places[name] for name in names}),
            Counter({name: self.users[name] + other.users[name] for name in names}),
        )


def to_rank_by(related: pl.DataFrame) -> pl.DataFrame:
    """Return of ``RELATED`` edges by position what lists need: ``source, target, weight, kind``, 25 bytes an edge."""
    return related.select("source", "target", "weight", largest_shares(related).alias("kind"))


@dataclass(frozen=True)
class Buyers:
    """Users who follow each other."""

    ids: pl.Series
    asked: Bool[np.ndarray, " users"]
    """Who is to have a list."""

    known: pl.DataFrame
    """What they bought: ``user`` (place among them), ``product`` (position), ``at``."""


@dataclass(frozen=True)
class _Block:
    """Some users of a shard: their rows in it, and their sums, a(u, j) and what they have seen, × products."""

    rows: Int[np.ndarray, " users"]
    sums: sparse.csr_array
    history: sparse.csr_array
    seen: sparse.csr_array

    @property
    def scores(self) -> Float[np.ndarray, "users products"]:
        """The sums, -inf where there is none or the product is seen."""
        return without_seen(dense_scores(self.sums), seen=self.seen)

    def best(self, k: int) -> Ranked:
        """Return the best unseen products."""
        return best_sums(self.sums, seen=self.seen, k=k)


@dataclass(frozen=True)
class BoughtEdges:
    """The ranked edges of all users, made for some of them at a time, by all their purchases before a moment."""

    owners: pl.Series
    """Ids of all users, by position."""

    items: pl.Series
    """Ids of the products that are ranked, as ``products``."""

    manifest: Manifest
    products: Int[np.ndarray, " products"]
    """Sorted positions of the products that are ranked: those that the run's ``RELATED`` edges join."""

    purchases: Purchases
    """What all users bought before the moment."""

    related: sparse.csr_array
    """R, products × products."""

    kinds: sparse.csr_array
    """:func:`gnn.reasons.largest_shares` of each edge of R."""

    k: int
    calibration: Calibration | None
    """How a score becomes a probability; None where nobody knows."""

    popular: Int[np.ndarray, " popular"]
    """Columns of what fills lists that are too short, the best first; none where they are not to be filled."""

    rules: Rules | None = None

    @classmethod
    def of(
        cls,
        graph: Graph,
        purchases: Purchases,
        *,
        edges: pl.DataFrame,
        manifest: Manifest,
        calibration: Calibration | None,
        k: int,
        fill: bool,
        rules_file: Path | None = None,
    ) -> BoughtEdges:
        """Return the ranked edges by a run's ``RELATED`` (``edges``, of :func:`to_rank_by`).

        The purchases that ``graph`` itself holds are not looked at.
        """
        products = related_products(edges)
        if not len(products):
            raise InputError(f"the run {manifest.run!r} has no RELATED edge to rank by; train with more purchases")
        rules = None
        if rules_file:
            rules = read_rules(rules_file, graph, products=products, calibrated=calibration is not None)
        parts = in_parts(purchases, num_users=len(graph.users))
        popular = popular_columns(parts, products=products, now=purchases.now) if fill else np.zeros(0, dtype=np.int64)
        if rules:
            # Of a best seller nobody knows how probable it is: where a least is asked for, nothing is filled.
            popular = popular[rules.allowed[popular]] if rules.minimum_probability is None else popular[:0]
        return cls(
            owners=graph.users["id"],
            items=graph.products["id"].gather(products),
            manifest=manifest,
            products=products,
            purchases=purchases,
            related=related_matrix(edges, products),
            kinds=related_matrix(edges, products, column="kind"),
            k=min(k, len(products)),
            calibration=calibration,
            popular=popular,
            rules=rules,
        )

    @property
    def most_rows(self) -> int:
        """How many edges there are at the most."""
        return self.k * (int(self.rules.users.sum()) if self.rules else len(self.owners))

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a shard."""
        return columns_of("bought", boosted=bool(self.rules and self.rules.boosted))

    def part(self, start: int, stop: int) -> Buyers:
        """Return the users at these positions, and what they bought."""
        return Buyers(
            ids=self.owners.slice(start, stop - start),
            asked=self.rules.users[start:stop] if self.rules else np.ones(stop - start, dtype=bool),
            known=self.purchases.of_users(start, stop),
        )

    def without_owners(self) -> BoughtEdges:
        """Return the same without users and purchases."""
        rules = replace(self.rules, users=self.rules.users[:0]) if self.rules else None
        nothing = pl.DataFrame(schema=dict.fromkeys(("user", "product", "at"), pl.Int64))
        purchases = PurchasesInMemory(nothing, self.purchases.now)
        return replace(self, owners=self.owners.clear(), purchases=purchases, rules=rules)

    def shard(self, part: Buyers) -> Shard:
        """Return the lists of these users; memory depends on how many they are, not on all users."""
        history, asked = self._history(part), part.asked
        blocks = [self._block(block, ids=part.ids) for block in self._blocks(history, asked)]
        types = {column.name: TYPES[column.type] for column in self.columns}
        edges = pl.concat([pl.DataFrame(schema=types), *(with_types(block, self.columns) for block in blocks)])
        covered = part.ids.is_in(edges["user_id"].unique().implode()).to_numpy()
        bought = np.diff(history.indptr) > 0
        left_out = {
            NO_PURCHASE: int((asked & ~covered & ~bought).sum()),
            NOTHING_LEFT: int((asked & ~covered & bought).sum()),
            NOT_ASKED_FOR: int((~asked).sum()),
        }
        return Shard(edges, owners=int(covered.sum()), left_out=left_out)

    def removed(self, part: Buyers) -> Removed:
        """Return what the rules take out of the lists, as they would be without, of these users."""
        counts: Counter[str] = Counter()
        users: Counter[str] = Counter()
        history, asked = self._history(part), part.asked
        for block in self._blocks(history, np.ones(len(asked), dtype=bool)):
            plain = block.best(self.k).products != NOBODY
            counts["without rules"] += int(plain.sum())
            users["without rules"] += int(plain.any(axis=1).sum())
            left = plain[~asked[block.rows]]
            counts["only_users"] += int(left.sum())
            users["only_users"] += int(left.any(axis=1).sum())
        for block in self._blocks(history, asked):
            if self.rules:
                scores = block.scores
                ruled = ruled_lists(scores, self.rules, probability=self._of_scores, k=self.k)
                taken = removals(scores, ruled, self.rules, probability=self._of_scores, k=self.k)
                for name, places in taken.items():
                    counts[name] += int(places.sum())
                    users[name] += int((places > 0).sum())
        return Removed(counts, users)

    def _blocks(self, history: sparse.csr_array, asked: Bool[np.ndarray, " users"]) -> Iterator[_Block]:
        """Yield the sums of some of the users ``asked`` for at a time, rows of ``history``."""
        seen = sparse.csr_array(history.shape) if self.manifest.repeat else binary(history)
        recommender = RelatedRecommender("Cartograph", history, self.related)
        wanted = np.flatnonzero(asked)
        for first in range(0, len(wanted), BLOCK_USERS):
            rows = wanted[first : first + BLOCK_USERS]
            yield _Block(rows=rows, sums=recommender.sums(rows), history=history[rows], seen=seen[rows])

    def _block(self, block: _Block, *, ids: pl.Series) -> pl.DataFrame:
        """Return the lists of the users in the block, rows of ``ids``."""
        if self.rules:
            ranked = ruled_lists(block.scores, self.rules, probability=self._of_scores, k=self.k).ranked
        else:
            ranked = block.best(self.k)
        reasons = best_reasons(ranked, history=block.history, related=self.related, kinds=self.kinds)
        caps = self.rules.caps if self.rules else None
        filled = filled_up(ranked, seen=block.seen, popular=self.popular, caps=caps)
        edges = ranked_by_id(filled, reasons, users=ids.gather(block.rows), products=self.items)
        if self.rules and self.rules.boosted:
            edges = edges.with_columns(boost=pl.Series(self.rules.boost[filled.products[filled.products != NOBODY]]))
        return edges.with_columns(
            self._probability(edges["score"]),
            run=pl.lit(self.manifest.run),
            made_at=pl.lit(self.manifest.made_at),
        )

    def _history(self, part: Buyers) -> sparse.csr_array:
        """Return a(u, j) of these users × products."""
        return history_weights(
            part.known,
            products=self.products,
            num_users=len(part.ids),
            weighing=self.manifest.weighing,
            now=self.purchases.now,
        )

    def _probability(self, score: pl.Series) -> pl.Series:
        if self.calibration is None:
            return pl.Series("probability", [None], dtype=pl.Float64).new_from_index(0, len(score))
        # Of no score numpy makes NaN, and interp a NaN of it.
        return pl.Series("probability", self.calibration.probability(score.to_numpy()), nan_to_null=True)

    @property
    def _of_scores(self) -> Probability | None:
        return self.calibration.probability if self.calibration else None
