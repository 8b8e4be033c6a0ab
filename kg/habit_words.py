"""Says what each number of a user's habits is made from: how many purchases and days, from when to when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kg.text_table import date_text

HABITS = (
    *("recency_days", "days_a_week", "rhythm_days", "shopping_days", "spend", "spend_a_day", "deals", "coupons"),
    *("loyalty", "top_brand", "variety", "own_label"),
)
"""Columns of ``users.parquet`` that a page shows, in this order."""

MADE_FROM = (
    *("purchases", "products", "first_at", "last_at", "paid_purchases", "priced_purchases", "deal_purchases"),
    *("told_purchases", "coupon_purchases", "coupon_told_purchases"),
    *("brand_purchases", "top_brand_purchases", "categories", "own_label_purchases", "labelled_purchases"),
)
"""Further columns of it, which say what those are made from."""


def habit_evidence(row: Mapping[str, Any], *, now: int, top_brand: str | None) -> dict[str, str | None]:
    """Return habit → what it is made from.

    ``row`` is one of ``users.parquet``, ``now`` the moment of the delivery (seconds, UTC), and ``top_brand`` names the
    purchases that carry most of her top brand, where they may be named.
    """
    first, last, today = (date_text(at or 0) for at in (row["first_at"], row["last_at"], now))
    days = row["shopping_days"] or 0
    priced = f"{row['deal_purchases']} of {row['priced_purchases']} priced purchases"
    told = f"{row['deal_purchases']} of {row['told_purchases']} purchases had a discount or a coupon"
    return {
        "recency_days": f"from her last purchase, {last}, to {today}",
        "days_a_week": f"{days} shopping days from {first} to {today}",
        "rhythm_days": f"median of the {days - 1} gaps between {days} shopping days, {first} to {last}",
        "shopping_days": f"{row['purchases']} purchases of {row['products']} products, {first} to {last}",
        "spend": f"{row['paid_purchases']} purchases with a known spend, {first} to {last}",
        "spend_a_day": f"her spend over {days} shopping days",
        "deals": told if row["told_purchases"] else priced,
        "coupons": f"{row['coupon_purchases']} of {row['coupon_told_purchases']} purchases had a coupon",
        "loyalty": f"{row['top_brand_purchases']} of {row['brand_purchases']} purchases that have a brand",
        "top_brand": top_brand and f"most often {top_brand}",
        "variety": f"{row['purchases']} purchases in {row['categories']} categories",
        "own_label": f"{row['own_label_purchases']} of {row['labelled_purchases']} purchases",
    }
