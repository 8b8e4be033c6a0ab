"""Measures how each user shops: how lately, how often, for how much, of how many brands and kinds, at which prices."""

from __future__ import annotations

import numpy as np
import polars as pl

from gnn.config import ProfileConfig
from gnn.history import SECONDS_PER_DAY
from gnn.preferences import BRAND, CATEGORY, Allowed
from kg.graph import Graph

DAY = int(SECONDS_PER_DAY)
CHEAPER = 0.9
"""A purchase counts as a deal at or below this part of the product's usual price, where the shop tells no more."""

COUNTED_APART = ("brand_purchases", "top_brand_purchases", "categories", "own_label_purchases", "labelled_purchases")
"""Counts that loyalty, variety and the own-label share are made from."""

BANDS = ("low", "middle", "high")
"""Thirds of the products of a category by their usual price."""


def allowed_purchases(graph: Graph, may: Allowed, *, now: int) -> pl.DataFrame:
    """Return the purchases before ``now`` that may be spoken of, and what each cost beside what it usually costs.

    Columns are ``user, product, at, quantity, spend, discount, coupon, paid, usual``. ``paid`` is spend over quantity.
    ``usual`` is the median of what all users paid for one, else the shop's price; null where nobody knows.
    """
    products = pl.Series(np.flatnonzero(may.products))
    price = pl.DataFrame({"product": pl.int_range(len(graph.products), eager=True), "price": graph.products["price"]})
    kept = graph.bought.filter(pl.col("at") < now, pl.col("product").is_in(products.implode()))
    return (
        kept.sort("user", "at", "product")
        .with_columns((pl.col("spend") / pl.col("quantity")).alias("paid"))
        .join(price, on="product", how="left", maintain_order="left")
        .with_columns(pl.coalesce(pl.col("paid").median().over("product"), "price").alias("usual"))
        .select("user", "product", "at", "quantity", "spend", "discount", "coupon", "paid", "usual")
    )


def habits(purchases: pl.DataFrame, graph: Graph, may: Allowed, *, now: int, config: ProfileConfig) -> pl.DataFrame:
    """Return a row for each user who bought something: ``user`` and the numbers of ``docs/profiles.md``.

    ``purchases`` are from :func:`allowed_purchases`; what nobody knows (times, spends, brands, own labels) is null.
    """
    times = pl.col("at").filter(pl.col("at") > 0)
    weeks = ((now - times.min()) / (7 * SECONDS_PER_DAY)).clip(lower_bound=1.0)
    days = (times // DAY).n_unique()
    rows = purchases.group_by("user", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("purchases"),
        pl.col("product").n_unique().cast(pl.Int64).alias("products"),
        pl.when(times.count() > 0).then(days.cast(pl.Int64)).alias("shopping_days"),
        times.min().alias("first_at"),
        times.max().alias("last_at"),
        ((now - times.max()) / SECONDS_PER_DAY).alias("recency_days"),
        (days / weeks).alias("days_a_week"),
        (times // DAY).unique().sort().diff().median().alias("rhythm_days"),
        # The sum of nothing is 0 in polars; a spend nobody knows stays unknown.
        pl.when(pl.col("spend").count() > 0).then(pl.col("spend").sum()).alias("spend"),
        pl.col("spend").count().cast(pl.Int64).alias("paid_purchases"),
        *_deal_seeking(purchases),
    )
    rows = rows.with_columns((pl.col("spend") / pl.col("shopping_days").replace(0, None)).alias("spend_a_day"))
    for found in (
        _loyalty(purchases, may),
        _variety(purchases, may, level=config.level),
        _own_label(purchases, graph),
    ):
        rows = rows.join(found, on="user", how="left", maintain_order="left")
    # Who is in none of these tables has none of what they count.
    return rows.with_columns(pl.col(*COUNTED_APART).fill_null(0)).sort("user")


def at_level(may: Allowed, *, level: int) -> pl.DataFrame:
    """Return ``product, target``: each product's categories at ``level``, or at its lowest where that is higher."""
    categories = may.groups.filter(pl.col("kind") == CATEGORY)
    reached = pl.min_horizontal(pl.col("level").max().over("product"), pl.lit(level))
    return categories.filter(pl.col("level") == reached).select("product", "target")


def price_bands(purchases: pl.DataFrame, may: Allowed, *, config: ProfileConfig) -> pl.DataFrame:
    """Return what each user pays, by category, a row for each user and category.

    Columns are ``user, category, purchases, first_at, last_at, mean_paid, quantile, compared, band``. ``quantile`` is
    the part of the category's ``compared`` products, those that anybody bought, whose usual price is below her mean
    price for one, those equal to it counting half; a third of 0 to 1 each is the band low, middle and high. Only where
    both she has ``least_priced`` priced purchases in the category and the category has as many priced products.
    """
    members = at_level(may, level=config.level)
    usual = purchases.drop_nulls("usual").unique("product").select("product", "usual").join(members, on="product")
    prices = {
        int(category): np.sort(rows["usual"].to_numpy())
        for (category,), rows in usual.group_by("target")
        if len(rows) >= config.least_priced
    }
    means = (
        purchases.drop_nulls("paid")
        .join(members, on="product", maintain_order="left")
        .filter(pl.col("target").is_in(pl.Series(list(prices), dtype=pl.Int64).implode()))
        .group_by("user", "target", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("purchases"),
            pl.col("at").min().alias("first_at"),
            pl.col("at").max().alias("last_at"),
            pl.col("paid").mean().alias("mean_paid"),
        )
        .filter(pl.col("purchases") >= config.least_priced)
        .sort("target", "user")
    )
    quantiles = [
        (np.searchsorted(prices[category], paid, "left") + np.searchsorted(prices[category], paid, "right"))
        / (2 * len(prices[category]))
        for category, paid in _paid_by_category(means)
    ]
    quantile = pl.Series("quantile", np.concatenate([*quantiles, np.zeros(0)]), dtype=pl.Float64)
    third = (pl.col("quantile") * len(BANDS)).floor().clip(upper_bound=len(BANDS) - 1).cast(pl.Int64)
    sizes = {category: len(each) for category, each in prices.items()}
    return (
        means.with_columns(quantile, pl.col("target").replace_strict(sizes, return_dtype=pl.Int64).alias("compared"))
        .with_columns(third.replace_strict(dict(enumerate(BANDS)), return_dtype=pl.String).alias("band"))
        .rename({"target": "category"})
        .select(*("user", "category", "purchases", "first_at", "last_at", "mean_paid", "quantile", "compared", "band"))
        .sort("user", "purchases", "category", descending=[False, True, False])
    )


def _paid_by_category(means: pl.DataFrame) -> list[tuple[int, np.ndarray]]:
    return [
        (int(category), rows["mean_paid"].to_numpy())
        for (category,), rows in means.group_by("target", maintain_order=True)
    ]


def _deal_seeking(purchases: pl.DataFrame) -> list[pl.Expr]:
    """Return the shares of deals and of coupons in a user's purchases, and the counts that they are made from.

    A deal has a discount or a coupon; where none of ``purchases`` tells of either, it is cheaper than usual.
    """
    # Null only where neither is known: what is empty beside the other counts as none.
    reduced = pl.max_horizontal("discount", "coupon") > 0
    # Where all is free, nothing is a deal.
    cheaper = (pl.col("paid") <= CHEAPER * pl.col("usual")) & (pl.col("usual") > 0)
    deal = reduced if purchases.select(reduced.count()).item() else cheaper
    with_coupon = pl.col("coupon") > 0
    counts = {
        "deal_purchases": deal.sum(),
        "told_purchases": reduced.count(),
        "priced_purchases": cheaper.count(),
        "coupon_purchases": with_coupon.sum(),
        "coupon_told_purchases": with_coupon.count(),
    }
    return [
        deal.mean().alias("deals"),
        with_coupon.mean().alias("coupons"),
        *(count.cast(pl.Int64).alias(name) for name, count in counts.items()),
    ]


def _loyalty(purchases: pl.DataFrame, may: Allowed) -> pl.DataFrame:
    """Return the share of each user's largest brand in her purchases that have one, and which brand it is."""
    brands = may.groups.filter(pl.col("kind") == BRAND).select("product", "target")
    by_brand = purchases.join(brands, on="product").group_by("user", "target").len()
    best = by_brand.sort("user", "len", "target", descending=[False, True, False]).group_by("user", maintain_order=True)
    return best.agg(
        (pl.col("len").first() / pl.col("len").sum()).alias("loyalty"),
        pl.col("target").first().alias("top_brand"),
        pl.col("len").sum().cast(pl.Int64).alias("brand_purchases"),
        pl.col("len").first().cast(pl.Int64).alias("top_brand_purchases"),
    )


def _variety(purchases: pl.DataFrame, may: Allowed, *, level: int) -> pl.DataFrame:
    """Return the exponential of Shannon's entropy over each user's categories (Hill 1973, the number of order 1).

    It is the number of categories of equal size that would be as varied: 1 for one category, n for n equal ones.
    """
    by_category = (
        purchases.join(at_level(may, level=level), on="product").group_by("user", "target").len().sort("user", "target")
    )
    share = pl.col("len") / pl.col("len").sum()
    return by_category.group_by("user", maintain_order=True).agg(
        (-(share * share.log()).sum()).exp().alias("variety"), pl.len().cast(pl.Int64).alias("categories")
    )


def _own_label(purchases: pl.DataFrame, graph: Graph) -> pl.DataFrame:
    """Return the share of own-label products in each user's purchases; no rows where the shop does not say."""
    if graph.products.schema.get("own_label") != pl.Boolean:
        counts = {"own_label_purchases": pl.Int64, "labelled_purchases": pl.Int64}
        return pl.DataFrame(schema={"user": pl.Int64, "own_label": pl.Float64, **counts})
    own = graph.products["own_label"].gather(purchases["product"]).alias("own_label")
    return (
        purchases.with_columns(own)
        .group_by("user")
        .agg(
            pl.col("own_label").mean(),
            pl.col("own_label").sum().cast(pl.Int64).alias("own_label_purchases"),
            pl.col("own_label").count().cast(pl.Int64).alias("labelled_purchases"),
        )
    )
