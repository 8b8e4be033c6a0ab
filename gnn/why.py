"""Gathers why a run gives a user a product: the score, its parts, and the purchases that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from gnn.inside import Inside, StoredEdge, look_inside
from gnn.inside_messages import Method
from gnn.run import RunFolder
from kg import schema
from kg.cypher import read_query
from kg.explain import ALL_ROWS, Explanation, explain, score_parameters
from kg.graph import RunRecord
from kg.lookup import require_product, require_user
from kg.popular import Group, most_bought
from kg.recommend import purchases_before, recommend
from kg.store import GraphStore
from loaders.schemas import YEAR_10000

FLOAT_NOISE = 1e-6
"""How far off, of its size, a share may be."""


@dataclass(frozen=True)
class Reason:
    """One product she bought that speaks for another, and what joins the two in the graph."""

    because: str
    """Id of the product she bought."""

    name: str | None
    """Its name, where it has one."""

    purchases: int
    """How often she bought it before the run's moment."""

    last_at: int
    """When she last did (seconds, UTC), 0 where nobody knows."""

    contribution: float
    """What it adds to the score."""

    parts: Mapping[str, float]
    """Each of :data:`kg.schema.SHARES` that is not 0 → its part of the contribution."""

    brands: tuple[str, ...]
    """Brands that both have."""

    categories: tuple[str, ...]
    """Categories below the department that both are in, the narrowest first."""

    people: int
    """Other users who bought both before the run's moment."""

    inside: Inside | None = None
    """How the networks made the edge, where that was asked for."""


@dataclass(frozen=True)
class Why:
    """Why one product for one user."""

    product: str
    """Id of the product."""

    name: str | None
    """Its name, where it has one."""

    score: float
    """Sum of the contributions of all her purchases, and of all ``parts``."""

    parts: Mapping[str, float]
    """Each of :data:`kg.schema.SHARES` that is not 0 → its part of the score."""

    reasons: tuple[Reason, ...]
    """The purchases that add most, best first."""

    more: int
    """Further purchases that add to the score."""

    more_adds: float
    """What those add together."""

    against: int
    """Purchases that take from the score."""

    against_takes: float
    """What those take together, at most 0."""

    rank: int | None
    """Its place in her list now; None where it is not in it."""

    exported_rank: int | None
    """Its place in what the last export gave her; None where it was not given."""

    times_bought: int
    """How often she bought it herself before the run's moment."""

    leads_to_it: bool
    """Whether any edge of the run leads to it, so that some purchase could speak for it."""

    with_newer: float | None
    """The score with her purchases since the run's moment; None where there are none."""


@dataclass(frozen=True)
class Popular:
    """A product that many bought."""

    product: str
    name: str | None
    buyers: int
    """People of the group who bought it before the run's moment."""


@dataclass(frozen=True)
class Answer:
    """Why a run gives a user her products."""

    user: str
    """Id of the user."""

    run: RunRecord
    """The run whose scores they are."""

    purchases: int
    """Her purchases before the run's moment."""

    unlearned: int
    """Those of them that count in the score and came after all that the run learned from."""

    since_ranking: int
    """Those of them that came after the run's last ranking, where the moment asked for is later."""

    newer: int
    """Her purchases from the run's moment on, which are not in the score."""

    exported: int
    """Products that the last export gave her."""

    products: tuple[Why, ...]
    """The products asked about, or her best."""

    popular: tuple[Popular, ...]
    """What most people of ``group`` buy, where her purchases speak for nothing; else empty."""

    group: Group | None
    """Whose purchases ``popular`` counts; None where her own speak."""


def answer(
    store: GraphStore,
    *,
    user: str,
    product: str | None,
    run: RunRecord,
    k: int,
    reasons: int,
    ranked_at: int | None = None,
) -> Answer:
    """Return why ``run`` gives ``user`` this product, or her ``k`` best; raise where the graph lacks one of them.

    The scores are as of ``run.now``; ``ranked_at`` (seconds, UTC) is when the run last ranked, where that is another.
    """
    require_user(store, user)
    if product is not None:
        require_product(store, product)
    ranking = recommend(store, user=user, run=run, limit=ALL_ROWS)
    exported = recommended(store, user=user, run=run)
    before = purchases_before(store, user=user, moment=run.now)
    ranked = run.now if ranked_at is None else min(ranked_at, run.now)
    newer = purchases_before(store, user=user, moment=YEAR_10000) - before
    asked = [product] if product is not None else ranking["product"].head(k).to_list()
    found = most_bought(store, user=user, run=run, limit=k) if ranking.is_empty() else None
    return Answer(
        user=user,
        run=run,
        purchases=before,
        unlearned=before - purchases_before(store, user=user, moment=min(run.learned_before, run.now)),
        since_ranking=before - purchases_before(store, user=user, moment=ranked),
        newer=newer,
        exported=len(exported),
        products=tuple(
            _why(
                store,
                user=user,
                product=each,
                run=run,
                ranking=ranking,
                exported=exported,
                reasons=reasons,
                newer=newer,
            )
            for each in asked
        ),
        popular=tuple(Popular(*row) for row in found.rows.iter_rows()) if found else (),
        group=found.group if found else None,
    )


def with_inside(found: Answer, store: GraphStore, folder: RunFolder, *, explainer: Method | None) -> Answer:
    """Return the answer with how the networks of the run in ``folder`` made the edge of every reason in it."""
    edges = [edge for why in found.products for edge in _stored_edges(why, store, run=found.run)]
    insides = iter(look_inside(folder, store, edges, explainer=explainer))
    products = [
        replace(why, reasons=tuple(replace(reason, inside=next(insides)) for reason in why.reasons))
        for why in found.products
    ]
    return replace(found, products=tuple(products))


def _stored_edges(why: Why, store: GraphStore, *, run: RunRecord) -> list[StoredEdge]:
    """Return the edge of each reason, in their order."""
    rows = edges_to(store, product=why.product, run=run).rows_by_key("because", named=True, unique=True)
    return [
        StoredEdge(
            source=reason.because,
            target=why.product,
            weight=float(row["related"]),
            network=float(row["network"]),
            noise=FLOAT_NOISE * sum(abs(float(row[share])) for share in schema.SHARES),
        )
        for reason in why.reasons
        for row in [rows[reason.because]]
    ]


def recommended(store: GraphStore, *, user: str, run: RunRecord) -> pl.DataFrame:
    """Return what the last export of ``run`` gave ``user``: ``product, name, rank, score``."""
    text = read_query("recommended", dialect=store.dialect)
    return store.query(text, {"user": user, "run": run.name, "limit": ALL_ROWS})


def weighed_purchases(store: GraphStore, *, users: list[str], run: RunRecord) -> pl.DataFrame:
    """Return what ``users`` bought before the run's moment: ``user, because, purchases, last_at, weight``."""
    values = {"users": users, "now": float(run.now), "half_life": run.half_life, "exponent": run.exponent}
    return store.query(read_query("group_purchases", dialect=store.dialect), {**values, "limit": ALL_ROWS})


def edges_to(store: GraphStore, *, product: str, run: RunRecord, limit: int = ALL_ROWS) -> pl.DataFrame:
    """Return the ``RELATED`` edges of ``run`` that lead to ``product``: ``because, name, related`` and shares."""
    text = read_query("related_to", dialect=store.dialect)
    return store.query(text, {"product": product, "run": run.name, "limit": limit})


def ranks_anything(store: GraphStore, *, run: RunRecord) -> bool:
    """Return whether the store still has an edge of ``run`` to a product that somebody bought before its moment."""
    text = read_query("list_popular", dialect=store.dialect)
    # Nobody has the empty id, so nothing is left out.
    values = {"user": "", "run": run.name, "repeat": True, "now": float(run.now), "limit": 1}
    return not store.query(text, values).is_empty()


def _why(
    store: GraphStore,
    *,
    user: str,
    product: str,
    run: RunRecord,
    ranking: pl.DataFrame,
    exported: pl.DataFrame,
    reasons: int,
    newer: int,
) -> Why:
    found = explain(store, user=user, product=product, run=run, limit=ALL_ROWS)
    adds = found.rows.filter(pl.col("contribution") > 0)
    against = found.rows.filter(pl.col("contribution") < 0)
    own = weighed_purchases(store, users=[user], run=run).filter(pl.col("because") == product)
    return Why(
        product=product,
        name=found.name,
        score=found.score,
        parts=parts_of(found.rows),
        reasons=tuple(_reason(row, found) for row in adds.head(reasons).iter_rows(named=True)),
        more=len(adds.slice(reasons)),
        more_adds=float(adds["contribution"].slice(reasons).sum()),
        against=len(against),
        against_takes=float(against["contribution"].sum()),
        rank=rank_of(product, ranking),
        exported_rank=_first(exported.filter(pl.col("product") == product)["rank"]),
        times_bought=_first(own["purchases"]) or 0,
        leads_to_it=not edges_to(store, product=product, run=run, limit=1).is_empty(),
        with_newer=_score_of_all(store, user=user, product=product, run=run) if newer else None,
    )


def rank_of(product: str, ranking: pl.DataFrame) -> int | None:
    """Return the place of ``product`` in ``ranking`` (1 is the best); None where it is not there."""
    places = ranking.with_row_index("place", offset=1).filter(pl.col("product") == product)["place"]
    return _first(places)


def parts_of(rows: pl.DataFrame) -> dict[str, float]:
    """Return the sum of each share over the rows of an explanation, without those that say nothing."""
    return {share: float(rows[share].sum()) for share in schema.SHARES if (rows[share] != 0).any()}


def _reason(row: dict[str, str | int | float | None], found: Explanation) -> Reason:
    def beside(frame: pl.DataFrame, column: str) -> list[str | int]:
        return list(frame.filter(pl.col("because") == row["because"])[column].unique(maintain_order=True))

    people = beside(found.buyers, "people")
    return Reason(
        because=str(row["because"]),
        name=None if row["name"] is None else str(row["name"]),
        purchases=int(row["purchases"] or 0),
        last_at=int(row["last_at"] or 0),
        contribution=float(row["contribution"] or 0.0),
        parts={share: float(row[share] or 0.0) for share in schema.SHARES if row[share]},
        brands=tuple(str(brand) for brand in beside(found.brand, "brand")),
        categories=tuple(str(category) for category in beside(found.category, "category")),
        people=int(people[0]) if people else 0,
    )


def _score_of_all(store: GraphStore, *, user: str, product: str, run: RunRecord) -> float:
    """Return the score as it is a second after her last purchase, all of them counted."""
    text = read_query("profile_purchases", dialect=store.dialect)
    last = store.query(text, {"user": user, "now": float(YEAR_10000), "limit": 1})["last_at"][0]
    values = score_parameters(user, product, replace(run, now=int(last) + 1), limit=ALL_ROWS)
    rows = store.query(read_query("explain_score", dialect=store.dialect), values)
    return float(rows["contribution"].cast(pl.Float64).sum())


def _first(values: pl.Series) -> int | None:
    return int(values[0]) if len(values) else None
