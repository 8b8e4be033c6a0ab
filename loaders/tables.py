"""Says once what a shop is: four checked tables, and what was found while they were checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from loaders.columns import extra_columns, normalise
from loaders.errors import InputError
from loaders.schemas import validate

PURCHASE_KEY = ("user_id", "product_id", "at")
MONEY = ("spend", "discount", "coupon")
"""What was paid for the whole purchase, and what was taken off: by the shop, and by coupons."""


@dataclass(frozen=True)
class Finding:
    """Rows of the raw data that a stated rule met."""

    table: str
    """The table they are in, for example ``purchases``."""

    rule: str
    """What is true of them, for example ``names a product that does not exist``."""

    action: str
    """What became of them: ``dropped`` or ``kept``."""

    rows: int
    """How many there are."""

    example: str
    """One value among them."""


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
    purchases: pl.DataFrame,
    users: pl.DataFrame | None = None,
    links: pl.DataFrame | None = None,
    findings: Iterable[Finding] = (),
    validation_from: int | None = None,
    test_from: int | None = None,
) -> Shop:
    """Return the shop of these raw tables, cast, completed and sorted; raise if a rule is broken.

    An ``at`` of 0 means that the time is unknown; a quantity that is not given is 1.
    """
    checked_products = _checked(products, "products")
    checked_purchases = _checked(purchases, "purchases")
    for table, frame in (("products", checked_products), ("purchases", checked_purchases)):
        if frame.is_empty():
            raise InputError(f"{name!r} is an empty shop: {table} has no rows; give at least one")
    _require_known(checked_purchases, checked_products)
    _require_all_folds(checked_purchases)
    checked_users = _checked(pl.DataFrame({"user_id": []}) if users is None else users, "users")
    checked_products, checked_users = _with_same_types(checked_products, checked_users)
    no_links = pl.DataFrame({"source_id": [], "relation": [], "target_id": []})
    checked_links = _checked(no_links if links is None else links, "links")
    kept_links, link_findings = _product_links(checked_links, checked_products)
    summed, sum_findings = _sum_lines(checked_purchases)
    return Shop(
        name=name,
        products=checked_products.sort("product_id"),
        purchases=summed,
        users=_with_all_buyers(checked_users, checked_purchases),
        links=kept_links,
        findings=(
            *findings,
            *_left_out_columns(purchases, "purchases"),
            *_unknown_times(purchases),
            *sum_findings,
            *(_left_out_columns(links, "links") if links is not None else ()),
            *link_findings,
        ),
        validation_from=validation_from,
        test_from=test_from,
    )


def _checked(raw: pl.DataFrame, table: str) -> pl.DataFrame:
    frame = normalise(raw, table)
    if table == "purchases":
        frame = frame.with_columns(pl.col("at").fill_null(0), pl.col("quantity").fill_null(1.0))
    validate(frame, table)
    return frame


def _require_known(purchases: pl.DataFrame, products: pl.DataFrame) -> None:
    orphans = purchases.join(products, on="product_id", how="anti", maintain_order="left")
    if len(orphans):
        first = orphans["product_id"][0]
        raise InputError(
            f"{len(orphans)} of {len(purchases)} purchases name an unknown product, first {first!r}; "
            "add its row to products or drop the purchase"
        )


def _require_all_folds(purchases: pl.DataFrame) -> None:
    empty = purchases["fold"].null_count()
    if 0 < empty < len(purchases):
        raise InputError(
            f"purchases: fold is empty in {empty} of {len(purchases)} rows, first in row "
            f"{purchases['fold'].is_null().arg_true()[0] + 1}; fill in all of them or none"
        )


def _with_same_types(products: pl.DataFrame, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with text where the same extra column has two types: a graph property has one."""
    both = [column for column in extra_columns(users, "users") if column in extra_columns(products, "products")]
    unlike = [column for column in both if users[column].dtype != products[column].dtype]
    as_text = [pl.col(column).cast(pl.String) for column in unlike]
    return products.with_columns(as_text), users.with_columns(as_text)


def _with_all_buyers(users: pl.DataFrame, purchases: pl.DataFrame) -> pl.DataFrame:
    """Return ``users`` and a row for each buyer who has none, sorted."""
    buyers = purchases.select(pl.col("user_id").unique())
    return pl.concat([users, buyers.join(users, on="user_id", how="anti")], how="diagonal").sort("user_id")


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


def _sum_lines(purchases: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Return one row for each user, product and time, sorted; quantity and money are added up."""
    ordered = purchases.sort(PURCHASE_KEY)
    again = pl.all_horizontal(pl.col(column).eq_missing(pl.col(column).shift()) for column in PURCHASE_KEY)
    is_again = ordered.select(again).to_series()
    if not is_again.any():
        return ordered, []
    is_repeated = is_again | is_again.shift(-1, fill_value=False)
    # Sorted by all columns, so that the order of the raw lines cannot change a sum's last digit.
    lines = ordered.filter(is_repeated).sort(*PURCHASE_KEY, "quantity", *MONEY, "fold")
    summed = lines.group_by(PURCHASE_KEY, maintain_order=True).agg(
        pl.col("quantity").sum(),
        # The sum of nothing is 0 in polars; money nobody knows stays unknown.
        *(pl.when(pl.col(column).count() > 0).then(pl.col(column).sum()) for column in MONEY),
        pl.col("fold").first(),
        pl.col("fold").n_unique().alias("folds"),
    )
    _require_one_fold(summed)
    once = pl.concat([ordered.filter(~is_repeated), summed.drop("folds")]).sort(PURCHASE_KEY)
    example = f"{summed['user_id'][0]} {summed['product_id'][0]}"
    rule = "shares user, product and time with another line, so was added to it"
    return once, [Finding("purchases", rule, "kept", len(ordered) - len(once), example)]


def _require_one_fold(summed: pl.DataFrame) -> None:
    torn = summed.filter(pl.col("folds") > 1)
    if len(torn):
        raise InputError(
            f"purchases: {len(torn)} purchases of the same user, product and time are in more than one fold, first "
            f"{torn['user_id'][0]!r} {torn['product_id'][0]!r}; put them in one fold"
        )


def _unknown_times(purchases: pl.DataFrame) -> list[Finding]:
    empty = purchases["at"].null_count() if "at" in purchases.columns else 0
    if not 0 < empty < len(purchases):
        return []
    row = purchases.row(purchases["at"].is_null().arg_true()[0], named=True)
    rule = "has no time, though others do: counted as the oldest"
    return [Finding("purchases", rule, "kept", empty, f"{row['user_id']} {row['product_id']}")]


def _left_out_columns(raw: pl.DataFrame, table: str) -> list[Finding]:
    rule = "is in a column that is not kept"
    return [Finding(table, rule, "dropped", len(raw), column) for column in extra_columns(raw, table)]
