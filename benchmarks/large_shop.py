"""Makes up a large shop with the skew of a real one, as a folder that every command loads.

``python -m benchmarks.large_shop --folder data/large --users 1000000 --products 200000 --purchases 20000000``

Products, brands and users follow power laws, as sales do (Clauset, Shalizi and Newman 2009); products and users come
one after the other and purchases grow in time. Users have a taste: seven of ten purchases are of a few categories that
a user likes, so there is something to learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from jaxtyping import Int

from loaders.errors import InputError, run_command

START = 1704067200  # 2024-01-01T00:00:00Z
DAY = 24 * 3600
DAYS = 365
TASTE_SHARE = 0.7
LIKED_CATEGORIES = 3
PRODUCTS_OF_A_CATEGORY = 250
PRODUCTS_OF_A_BRAND = 40
PRODUCT_SKEW = 3.0
"""Of n products, the one at place n · u^skew is bought, u uniform: the density falls with place^-(1 - 1 / skew)."""

USER_SKEW = 1.8
BRAND_SKEW = 2.0
PART = 5_000_000
"""Purchases drawn and written at once: memory depends on it, not on how many there are."""

PURCHASES = pa.schema(
    [("user_id", pa.string()), ("product_id", pa.string()), ("at", pa.int64()), ("spend", pa.float64())]
)


@dataclass(frozen=True)
class LargeShopConfig:
    """How large the shop is."""

    folder: str
    """Folder to write ``products.parquet`` and ``purchases.parquet`` to; made if it is not there."""

    users: int = 100_000
    """Users, of whom a few buy very often and many once."""

    products: int = 20_000
    """Products, of which a few are bought very often and many hardly."""

    purchases: int = 2_000_000
    """Purchases before those of one user, product and moment are added up."""

    seed: int = 0
    """Of all that is drawn."""


@dataclass(frozen=True)
class Catalogue:
    """What the purchases draw from, by product."""

    frame: pl.DataFrame
    """``product_id, name, brand, category, price``."""

    first: Int[np.ndarray, " bounds"]
    """Where the products of each category begin, and the end of the last: products are sorted by category."""

    born: Int[np.ndarray, " products"]
    """Seconds after the start at which it is first sold."""


def write_large_shop(config: LargeShopConfig) -> None:
    """Write the shop's tables; the same settings give the same files."""
    if min(config.users, config.purchases) < 1 or config.products < 2:
        raise InputError(
            f"{config.users} users, {config.products} products and {config.purchases} purchases make no shop; "
            "give at least 1, 2 and 1"
        )
    if config.seed < 0:
        raise InputError(f"the seed is {config.seed}; give 0 or more")
    rng = np.random.default_rng(config.seed)
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = _catalogue(config.products, rng)
    catalogue.frame.write_parquet(folder / "products.parquet")
    of_product, of_user = np.zeros(config.products, np.int64), np.zeros(config.users, np.int64)
    # Beside its place first: a file that was broken off looks whole.
    beside = folder / ".purchases.parquet.part"
    with pq.ParquetWriter(beside, PURCHASES, compression="zstd") as file:
        for user, product, at in _purchases(catalogue, config, rng):
            spend = catalogue.frame["price"].gather(product)
            columns = {"user_id": _ids("u", user), "product_id": _ids("p", product), "at": at, "spend": spend}
            file.write_table(pl.DataFrame(columns).to_arrow().cast(PURCHASES))
            of_product += np.bincount(product, minlength=config.products)
            of_user += np.bincount(user, minlength=config.users)
    beside.replace(folder / "purchases.parquet")
    print(
        f"{folder}: {config.products:,} products, {config.purchases:,} purchases by "
        f"{np.count_nonzero(of_user):,} users, at most {of_product.max():,} of a product"
    )


def _catalogue(products: int, rng: np.random.Generator) -> Catalogue:
    categories = max(products // PRODUCTS_OF_A_CATEGORY, 1)
    brands = max(products // PRODUCTS_OF_A_BRAND, 1)
    category = np.sort(by_power_law(rng, products, count=categories, skew=BRAND_SKEW))
    # A brand sells in few categories: its number lies near that of the category.
    near = np.minimum(category * brands // categories + rng.geometric(0.1, products) - 1, brands - 1)
    frame = pl.DataFrame(
        {
            "product_id": _ids("p", np.arange(products)),
            "name": _ids("Product ", np.arange(products)),
            "brand": _ids("Brand ", near),
            "category": [f"Department {each // 20}|Type {each}" for each in category],
            "price": np.round(rng.lognormal(2.0, 0.8, products), 2),
        }
    )
    born = (DAYS * DAY * 0.8 * rng.random(products) ** 2).astype(np.int64)
    return Catalogue(frame, np.searchsorted(category, np.arange(categories + 1)), born)


def _purchases(
    catalogue: Catalogue, config: LargeShopConfig, rng: np.random.Generator
) -> Iterator[tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]]:
    """Yield user, product and moment (seconds since 1970) of the purchases, a part at a time."""
    products = len(catalogue.born)
    likes = rng.integers(0, len(catalogue.first) - 1, (config.users, LIKED_CATEGORIES), dtype=np.int32)
    place = rng.permutation(products)
    known_from = (DAYS * DAY * 0.8 * rng.random(config.users) ** 2).astype(np.int64)
    for start in range(0, config.purchases, PART):
        count = min(PART, config.purchases - start)
        user = by_power_law(rng, count, count=config.users, skew=USER_SKEW)
        liked = likes[user, rng.integers(0, LIKED_CATEGORIES, count)]
        size = np.diff(catalogue.first)[liked]
        within = catalogue.first[liked] + (size * rng.random(count) ** PRODUCT_SKEW).astype(np.int64)
        anywhere = place[by_power_law(rng, count, count=products, skew=PRODUCT_SKEW)]
        product = np.where((rng.random(count) < TASTE_SHARE) & (size > 0), within, anywhere)
        begin = np.maximum(catalogue.born[product], known_from[user])
        # The square root: the later the more.
        after = begin + ((DAYS * DAY - begin) * np.sqrt(rng.random(count))).astype(np.int64)
        yield user, product, START + after


def by_power_law(rng: np.random.Generator, draws: int, *, count: int, skew: float) -> Int[np.ndarray, " draws"]:
    """Return ``draws`` numbers below ``count``, the small ones the oftener."""
    return (count * rng.random(draws) ** skew).astype(np.int64)


def _ids(prefix: str, number: Int[np.ndarray, " rows"]) -> pl.Series:
    return pl.Series(number).cast(pl.String).str.zfill(8).str.replace("^", prefix)


def main() -> None:
    """Run the command line."""
    write_large_shop(tyro.cli(LargeShopConfig, prog="python -m benchmarks.large_shop", description=__doc__))


if __name__ == "__main__":
    run_command(main)
