"""What users prefer, against numbers worked out by hand and planted tastes."""

from __future__ import annotations

from dataclasses import replace
from math import log

import polars as pl
import pytest

from gnn.config import ProfileConfig
from gnn.preferences import allowed, counted, population, preferences, shares, user_preferences
from kg.graph import Graph
from loaders.synthetic import THEMES, synthetic_shop
from loaders.tables import check_shop
from tests.gnn.shops import DAY, graph_of

PRODUCTS = pl.DataFrame(
    [
        ("tea", "Leaf", "Food > Drinks"),
        ("jam", "Leaf", "Food > Spreads"),
        ("mug", "Clay", "Home > Kitchen"),
        ("gin", "Still", "Food > Spirits"),
        ("pill", "Clay", "Food > Vitamins"),
    ],
    schema=["product_id", "brand", "category"],
    orient="row",
)
# Ages at day 20, with a half-life of 10 days: 10 days weigh 0.5, 20 days 0.25.
BOUGHT = [
    ("ann", "tea", 10),
    ("ann", "tea", 0),
    ("ann", "jam", 10),
    ("ann", "mug", 10),
    ("ann", "gin", 10),
    ("ann", "pill", 19),
    ("bob", "mug", 10),
    ("bob", "mug", 0),
    # At the moment: not known yet.
    ("bob", "tea", 20),
]
CONFIG = ProfileConfig(half_life_days=10.0, shrinkage=2.0)


def graph(rows: list[tuple[str, str, int]] = BOUGHT, products: pl.DataFrame = PRODUCTS) -> Graph:
    bought = pl.DataFrame(rows, schema=["user_id", "product_id", "day"], orient="row")
    # A second after midnight, so that no time is 0, which means unknown.
    purchases = bought.select("user_id", "product_id", at=pl.col("day") * DAY + 1)
    return graph_of(check_shop("hand", products=products, purchases=purchases))


def edges(config: ProfileConfig = CONFIG, **given: object) -> dict[tuple[str, str, str], tuple[float, float, int, int]]:
    found = user_preferences(graph(**given), now=20 * DAY + 1, config=config)  # type: ignore[arg-type]
    return {(user, kind, target): tuple(rest) for user, target, kind, *rest in found.rows()}


def test_weights_and_lifts_are_those_worked_out_by_hand() -> None:
    # Ann: Leaf 0.5 + 0.25 + 0.5 = 1.25, Clay 0.5, in all 1.75. Bob: Clay 0.5 + 0.25 = 0.75. Population: Leaf 1.25 and
    # Clay 1.25 of 2.5, half each. Ann's Leaf: (1.25 + 2 · 0.5) / (1.75 + 2) = 0.6; Bob's Clay: 1.75 / 2.75.
    found = edges()
    assert {key for key in found if key[1] == "Brand"} == {
        ("ann", "Brand", "Leaf"),
        ("bob", "Brand", "Clay"),
    }
    assert found["ann", "Brand", "Leaf"] == pytest.approx((0.6, 1.2, 3, 10 * DAY + 1))
    assert found["bob", "Brand", "Clay"] == pytest.approx((1.75 / 2.75, 3.5 / 2.75, 2, 10 * DAY + 1))


def test_categories_share_out_each_level_by_itself() -> None:
    found = edges()
    # Food holds 1.25 of 2.5 at level 1; at level 2 Drinks hold 0.75 and Spreads 0.5 of 2.5.
    assert found["ann", "Category", "Food"] == pytest.approx((0.6, 1.2, 3, 10 * DAY + 1))
    assert found["ann", "Category", "Food > Drinks"] == pytest.approx((1.35 / 3.75, 1.2, 2, 10 * DAY + 1))
    assert found["ann", "Category", "Food > Spreads"] == pytest.approx((0.9 / 3.75, 1.2, 1, 10 * DAY + 1))
    assert ("ann", "Category", "Home") not in found


def test_what_is_sensitive_is_neither_preferred_nor_counted() -> None:
    blocked = {("ann", "Brand", "Still"), ("ann", "Category", "Food > Spirits"), ("ann", "Category", "Food > Vitamins")}
    assert not blocked & set(edges())
    # Nothing changes where she never bought it: neither her sums nor the population's know of it.
    assert edges() == edges(rows=[row for row in BOUGHT if row[1] not in {"gin", "pill"}])
    assert ("ann", "Category", "Food > Spirits") in edges(replace(CONFIG, blocked=()))


def test_a_brand_with_a_sensitive_name_is_blocked_too() -> None:
    named = PRODUCTS.with_columns(pl.col("brand").replace("Leaf", "Kosher Leaf"))
    assert "Kosher Leaf" not in {target for _, _, target in edges(products=named)}


def test_one_purchase_of_a_rare_brand_is_no_passion() -> None:
    # Everybody buys big every day; ann bought rare once, and half of her purchases are of small.
    products = pl.DataFrame({"product_id": ["a", "b", "c"], "brand": ["big", "rare", "small"]})
    rows = [(user, "a", day) for user in ("ann", "bob", "cat", "dan") for day in range(10)]
    rows += [("ann", "b", 9), *(("ann", "c", day) for day in range(10)), ("bob", "c", 3)]
    config = ProfileConfig(half_life_days=1000.0, shrinkage=20.0)
    found = user_preferences(graph(rows, products), now=10 * DAY, config=config).filter(pl.col("source") == "ann")
    assert found["target"].to_list() == ["small", "rare"]
    assert found["weight"][1] < 0.05
    unshrunk = user_preferences(graph(rows, products), now=10 * DAY, config=replace(config, shrinkage=1e-9))
    # Of 52 purchases, all but new: (1 + 20 / 52) / (21 + 20) · 52, and 1 / 21 · 52 without the shrinkage.
    assert found["lift"][1] == pytest.approx(1.756, rel=0.01)
    lifts = dict(unshrunk.filter(pl.col("source") == "ann").select("target", "lift").rows())
    assert lifts["rare"] == pytest.approx(2.476, rel=0.01)


def test_at_most_so_many_of_each_kind_are_kept_those_that_tell_most() -> None:
    made = graph_of(synthetic_shop(seed=3))
    config = ProfileConfig()
    recent = counted(made.bought, allowed(made, config), now=made.bought["at"].max(), half_life_days=180.0)
    found = shares(recent, allowed(made, config), shrinkage=config.shrinkage)
    kept = preferences(found, most=2)
    for (user, kind), rows in found.filter(pl.col("lift") > 1).group_by("user", "kind"):
        tells = sorted((weight * log(lift) for weight, lift in rows.select("weight", "lift").rows()), reverse=True)
        own = kept.filter(pl.col("user") == user, pl.col("kind") == kind)
        assert [w * log(x) for w, x in own.select("weight", "lift").rows()] == pytest.approx(tells[:2])


def test_the_weights_of_all_brands_and_what_was_not_bought_add_up_to_one() -> None:
    made = graph_of(synthetic_shop(seed=1))
    may = allowed(made, ProfileConfig())
    recent = counted(made.bought, may, now=made.bought["at"].max(), half_life_days=90.0)
    found = shares(recent, may, shrinkage=5.0).filter(pl.col("kind") == "Brand")
    population = dict(found.select("target", "population").unique("target").rows())
    assert sum(population.values()) == pytest.approx(1.0)
    for (user,), rows in found.group_by("user"):
        mine = recent.filter(pl.col("user") == user)["recent"].sum()
        rest = 1.0 - rows["population"].sum()
        assert rows["weight"].sum() + 5.0 * rest / (mine + 5.0) == pytest.approx(1.0)


def test_planted_tastes_are_found() -> None:
    made = graph_of(synthetic_shop())
    tastes = dict(made.users.select("id", "taste").rows())
    found = user_preferences(made, now=made.bought["at"].max() + 1, config=ProfileConfig())
    first = found.filter(pl.col("kind") == "Category", ~pl.col("target").str.contains(">")).unique(
        "source", keep="first", maintain_order=True
    )
    right = [target == tastes[user] for user, target in first.select("source", "target").rows()]
    assert len(first) > 190
    assert sum(right) / len(right) > 0.98
    assert set(first["target"]) <= set(THEMES)


def test_users_of_whom_some_are_looked_at_at_a_time_prefer_what_all_together_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = graph_of(synthetic_shop())
    now = made.bought["at"].max() + 1
    whole = user_preferences(made, now=now, config=ProfileConfig())
    monkeypatch.setattr("gnn.preferences.USERS_AT_ONCE", 37)
    assert user_preferences(made, now=now, config=ProfileConfig()).equals(whole)
    assert len(made.users) > 37


def test_without_times_all_purchases_count_alike() -> None:
    products = PRODUCTS.filter(pl.col("product_id") != "gin")
    bought = pl.DataFrame({"user_id": ["ann", "ann", "bob"], "product_id": ["tea", "jam", "mug"]})
    made = graph_of(check_shop("timeless", products=products, purchases=bought))
    found = user_preferences(made, now=1, config=replace(CONFIG, shrinkage=1.0))
    # Leaf is 2 of 3: (2 + 2/3) / 3.
    assert found.filter(pl.col("target") == "Leaf").select("weight", "last_at").row(0) == pytest.approx((8 / 9, 0))


def test_the_population_is_the_same_to_the_last_digit_each_time() -> None:
    # Of an unsorted key polars adds parts of a sum in any order: one time in ten the last digit was another.
    shop = graph_of(synthetic_shop(seed=0))
    may = allowed(shop, CONFIG)
    purchases = counted(shop.bought, may, now=int(shop.bought["at"].to_numpy().max()), half_life_days=70.0)
    assert len({population(purchases, may)["population"].to_numpy().tobytes() for _ in range(300)}) == 1
