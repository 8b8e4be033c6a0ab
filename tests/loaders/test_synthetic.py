"""The planted taste is there, and chance is an argument."""

from __future__ import annotations

import polars as pl
import pytest

from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from loaders.tables import Shop


def group_share(shop: Shop) -> float:
    """Return the share of purchase lines that are in the buyer's favourite group."""
    top = pl.col("category").str.split(" > ").list.first().alias("group")
    lines = shop.purchases.join(shop.products.select("product_id", top), on="product_id").join(shop.users, on="user_id")
    return float((lines["group"] == lines["taste"]).sum()) / len(lines)


def test_the_same_seed_gives_the_same_shop_and_another_seed_another() -> None:
    first, again, other = synthetic_shop(seed=3), synthetic_shop(seed=3), synthetic_shop(seed=4)
    for table in ("products", "purchases", "users", "links"):
        assert getattr(first, table).equals(getattr(again, table))
    assert not first.purchases.equals(other.purchases)


def test_nine_in_ten_purchases_are_in_the_favourite_group() -> None:
    # 4,000 draws of probability 0.9 have a standard deviation of 0.005.
    assert group_share(synthetic_shop()) == pytest.approx(0.9, abs=0.02)


def test_popularity_alone_says_little() -> None:
    shop = synthetic_shop()
    counts = shop.purchases.group_by("product_id").len().sort("len", descending=True)
    # Uniform would be 10 of 120 products, so 8 %.
    assert counts["len"].head(10).sum() / len(shop.purchases) < 0.2


def test_the_sizes_are_those_asked_for() -> None:
    shop = synthetic_shop(users=30, products=40, brands=8, groups=4, purchases_per_user=10, links_per_product=2)
    assert (len(shop.users), len(shop.products), len(shop.purchases), len(shop.links)) == (30, 40, 300, 80)
    assert shop.products["brand"].n_unique() <= 8
    assert shop.findings == ()


def test_no_product_is_bought_more_than_twice_by_one_user() -> None:
    assert synthetic_shop().purchases.group_by("user_id", "product_id").len()["len"].max() == 2


def test_a_brand_belongs_to_one_group() -> None:
    top = pl.col("category").str.split(" > ").list.first()
    assert synthetic_shop().products.group_by("brand").agg(top.n_unique())["category"].max() == 1


def test_purchases_lie_within_52_weeks_and_the_split_at_weeks_40_and_46() -> None:
    shop = synthetic_shop()
    week = 604_800
    start = 1_704_067_200
    assert (shop.validation_from, shop.test_from) == (start + 40 * week, start + 46 * week)
    assert shop.purchases["at"].is_between(start, start + 52 * week - 1).all()
    assert (shop.purchases["at"] >= shop.test_from).any()


def test_a_shop_with_more_purchases_than_products_is_still_made() -> None:
    shop = synthetic_shop(users=2, products=4, brands=1, groups=1, purchases_per_user=50)
    assert len(shop.purchases) == 100


def test_sizes_that_make_no_shop_are_refused() -> None:
    with pytest.raises(InputError, match="200 users, 120 products, 3 brands, 4 groups and 20 purchases a user make no"):
        synthetic_shop(brands=3)
