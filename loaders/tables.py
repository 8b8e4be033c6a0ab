"""Says once what a shop is: four checked tables, and what was found while they were checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from loaders.columns import extra_columns, normalise
from loaders.errors import InputError
from loaders.finding import Finding
from loaders.purchases import checked_purchases, enum_ids, require_all_folds, require_known, sum_lines
from loaders.schemas import validate


@dataclass(frozen=True)
class Shop:
    """A shop's checked tables; :func:`check_shop` makes one and states its rules."""

    name: str
    """What reports and file names call it."""

    products: pl.DataFrame
    """``product_id, name, brand, category, price, text`` and extra columns, sorted by id."""

    purchases: pl.DataFrame
    """``user_id, product_id, at, quantity, spend, discount, coupon, fold``; its key and order are the first three."""

    users: pl.DataFrame
    """``user_id`` and extra columns, sorted by id; every buyer has a row."""

    links: pl.DataFrame
    """``source_id, relation, target_id`` between two products, sorted."""

    findings: tuple[Finding, ...] = ()
    """What was dropped, and what was kept though it is odd."""

    validation_from: int | None = None
    """Seconds (UTC) of the usual split of this data, where there is one: validation starts here."""

    test_from: int | None = None
    """Seconds (UTC) of the usual split: test starts here."""


def check_shop(
    name: str,
    *,
    products: pl.DataFrame,
    purchases: pl.DataFrame | pl.LazyFrame,
    users: pl.DataFrame | None = None,
    links: pl.DataFrame | None = None,
    findings: Iterable[Finding] = (),
    validation_from: int | None = None,
    test_from: int | None = None,
) -> Shop:
    """Return the shop of these raw tables, cast, completed and sorted; raise if a rule is broken.

    An ``at`` of 0 means that the time is unknown; a quantity that is not given is 1. Lazy purchases are read a column
    at a time, so that those of a large shop are not all in memory as they were written.
    """
    checked_products = _checked(products, "products")
    bought, time_findings = checked_purchases(purchases.lazy())
    for table, frame in (("products", checked_products), ("purchases", bought)):
        if frame.is_empty():
            raise InputError(f"{name!r} is an empty shop: {table} has no rows; give at least one")
    require_known(bought, checked_products["product_id"])
    require_all_folds(bought)
    checked_users = _checked(pl.DataFrame({"user_id": []}) if users is None else users, "users")
    checked_products, checked_users = _with_same_types(checked_products, checked_users)
    no_links = pl.DataFrame({"source_id": [], "relation": [], "target_id": []})
    checked_links = _checked(no_links if links is None else links, "links")
    kept_links, link_findings = _product_links(checked_links, checked_products)
    buyers = enum_ids(bought["user_id"])
    unknown_columns = _left_out_columns(purchases.lazy().collect_schema().names(), "purchases", rows=len(bought))
    summed, sum_findings = sum_lines(bought)
    return Shop(
        name=name,
        products=checked_products.sort("product_id"),
        purchases=summed,
        users=_with_all_buyers(checked_users, buyers),
        links=kept_links,
        findings=(
            *findings,
            *unknown_columns,
            *time_findings,
            *sum_findings,
            *(_left_out_columns(links.columns, "links", rows=len(links)) if links is not None else ()),
            *link_findings,
        ),
        validation_from=validation_from,
        test_from=test_from,
    )


def _checked(raw: pl.DataFrame, table: str) -> pl.DataFrame:
    frame = normalise(raw, table)
    validate(frame, table)
    return frame


def _with_same_types(products: pl.DataFrame, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with text where the same extra column has two types: a graph property has one."""
    both = [
        column
        for column in extra_columns(users.columns, "users")
        if column in extra_columns(products.columns, "products")
    ]
    unlike = [column for column in both if users[column].dtype != products[column].dtype]
    as_text = [pl.col(column).cast(pl.String) for column in unlike]
    return products.with_columns(as_text), users.with_columns(as_text)


def _with_all_buyers(users: pl.DataFrame, buyers: pl.Series) -> pl.DataFrame:
    """Return ``users`` and a row for each of the ``buyers`` (ids) who has none, sorted."""
    rows = pl.DataFrame({"user_id": buyers})
    return pl.concat([users, rows.join(users, on="user_id", how="anti")], how="diagonal").sort("user_id")


def _product_links(links: pl.DataFrame, products: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Return the distinct links between two different products, sorted, and what was dropped."""
    known = products["product_id"].implode()
    self_link = pl.col("source_id") == pl.col("target_id")
    between = pl.col("source_id").is_in(known) & pl.col("target_id").is_in(known)
    kept = links.filter(between, ~self_link)
    distinct = kept.unique().sort("source_id", "relation", "target_id")
    dropped = (
        ("names a product that does not exist", links.filter(~between)),
        ("links a product to itself", links.filter(between, self_link)),
        ("is given more than once", kept.filter(~pl.struct(pl.all()).is_first_distinct())),
    )
    findings = [
        Finding("links", rule, "dropped", len(rows), " ".join(rows.row(0))) for rule, rows in dropped if len(rows)
    ]
    return distinct, findings


def _left_out_columns(columns: Sequence[str], table: str, *, rows: int) -> list[Finding]:
    rule = "is in a column that is not kept"
    return [Finding(table, rule, "dropped", rows, column) for column in extra_columns(columns, table)]
