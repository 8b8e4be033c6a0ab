"""Recommends products to a user or to a visitor's basket: ``python -m kg.recommend --user ID`` or ``--basket ID …``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl
import tyro

from kg import schema
from kg.cypher import Value, read_query, with_values
from kg.explain import score_parameters, weighing_values
from kg.graph import RunRecord
from kg.lookup import require_limit, require_product, require_run, require_user
from kg.popular import group_text, most_bought
from kg.store import GraphStore, address_of, open_store
from kg.text_table import date_text, one_line, product_text, text_table
from loaders.errors import InputError, run_command
from loaders.moments import parse_moments
from loaders.schemas import YEAR_10000


@dataclass(frozen=True)
class RecommendConfig:
    """Names the best products for a user or for a visitor's basket, and the purchase that speaks most for each."""

    user: str | None = None
    """Id of the user."""

    basket: tuple[str, ...] = ()
    """Ids of the products in a visitor's basket, one as often as it is in there; instead of a user."""

    limit: int = 10
    """Products to recommend."""

    run: str | None = None
    """Name of the run that recommends; by default the one made last."""

    now: str | None = None
    """Moment (ISO 8601 or seconds since 1970, UTC) before which purchases count; by default the run's own."""

    store: str | None = None
    """Address of the store; by default NEO4J_URI, else the file in data/ named after the shop."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    shop: str = "complete-journey"
    """The shop that was loaded, only to find its store."""


@dataclass(frozen=True)
class Recommendations:
    """What was recommended to whom, and why."""

    heading: str
    """For whom, by which run, and what a reader has to know."""

    rows: pl.DataFrame
    """``product, name, score``, best first, or ``product, name, buyers``."""

    reasons: Sequence[pl.DataFrame]
    """For each row of scores one frame: the purchase that adds the most (``because, name, contribution``, shares)."""

    query: str
    """The Cypher that returns ``rows``, to paste."""


def recommend(store: GraphStore, *, user: str, run: RunRecord, limit: int) -> pl.DataFrame:
    """Return ``product``, ``name`` and ``score`` of the best products for ``user``, best first.

    Those she has bought are among them only if the run was made to recommend them again. Purchases count that are
    before ``run.now``: a run with a later one gives the same list, at other scores, and knows what was bought since.
    """
    require_user(store, user)
    return store.query(read_query("recommend", dialect=store.dialect), _user_values(user, run, limit=limit))


def purchases_before(store: GraphStore, *, user: str, moment: int) -> int:
    """Return how many purchases ``user`` made before ``moment`` (seconds, UTC)."""
    text = read_query("profile_purchases", dialect=store.dialect)
    rows = store.query(text, {"user": user, "now": float(moment), "limit": 1})
    return 0 if rows.is_empty() else int(rows["purchases"][0])


def recommend_with_basket(store: GraphStore, *, basket: Sequence[str], run: RunRecord, limit: int) -> pl.DataFrame:
    """Return ``product``, ``name`` and ``score`` of the best products for a visitor with this basket, best first.

    A product that is in the basket n times counts as bought n times now, so it weighs n ^ exponent. Those in the basket
    are left out, unless the run was made to recommend again what was bought.
    """
    require_basket(store, basket)
    text = read_query("recommend_with_basket", dialect=store.dialect)
    return store.query(text, _basket_values(basket, run, limit=limit))


def require_basket(store: GraphStore, basket: Sequence[str]) -> None:
    """Raise unless there is something in the basket and the graph has all of it."""
    if not basket:
        raise InputError("the basket is empty; give the id of at least one product")
    for product in sorted(set(basket)):
        require_product(store, product)


def page_for_user(store: GraphStore, *, user: str, run: RunRecord, limit: int) -> Recommendations:
    """Return the recommendations for a user; where no purchase of hers leads anywhere, what people like her bought."""
    rows = recommend(store, user=user, run=run, limit=limit)
    # A time that nobody knows is 0.
    counted = f"purchases before {date_text(run.now)}" if run.now > 1 else "all purchases"
    heading = f"For user {one_line(user)} (run {one_line(run.name)}, {counted})"
    before, all_of_hers = (purchases_before(store, user=user, moment=moment) for moment in (run.now, YEAR_10000))
    newer = all_of_hers - before
    if newer:
        heading += f"\n{newer} of her purchases are not before that and do not count; --now MOMENT counts them."
    if rows.is_empty():
        found = most_bought(store, user=user, run=run, limit=limit)
        heading += (
            "\nNo purchase of hers leads to a product, so these are the products that were bought by most of "
            f"{group_text(found.group)}."
        )
        return Recommendations(heading, found.rows, [], found.query)
    text = read_query("recommend", dialect=store.dialect)
    why = read_query("explain_score", dialect=store.dialect)
    return Recommendations(
        heading=heading,
        rows=rows,
        reasons=_reasons(store, rows, why, lambda product: score_parameters(user, product, run, limit=1)),
        query=with_values(text, store.stored_values(text, _user_values(user, run, limit=limit))),
    )


def page_for_basket(store: GraphStore, *, basket: Sequence[str], run: RunRecord, limit: int) -> Recommendations:
    """Return the recommendations for a visitor."""
    rows = recommend_with_basket(store, basket=basket, run=run, limit=limit)
    text = read_query("recommend_with_basket", dialect=store.dialect)
    why = read_query("explain_with_basket", dialect=store.dialect)
    own: dict[str, Value] = {"basket": list(basket), "run": run.name, "exponent": run.exponent, "limit": 1}
    return Recommendations(
        heading=f"For a basket of {len(basket)} (run {one_line(run.name)})",
        rows=rows,
        reasons=_reasons(store, rows, why, lambda product: {**own, "product": product}),
        query=with_values(text, store.stored_values(text, _basket_values(basket, run, limit=limit))),
    )


def page_text(page: Recommendations) -> str:
    """Return the page for a terminal."""
    if page.rows.is_empty():
        table = "Nothing: no RELATED edge of the run leads from here to another product."
    elif not page.reasons:
        rows = page.rows.rows()
        table = text_table(
            ("product", "buyers"), [(product_text(product, name), buyers) for product, name, buyers in rows]
        )
    else:
        table = text_table(
            ("product", "score", "because of", "adds", "mostly"),
            [
                (product_text(product, name), score, *_reason(reason))
                for (product, name, score), reason in zip(page.rows.rows(), page.reasons, strict=True)
            ],
        )
    return f"{page.heading}\n\n{table}\n\nThe same from the graph, to paste:\n\n{page.query.rstrip()}"


def moment(text: str) -> int:
    """Return the seconds since 1970 (UTC) of a moment that a person gave."""
    found = parse_moments(pl.Series([text]))[0]
    if found is None:
        raise InputError(f"--now {text!r} is no moment; give one such as 2026-03-01T10:00:00, or seconds since 1970")
    return int(found)


def main() -> None:
    """Recommend to the user or the basket that the command line names."""
    config = tyro.cli(RecommendConfig, prog="python -m kg.recommend")
    require_limit(config.limit)
    if (config.user is None) == (not config.basket):
        raise InputError(
            "recommendations are for a user or for a basket; give either --user ID or --basket ID [ID ...]"
        )
    now = None if config.now is None else moment(config.now)
    address = address_of(config.store, config.shop)
    with open_store(address, read_only=True, password_file=config.password_file) as store:
        run = require_run(store, config.run)
        run = run if now is None else replace(run, now=now)
        if config.user is not None:
            page = page_for_user(store, user=config.user, run=run, limit=config.limit)
        else:
            page = page_for_basket(store, basket=config.basket, run=run, limit=config.limit)
    print(page_text(page))


def _user_values(user: str, run: RunRecord, *, limit: int) -> dict[str, Value]:
    return {"user": user, **weighing_values(run), "repeat": run.repeat, "limit": limit}


def _basket_values(basket: Sequence[str], run: RunRecord, *, limit: int) -> dict[str, Value]:
    weighing: dict[str, Value] = {"run": run.name, "exponent": run.exponent, "repeat": run.repeat}
    return {"basket": list(basket), **weighing, "limit": limit}


def _reasons(
    store: GraphStore, rows: pl.DataFrame, text: str, values_of: Callable[[str], dict[str, Value]]
) -> list[pl.DataFrame]:
    return [store.query(text, values_of(product)) for product in rows["product"]]


def _reason(found: pl.DataFrame) -> tuple[str, float, str]:
    """Return the purchase that adds the most, how much, and the largest share of that."""
    row = found.row(0, named=True)
    largest = max(schema.SHARES, key=lambda share: row[share])
    return product_text(row["because"], row["name"]), row["contribution"], largest


if __name__ == "__main__":
    run_command(main)
