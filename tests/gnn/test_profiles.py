"""Profiles of all users against numbers worked out by hand, and on the made-up shop."""

from __future__ import annotations

import re
from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from gnn.config import ProfileConfig
from gnn.habits import allowed_purchases, habits, price_bands
from gnn.history import Weighing, history_weights
from gnn.preferences import allowed, counted
from gnn.profiles import Learned, Profiles, make_profiles, user_vectors
from gnn.segments import NOBODY, segment_names, segments, unit_rows, user_embeddings
from kg.graph import Graph
from loaders.synthetic import THEMES, synthetic_shop
from loaders.tables import check_shop
from tests.gnn.shops import DAY, graph_of, matrix

PRODUCTS = pl.DataFrame(
    [
        ("tea", "Leaf", "Food > Drinks", True),
        ("jam", "Leaf", "Food > Spreads", False),
        ("mug", "Clay", "Home > Kitchen", True),
        ("wine", "Vine", "Food > Wine", True),
    ],
    schema=["product_id", "brand", "category", "own_label"],
    orient="row",
)
# user, product, day, quantity, spend; tea costs 2, 2, 2 and 1 a piece.
BOUGHT = [
    ("ann", "tea", 1, 2, 4.0),
    ("ann", "jam", 1, 1, 3.0),
    ("ann", "tea", 3, 1, 2.0),
    ("ann", "mug", 8, 1, 9.0),
    ("ann", "wine", 9, 1, 50.0),
    ("bob", "tea", 4, 1, 2.0),
    ("bob", "tea", 5, 1, 1.0),
    ("cat", "wine", 5, 1, 40.0),
]
NOW = 15 * DAY
CONFIG = ProfileConfig(least_priced=1)


def graph(rows: list[tuple[str, str, int, int, float]] = BOUGHT, **off: list[float | None]) -> Graph:
    bought = pl.DataFrame(rows, schema=["user_id", "product_id", "day", "quantity", "spend"], orient="row")
    taken_off = [pl.Series(name, values, dtype=pl.Float64) for name, values in off.items()]
    purchases = bought.with_columns(*taken_off, at=pl.col("day") * DAY).drop("day")
    return graph_of(check_shop("hand", products=PRODUCTS, purchases=purchases))


def numbers(made: Graph, user: str, config: ProfileConfig = CONFIG) -> dict[str, object]:
    may = allowed(made, config)
    rows = habits(allowed_purchases(made, may, now=NOW), made, may, now=NOW, config=config)
    return rows.filter(made.users["id"].gather(rows["user"]) == user).row(0, named=True)


def test_habits_are_those_worked_out_by_hand() -> None:
    # Without the wine ann shops on days 1, 3 and 8: 2 and 5 days apart.
    found = numbers(graph(), "ann")
    assert (found["purchases"], found["products"], found["shopping_days"]) == (4, 3, 3)
    assert (found["first_at"], found["last_at"], found["recency_days"]) == (DAY, 8 * DAY, 7.0)
    assert (found["rhythm_days"], found["days_a_week"]) == (3.5, 1.5)
    assert (found["spend"], found["spend_a_day"]) == (18.0, 6.0)
    # Leaf three times of four; two teas, one jam and one mug.
    assert found["loyalty"] == 0.75
    assert found["variety"] == pytest.approx(exp(-(0.5 * log(0.5) + 2 * 0.25 * log(0.25))))
    assert (found["own_label"], found["deals"]) == (0.75, 0.0)
    # One of bob's two teas for half the usual price.
    assert numbers(graph(), "bob")["deals"] == 0.5


def test_what_a_habit_is_made_from_is_counted() -> None:
    ann, bob = (numbers(graph(), user) for user in ("ann", "bob"))
    assert (ann["paid_purchases"], ann["deal_purchases"], ann["priced_purchases"]) == (4, 0, 4)
    assert (bob["deal_purchases"], bob["priced_purchases"]) == (1, 2)
    # Leaf three times of four; drinks, spreads and kitchen; the jam is no own label.
    assert (ann["top_brand_purchases"], ann["brand_purchases"], ann["categories"]) == (3, 4, 3)
    assert (ann["own_label_purchases"], ann["labelled_purchases"]) == (3, 4)
    # Each share is the one of its counts.
    assert ann["loyalty"] == ann["top_brand_purchases"] / ann["brand_purchases"]
    assert ann["own_label"] == ann["own_label_purchases"] / ann["labelled_purchases"]
    bare = PRODUCTS.select("product_id")
    bought = pl.DataFrame({"user_id": ["ann"], "product_id": ["tea"], "at": [DAY]})
    made = graph_of(check_shop("bare", products=bare, purchases=bought))
    found = numbers(made, "ann")
    assert (found["brand_purchases"], found["labelled_purchases"], found["categories"]) == (0, 0, 0)
    assert (found["paid_purchases"], found["loyalty"]) == (0, None)


def test_deals_are_purchases_with_a_discount_or_a_coupon_of_those_where_either_is_known() -> None:
    made = graph(
        discount=[0.5, 0.0, None, None, 9.0, 0.0, None, None],
        coupon=[None, 0.0, 1.0, None, 9.0, None, None, None],
    )
    ann, bob = numbers(made, "ann"), numbers(made, "bob")
    # Ann's first tea, and her second by its coupon, but not the jam; nobody knows of the mug, and the wine is not said.
    assert (ann["deals"], ann["deal_purchases"], ann["told_purchases"]) == (2 / 3, 2, 3)
    assert (ann["coupons"], ann["coupon_purchases"], ann["coupon_told_purchases"]) == (0.5, 1, 2)
    # Bob's cheap tea is one of which nobody knows: the shop tells, so its price does not count.
    assert (bob["deals"], bob["deal_purchases"], bob["told_purchases"]) == (0.0, 0, 1)
    assert (bob["coupons"], bob["coupon_purchases"], bob["coupon_told_purchases"]) == (None, 0, 0)
    assert (ann["priced_purchases"], bob["priced_purchases"]) == (4, 2)


@pytest.mark.parametrize(("column", "coupons"), [("discount", None), ("coupon", 0.25)])
def test_one_of_the_two_columns_is_enough_to_know_deals(column: str, coupons: float | None) -> None:
    found = numbers(graph(**{column: [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]}), "ann")
    assert (found["deals"], found["coupons"]) == (0.25, coupons)


def test_where_the_shop_tells_nothing_a_deal_is_cheaper_than_usual_and_no_coupon_is_known() -> None:
    bob = numbers(graph(), "bob")
    assert (bob["deals"], bob["told_purchases"]) == (0.5, 0)
    assert (bob["coupons"], bob["coupon_purchases"], bob["coupon_told_purchases"]) == (None, 0, 0)
    # What is told of the wine, or after the moment, does not change the rule.
    of_wine = graph(discount=[None, None, None, None, 9.0, None, None, 9.0])
    later = graph([*BOUGHT, ("bob", "tea", 16, 1, 1.0)], coupon=[*[None] * 8, 0.5])
    assert numbers(of_wine, "bob") == numbers(later, "bob") == bob


def test_what_is_sensitive_changes_no_habit() -> None:
    without = [row for row in BOUGHT if row[1] != "wine"]
    assert numbers(graph(), "ann") == numbers(graph(without), "ann")
    assert numbers(graph(), "ann", replace(CONFIG, blocked=()))["spend"] == 68.0


def test_a_price_band_is_a_quantile_of_the_usual_prices() -> None:
    prices = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    products = pl.DataFrame({"product_id": list(prices), "category": "Food"})
    rows = [("x", product, 1, 1, price) for product, price in prices.items()] + [("ann", "a", 1, 1, 1.0)]
    rows += [("bob", "c", 1, 1, 3.0), ("cat", "d", 1, 2, 10.0)]
    bought = pl.DataFrame(rows, schema=["user_id", "product_id", "at", "quantity", "spend"], orient="row")
    made = graph_of(check_shop("prices", products=products, purchases=bought))
    may = allowed(made, CONFIG)
    found = price_bands(allowed_purchases(made, may, now=10), may, config=CONFIG)
    by_user = dict(zip(made.users["id"].gather(found["user"]), found.select("quantile", "band").rows(), strict=True))
    # Usual prices 1, 2, 3 and 4.5 (the median of 4 and 5): equal ones count half.
    assert by_user["ann"] == (0.125, "low")
    assert by_user["bob"] == (0.625, "middle")
    assert by_user["cat"] == (1.0, "high")
    assert found["compared"].to_list() == [4] * len(found)
    assert found.select("first_at", "last_at").unique().rows() == [(1, 1)]


def test_vectors_hold_three_parts_of_the_given_weights() -> None:
    made = graph()
    config = replace(CONFIG, intent=2.0, attributes=0.5, embedding=3.0)
    may = allowed(made, config)
    recent = counted(made.bought, may, now=NOW, half_life_days=1e9)
    text = np.eye(len(made.products))
    vectors, parts = user_vectors(made, recent, may, text=text, embeddings=unit_rows(np.ones((3, 2))), config=config)
    lengths = {name: np.linalg.norm(vectors[:, start:stop], axis=1) for name, (start, stop) in parts.items()}
    # Cat bought wine only, of which nothing is said.
    assert lengths["intent"] == pytest.approx([2.0, 2.0, 0.0])
    assert lengths["attributes"] == pytest.approx([0.5, 0.5, 0.0])
    assert lengths["embedding"] == pytest.approx([3.0, 3.0, 3.0])
    tea, wine = (made.products["id"].to_list().index(name) for name in ("tea", "wine"))
    # Ann's two teas, one jam and one mug: length sqrt(6).
    assert vectors[0, tea] == pytest.approx(2.0 * 2.0 / 6**0.5)
    assert vectors[0, wine] == 0.0


def test_an_embedding_is_the_scores_in_their_leading_directions() -> None:
    rng = np.random.default_rng(0)
    history, related = rng.random((9, 6)), rng.normal(size=(6, 6))
    found = user_embeddings(
        sparse.csr_array(history),
        may=np.ones(6, dtype=bool),
        queries=None,
        related=sparse.csr_array(related),
        dimension=3,
        seed=0,
    )
    left, values, _ = np.linalg.svd(history @ related)
    wanted = unit_rows(left[:, :3] * values[:3])
    assert found @ found.T == pytest.approx(wanted @ wanted.T)


def test_what_is_sensitive_is_in_no_embedding() -> None:
    may = np.array([True, True, False])
    related = matrix([[0.0, 1.0, 2.0], [3.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    for queries in (None, np.array([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])):
        own, other = (
            user_embeddings(matrix(rows), may=may, queries=queries, related=related, dimension=2, seed=0)
            for rows in ([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0]], [[1.0, 2.0, 9.0], [2.0, 1.0, 4.0]])
        )
        assert own == pytest.approx(other)


def learned(made: Graph) -> Learned:
    """Return what links the products of a theme, as a run that learned perfectly would."""
    products = np.arange(len(made.products))
    group = made.products["id"].str.slice(1).cast(pl.Int64).to_numpy() % 4
    related = sparse.csr_array((group[:, None] == group[None, :]).astype(np.float64) * (1 - np.eye(len(products))))
    weighing = Weighing(exponent=0.5, half_life=1e9)
    now = int(made.bought["at"].max()) + 1
    history = history_weights(made.bought, products=products, num_users=len(made.users), weighing=weighing, now=now)
    return Learned(products=products, history=history, related=related, queries=None)


@pytest.fixture(scope="module")
def made() -> Graph:
    return graph_of(synthetic_shop())


@pytest.fixture(scope="module")
def profiles(made: Graph) -> Profiles:
    text = np.eye(len(made.products), 8)
    now = int(made.bought["at"].max()) + 1
    return make_profiles(made, learned(made), text, now=now, config=ProfileConfig(level=1), seed=0)


def test_segments_are_the_planted_tastes_and_named_by_them(made: Graph, profiles: Profiles) -> None:
    tastes = dict(made.users.select("id", "taste").rows())
    assert len(profiles.segments) == 4
    assert sorted(profiles.segments["users"], reverse=True) == profiles.segments["users"].to_list()
    assert {name.split(" and ")[0] for name in profiles.segments["name"]} == set(list(THEMES)[:4])
    right = [name.startswith(tastes[user]) for user, name in profiles.users.select("user", "segment_name").rows()]
    assert np.mean(right) > 0.97


def test_the_tables_hold_the_rows_of_one_user(made: Graph, profiles: Profiles) -> None:
    found = profiles.users.row(by_predicate=pl.col("user") == "u007", named=True)
    own = made.bought.filter(pl.col("user") == made.users["id"].to_list().index("u007"))
    assert (found["purchases"], found["spend"]) == (len(own), pytest.approx(own["spend"].sum()))
    assert set(profiles.preferences.filter(pl.col("source") == "u007")["kind"]) == {"Brand", "Category"}
    assert profiles.vectors.shape == (len(profiles.users), profiles.parts["embedding"][1])
    # Who bought nothing that may be spoken of has no row.
    assert "eve" not in profiles.users["user"]


def test_a_segment_has_the_mean_of_its_users_coupons() -> None:
    shop = synthetic_shop()
    theme = next(iter(THEMES))
    lovers = shop.users.filter(pl.col("taste").str.starts_with(theme))["user_id"]
    coupon = pl.col("user_id").is_in(lovers.implode()).cast(pl.Float64)
    made = graph_of(replace(shop, purchases=shop.purchases.with_columns(coupon=coupon)))
    now = int(made.bought["at"].max()) + 1
    found = make_profiles(
        made, learned(made), np.eye(len(made.products), 8), now=now, config=ProfileConfig(level=1), seed=0
    ).segments
    for name, deals, coupons in found.select("name", "deals", "coupons").rows():
        assert coupons == pytest.approx(float(name.startswith(theme)), abs=0.1)
        assert deals == coupons


def test_every_column_of_the_users_is_documented(profiles: Profiles) -> None:
    page = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
    table = page.split("**`users.parquet`**")[1].split("The usual price")[0]
    columns = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|")))
    assert sorted(columns) == sorted(set(profiles.users.columns) - {"user"})


def test_blocked_words_leave_no_trace_in_any_table(made: Graph) -> None:
    config = ProfileConfig(blocked=("TEA", "Cycling House 1"))
    now = int(made.bought["at"].max()) + 1
    found = make_profiles(made, learned(made), np.eye(len(made.products), 8), now=now, config=config, seed=0)
    for frame in (found.users, found.preferences, found.price_bands, found.segments, found.segment_categories):
        text = frame.write_csv()
        assert "Tea" not in text
        assert "Cycling House 1" not in text


def test_users_of_whom_nothing_is_known_are_in_no_segment(made: Graph) -> None:
    may = allowed(made, CONFIG)
    recent = counted(made.bought, may, now=int(made.bought["at"].max()), half_life_days=180.0)
    found = segments(np.zeros((len(made.users), 2)), recent, may, config=CONFIG, seed=0)
    assert set(found.of_user) == {NOBODY}
    assert segment_names(found, made.categories["name"]) == []


def test_users_who_are_all_alike_are_one_segment(made: Graph) -> None:
    may = allowed(made, CONFIG)
    recent = counted(made.bought, may, now=int(made.bought["at"].max()), half_life_days=180.0)
    found = segments(np.ones((len(made.users), 2)), recent, may, config=CONFIG, seed=0)
    assert set(found.of_user) == {0}
    assert segment_names(found, made.categories["name"]) == ["everything"]
