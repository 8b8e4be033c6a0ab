"""A shop small enough to work out every answer by hand."""

from __future__ import annotations

import polars as pl

from kg.graph import RunRecord
from loaders.tables import Shop, check_shop

DAY = 24 * 3600

PRODUCTS = pl.DataFrame(
    [
        ("tea", "Green Tea", "Leaf", "Food > Drinks > Tea", 3.0),
        ("pot", "Tea Pot", "Clay", "Home > Kitchen", 20.0),
        ("mug", "Mug", "Clay", "Home > Kitchen|Gifts", 8.0),
        ("cup", None, None, "Home > Kitchen", None),
        ("jam", "Plum Jam", "Leaf", "Food > Spreads", 4.0),
    ],
    schema=["product_id", "name", "brand", "category", "price"],
    orient="row",
)
PURCHASES = pl.DataFrame(
    [
        ("ann", "tea", 8 * DAY),
        ("ann", "tea", 9 * DAY),
        ("ann", "pot", 7 * DAY),
        # At the moment `now` of the run, and after it: neither counts.
        ("ann", "jam", 10 * DAY),
        ("ann", "cup", 11 * DAY),
        ("bob", "tea", 5 * DAY),
        ("bob", "mug", 6 * DAY),
        ("cat", "tea", 5 * DAY),
        ("cat", "pot", 5 * DAY),
        ("cat", "mug", 5 * DAY),
        # Bought after `now` by somebody else.
        ("dan", "mug", 12 * DAY),
        ("dan", "tea", 1 * DAY),
    ],
    schema=["user_id", "product_id", "at"],
    orient="row",
)
LINKS = pl.DataFrame({"source_id": ["tea"], "relation": ["ALSO_VIEWED"], "target_id": ["pot"]})

# source, target, weight = bought + network; the other shares are 0.
RELATED = pl.DataFrame(
    [
        ("tea", "mug", 0.8, 0.6, 0.2),
        ("pot", "mug", 0.4, 0.4, 0.0),
        ("tea", "pot", 0.9, 0.9, 0.0),
        ("tea", "cup", -0.2, -0.3, 0.1),
        ("pot", "jam", 0.5, 0.25, 0.25),
        ("jam", "mug", 7.0, 7.0, 0.0),
    ],
    schema=["source", "target", "weight", "bought", "network"],
    orient="row",
).select(
    *("source", "target", "weight"),
    *("bought", pl.lit(0.0).alias("brand"), pl.lit(0.0).alias("category"), pl.lit(0.0).alias("text")),
    *(pl.lit(0.0).alias("links"), "network", pl.lit(0.0).alias("repeat")),
    pl.Series("near", [0.25, 0.0, 0.5, 0.0, 0.0, 0.0]),
)


# What the first run ranks for ann and bob, the first two of each: the weights of their purchases times RELATED.
RECOMMENDED = pl.DataFrame(
    [
        ("ann", "mug", 1, 0.8342416792648605, "bought", "tea", 0.8304828),
        ("ann", "jam", 2, 0.1767766952966369, "bought", "pot", 1.0),
        ("bob", "pot", 1, 0.1590990257669732, "bought", "tea", 1.0),
        # The tea speaks against the cup.
        ("bob", "cup", 2, -0.0353553390593274, None, None, None),
    ],
    schema=["source", "target", "rank", "score", "reason_kind", "reason_via", "reason_share"],
    orient="row",
)


def small_shop(*, products: pl.DataFrame = PRODUCTS, purchases: pl.DataFrame = PURCHASES) -> Shop:
    return check_shop("small", products=products, purchases=purchases, links=LINKS)


def run_record(name: str, *, made_at: str = "2024-01-01T00:00:00+00:00", exponent: float = 0.5) -> RunRecord:
    """Return a run that ages purchases to day 10 and halves their weight each day."""
    return RunRecord(
        name=name, made_at=made_at, now=10 * DAY, half_life=float(DAY), exponent=exponent, learned_before=9 * DAY
    )


FIRST_RUN = run_record("first")
