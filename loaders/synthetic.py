"""Makes up a small shop with a planted taste: each user likes one group of products, so a right answer is known."""

from __future__ import annotations

import numpy as np
import polars as pl

from loaders.errors import InputError
from loaders.tables import Shop, check_shop

THEMES = {
    "Tea": ("Green Tea", "Black Tea", "Herbal Tea"),
    "Cycling": ("Bike Light", "Bike Helmet", "Bike Chain"),
    "Garden": ("Flower Seed", "Watering Can", "Plant Pot"),
    "Music": ("Guitar String", "Piano Book", "Drum Stick"),
    "Kitchen": ("Frying Pan", "Bread Knife", "Mixing Bowl"),
    "Painting": ("Oil Paint", "Canvas Frame", "Brush Set"),
}
KINDS = ("Classic", "Small", "Large", "Fine", "Everyday", "Gift", "Travel", "Bright")
FAVOURITE_SHARE = 0.9
START = 1704067200  # 2024-01-01T00:00:00Z
WEEK = 7 * 24 * 3600


def synthetic_shop(
    *,
    users: int = 200,
    products: int = 120,
    brands: int = 12,
    groups: int = 4,
    purchases_per_user: int = 20,
    links_per_product: int = 1,
    seed: int = 0,
) -> Shop:
    """Return a shop where each user buys from the group in her property ``taste`` nine times out of ten.

    Brands, categories, texts and links lie within a group, and popularity is only mildly skewed, so a model that
    finds the taste clearly beats one that knows what sells best.
    """
    if min(users, groups, purchases_per_user) < 1 or brands < groups or products < 2 * groups:
        raise InputError(
            f"{users} users, {products} products, {brands} brands, {groups} groups and {purchases_per_user} purchases "
            "a user make no shop; give each group a brand and two products, and the rest at least 1"
        )
    rng = np.random.default_rng(seed)
    catalogue = _catalogue(products, brands=brands, groups=groups, rng=rng)
    tastes = rng.permutation(np.arange(users) % groups)
    return check_shop(
        "synthetic",
        products=catalogue.drop("group"),
        purchases=_purchases(tastes, catalogue, count=purchases_per_user, rng=rng),
        users=pl.DataFrame(
            {"user_id": _ids("u", users), "taste": [_group_name(int(taste)) for taste in tastes]},
        ),
        links=_links(catalogue, count=links_per_product, rng=rng),
        validation_from=START + 40 * WEEK,
        test_from=START + 46 * WEEK,
    )


def _ids(letter: str, count: int) -> list[str]:
    """Return ids like ``p007``, whose order as text is their order as numbers."""
    return [f"{letter}{number:0{len(str(count - 1))}d}" for number in range(count)]


def _group_name(group: int) -> str:
    themes = list(THEMES)
    again = group // len(themes)
    return themes[group % len(themes)] + (f" {again + 1}" if again else "")


def _catalogue(products: int, *, brands: int, groups: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return the products with the number of their ``group``; a brand belongs to one group only."""
    rows = []
    for number, product_id in enumerate(_ids("p", products)):
        group = number % groups
        own_brands = np.arange(group, brands, groups)
        theme = list(THEMES)[group % len(THEMES)]
        kind, sort = KINDS[rng.integers(len(KINDS))], THEMES[theme][number // groups % 3]
        rows.append(
            {
                "product_id": product_id,
                "name": f"{kind} {sort} {number}",
                "brand": f"{theme} House {rng.choice(own_brands)}",
                "category": f"{_group_name(group)} > {sort}",
                "price": round(float(rng.lognormal(2.0, 0.5)), 2),
                "text": f"{kind} {sort}, {_group_name(group)}".lower(),
                "group": group,
            }
        )
    return pl.DataFrame(rows)


def _purchases(tastes: np.ndarray, catalogue: pl.DataFrame, *, count: int, rng: np.random.Generator) -> pl.DataFrame:
    groups, prices = catalogue["group"].to_numpy(), catalogue["price"].to_numpy()
    popularity = (1 + rng.permutation(len(groups))) ** -0.3
    bought = []
    for taste in tastes:
        favourite = rng.binomial(count, FAVOURITE_SHARE)
        bought.append(_draw(np.flatnonzero(groups == taste), favourite, popularity, rng))
        elsewhere = np.flatnonzero(groups != taste)
        # With one group there is no elsewhere.
        bought.append(
            _draw(elsewhere if len(elsewhere) else np.arange(len(groups)), count - favourite, popularity, rng)
        )
    positions = np.concatenate(bought)
    quantities = rng.integers(1, 4, size=len(positions))
    return pl.DataFrame(
        {
            "user_id": np.repeat(_ids("u", len(tastes)), count),
            "product_id": catalogue["product_id"].to_numpy()[positions],
            "at": START + rng.integers(52 * WEEK, size=len(positions)),
            "quantity": quantities,
            "spend": np.round(quantities * prices[positions], 2),
        }
    )


def _draw(pool: np.ndarray, count: int, popularity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw ``count`` products, popular ones sooner; none more than twice unless the pool is too small for that."""
    copies = np.repeat(pool, max(2, -(-count // len(pool))))
    weights = popularity[copies] / popularity[copies].sum()
    return rng.choice(copies, size=count, replace=False, p=weights)


def _links(catalogue: pl.DataFrame, *, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return ``count`` links from each product to others of its group."""
    groups, ids = catalogue["group"].to_numpy(), catalogue["product_id"].to_list()
    rows = []
    for position, product_id in enumerate(ids):
        others = np.setdiff1d(np.flatnonzero(groups == groups[position]), [position])
        targets = rng.choice(others, size=min(count, len(others)), replace=False)
        rows += [(product_id, "ALSO_VIEWED", ids[target]) for target in targets]
    return pl.DataFrame(rows, schema=["source_id", "relation", "target_id"], orient="row")
