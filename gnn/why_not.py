"""Says why a run does not give a user a product: what ranks above it, and which of her purchases it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from gnn.why import edges_to, rank_of, weighed_purchases
from kg.cypher import read_query
from kg.explain import ALL_ROWS, score_parameters
from kg.graph import RunRecord
from kg.lookup import require_product, require_user
from kg.recommend import recommend
from kg.store import GraphStore

SHOWN = 5
"""Rows of each kind that are named; sums are over all."""


@dataclass(frozen=True)
class Place:
    """A product in a list."""

    rank: int
    product: str
    name: str | None
    score: float


@dataclass(frozen=True)
class Lack:
    """A purchase of hers that speaks for the product in place k more than for the one asked about."""

    because: str
    name: str | None
    there: float
    """What it adds to the product in place k."""

    here: float | None
    """What it adds to the product asked about; None where it does not lead to it."""


@dataclass(frozen=True)
class Wish:
    """A product whose purchase would speak for the one asked about."""

    because: str
    name: str | None
    adds: float
    """What one purchase at the run's moment would add to the score, all else as it is."""


@dataclass(frozen=True)
class WhyNot:
    """Why a product is not among a user's best."""

    user: str
    product: str
    name: str | None
    run: RunRecord
    k: int
    """The place that was asked about."""

    left_out: Literal["she bought it", "it is not ranked", "none of her purchases leads to it"] | None
    """Why it is in no place at all; None where it is in one."""

    times_bought: int
    """How often she bought it before the run's moment."""

    buyers: int
    """Users who bought it before the end of what the run learned from."""

    score: float
    """Its score for her, whether it may be recommended or not."""

    rank: int | None
    """Its place in her whole list."""

    ranked: int
    """Length of her whole list."""

    above: tuple[Place, ...]
    """The best products of her list, at most :data:`SHOWN`, none of them below it."""

    at_k: Place | None
    """The product in place k, or in her last place where she has fewer; None where her list is empty."""

    missing: float
    """Score that it lacks to draw level with ``at_k``: ``only_there + both - only_here``. Below 0, it is above."""

    only_there: float
    """Sum of what her purchases add that lead to ``at_k`` and not to it."""

    only_here: float
    """Sum of what her purchases add that lead to it and not to ``at_k``."""

    both: float
    """How much more the purchases that lead to both add to ``at_k``."""

    num_only_there: int
    """How many of her purchases lead to ``at_k`` and not to it."""

    lacks: tuple[Lack, ...]
    """The purchases that add most to ``at_k`` beyond what they add to it, the largest difference first."""

    wishes: tuple[Wish, ...]
    """What she never bought and would add most to it."""


def why_not(store: GraphStore, *, user: str, product: str, run: RunRecord, k: int) -> WhyNot:
    """Return why ``product`` is not in the first ``k`` places of ``user``; raise where the graph lacks one of them."""
    require_user(store, user)
    name = require_product(store, product)
    ranking = recommend(store, user=user, run=run, limit=ALL_ROWS)
    places = [Place(rank, *row) for rank, row in enumerate(ranking.head(k).iter_rows(), start=1)]
    at_k = places[-1] if places else None
    rank = rank_of(product, ranking)
    hers = weighed_purchases(store, users=[user], run=run)
    bought = hers.filter(pl.col("because") == product)["purchases"].to_list()
    edges = edges_to(store, product=product, run=run)
    here = _contributions(store, user=user, product=product, run=run)
    there = _contributions(store, user=user, product=at_k.product, run=run) if at_k else here.clear()
    rows = _compared(here, there)
    only_there = rows.filter(pl.col("here").is_null())["there"]
    only_here = float(rows.filter(pl.col("there").is_null())["here"].sum())
    both = rows.drop_nulls(["here", "there"])
    score = float(here["contribution"].sum())
    return WhyNot(
        user=user,
        product=product,
        name=name,
        run=run,
        k=k,
        left_out=_left_out(rank, bought=bool(bought) and not run.repeat, ranked=len(edges) > 0),
        times_bought=int(bought[0]) if bought else 0,
        buyers=_buyers(store, product=product, run=run),
        score=score,
        rank=rank,
        ranked=len(ranking),
        above=tuple(place for place in places[:SHOWN] if rank is None or place.rank < rank),
        at_k=at_k,
        missing=(at_k.score if at_k else 0.0) - score,
        only_there=float(only_there.sum()),
        only_here=only_here,
        both=float((both["there"] - both["here"]).sum()),
        num_only_there=len(only_there),
        lacks=_lacks(rows),
        wishes=_wishes(edges, hers, product=product),
    )


def _contributions(store: GraphStore, *, user: str, product: str, run: RunRecord) -> pl.DataFrame:
    values = score_parameters(user, product, run, limit=ALL_ROWS)
    rows = store.query(read_query("explain_score", dialect=store.dialect), values)
    kinds = {"because": pl.String, "name": pl.String, "contribution": pl.Float64}
    return rows.select(pl.col(column).cast(kind) for column, kind in kinds.items())


def _compared(here: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    """Return ``because, name, here, there`` of all that leads to one of the two products; null for no edge."""
    # In one order: a sum over the rows in another differs in its last digit.
    return here.rename({"contribution": "here"}).join(
        there.rename({"contribution": "there"}),
        on=("because", "name"),
        how="full",
        coalesce=True,
        nulls_equal=True,
        maintain_order="left_right",
    )


def _lacks(rows: pl.DataFrame) -> tuple[Lack, ...]:
    more = pl.col("there") - pl.col("here").fill_null(0.0)
    kept = rows.with_columns(more.alias("more")).filter(pl.col("more") > 0)
    ordered = kept.sort("more", "because", descending=[True, False]).head(SHOWN)
    return tuple(Lack(*row) for row in ordered.select("because", "name", "there", "here").iter_rows())


def _left_out(
    rank: int | None, *, bought: bool, ranked: bool
) -> Literal["she bought it", "it is not ranked", "none of her purchases leads to it"] | None:
    if rank is not None:
        return None
    if bought:
        return "she bought it"
    return "none of her purchases leads to it" if ranked else "it is not ranked"


def _buyers(store: GraphStore, *, product: str, run: RunRecord) -> int:
    text = read_query("product_buyers", dialect=store.dialect)
    moment = float(min(run.learned_before, run.now))
    rows = store.query(text, {"product": product, "now": moment, "limit": 1})
    return 0 if rows.is_empty() else int(rows["buyers"][0])


def _wishes(edges: pl.DataFrame, hers: pl.DataFrame, *, product: str) -> tuple[Wish, ...]:
    # A first purchase at the run's moment weighs 1 ^ exponent = 1, so it adds just the weight of the edge.
    new = edges.join(hers, on="because", how="anti", maintain_order="left")
    new = new.filter(pl.col("because") != product, pl.col("related") > 0).head(SHOWN)
    return tuple(Wish(*row) for row in new.select("because", "name", "related").iter_rows())
