"""Weighs what each user bought: the matrix a(u, j) that every score is a sum over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.config import ClosedFormConfig, HistoryConfig

SECONDS_PER_DAY = 86_400.0
SECONDS_PER_WEEK = 7 * 86_400
FOREVER = 1e30
"""A half-life that makes every age weigh the same; seconds, because Cypher has no infinity to be given."""


@dataclass(frozen=True)
class Weighing:
    """How a purchase is weighed, in the form that Cypher is given too."""

    exponent: float
    """Power of the sum of a product's recent purchases."""

    half_life: float
    """Seconds after which a purchase weighs half."""

    @classmethod
    def of(cls, config: HistoryConfig | ClosedFormConfig, *, times_known: bool) -> Weighing:
        """Return the weighing that ``config`` asks for; without times, age weighs nothing."""
        half_life = config.half_life_days * SECONDS_PER_DAY if times_known else FOREVER
        return cls(exponent=config.exponent, half_life=half_life)


def history_weights(
    bought: pl.DataFrame, *, products: Int[np.ndarray, " products"], num_users: int, weighing: Weighing, now: int
) -> sparse.csr_array:
    """Return a(u, j) = (Σ over her purchases of j of 0.5 ^ ((now - at) / half_life)) ^ exponent, users × products.

    ``bought`` holds ``user``, ``product`` (positions) and ``at`` (seconds, UTC), all of it before ``now``; the columns
    of the result are the sorted positions ``products``, purchases of others are left out.
    """
    age = (now - pl.col("at")) / weighing.half_life
    counted = by_pair(bought.filter(pl.col("product").is_in(products)), (0.5**age).sum().alias("recent"))
    ends = np.concatenate([[0], np.cumsum(np.bincount(counted["user"].to_numpy(), minlength=num_users))])
    weight = counted["recent"].to_numpy() ** weighing.exponent
    columns = np.searchsorted(products, counted["product"].to_numpy())
    return sparse.csr_array((weight, columns, ends), shape=(num_users, len(products)))


def by_pair(bought: pl.DataFrame, *measures: pl.Expr) -> pl.DataFrame:
    """Return ``user, product``, sorted, and the ``measures`` of each pair's purchases, which have the column ``at``.

    The purchases of a pair are in the order of their times: a sum in another differs in its last digit, and the same
    purchases are to give the same numbers.
    """
    width = int(bought["product"].to_numpy().max(initial=0)) + 1
    # As one number, sorted: polars then groups by where it changes, without a table of all pairs.
    pair = pl.col("user") * width + pl.col("product")
    return (
        bought.select(pair.alias("pair"), "at")
        .sort("pair", "at")
        .group_by("pair", maintain_order=True)
        .agg(*measures)
        .select((pl.col("pair") // width).alias("user"), (pl.col("pair") % width).alias("product"), pl.exclude("pair"))
    )


def trend(
    bought: pl.DataFrame,
    *,
    products: Int[np.ndarray, " products"],
    half_life_days: float,
    shrink: float,
    now: int,
) -> Float[np.ndarray, " products"]:
    """Return recent against usual purchases of each product: 1 is as ever, 2 twice as often.

    Recent purchases weigh 0.5 ^ (age / half-life); usual ones are all, scaled to the same total; ``shrink`` purchases
    are added to both, so that a rare product has no trend.
    """
    age = (now - pl.col("at")) / (half_life_days * SECONDS_PER_DAY)
    # In one order: a sum in another differs in its last digit, and the same purchases give the same numbers.
    by_product = bought.sort("product", "at").group_by("product", maintain_order=True)
    counted = by_product.agg(pl.len().alias("usual"), (0.5**age).sum().alias("recent"))
    scale = float(counted["recent"].sum()) / max(float(counted["usual"].sum()), 1.0)
    kept = counted.filter(pl.col("product").is_in(products))
    factor = np.ones(len(products))
    recent, usual = kept["recent"].to_numpy(), kept["usual"].to_numpy() * scale
    factor[np.searchsorted(products, kept["product"].to_numpy())] = (recent + shrink * scale) / (usual + shrink * scale)
    return factor


def repeat_rate(bought: pl.DataFrame, *, products: Int[np.ndarray, " products"]) -> Float[np.ndarray, " products"]:
    """Return the share of each product's buyers who bought it more than once, shrunk by one buyer who did not."""
    counted = (
        bought.group_by("user", "product")
        .agg(again=(pl.len() > 1))
        .group_by("product")
        .agg(pl.len().alias("buyers"), pl.col("again").sum())
        .filter(pl.col("product").is_in(products))
    )
    rate = np.zeros(len(products))
    rate[np.searchsorted(products, counted["product"].to_numpy())] = counted["again"] / (counted["buyers"] + 1)
    return rate


def binary(history: sparse.csr_array) -> sparse.csr_array:
    """Return the same pairs with the weight 1: who bought what."""
    return sparse.csr_array((np.ones_like(history.data), history.indices, history.indptr), shape=history.shape)


def num_buyers(bought: pl.DataFrame, *, products: Int[np.ndarray, " products"]) -> Int[np.ndarray, " products"]:
    """Return how many users bought each of ``products`` (sorted positions)."""
    width = int(bought["product"].to_numpy().max(initial=0)) + 1
    # Distinct numbers take half the memory of distinct pairs.
    pairs = (bought["user"] * width + bought["product"]).unique()
    product = (pairs % width).filter((pairs % width).is_in(products))
    return np.bincount(np.searchsorted(products, product.to_numpy()), minlength=len(products))


def ranked_products(
    bought: pl.DataFrame, *, listed: Bool[np.ndarray, " products"], min_buyers: int
) -> Int[np.ndarray, " ranked"]:
    """Return the positions of the listed products with at least ``min_buyers`` buyers, sorted."""
    buyers = num_buyers(bought, products=np.arange(len(listed)))
    return np.flatnonzero(listed & (buyers >= min_buyers))
