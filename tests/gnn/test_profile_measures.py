"""How right profiles are, against numbers worked out by hand and planted properties."""

from __future__ import annotations

from math import log

import numpy as np
import polars as pl
import pytest

from gnn.config import ProfileConfig
from gnn.preferences import allowed
from gnn.profile_measures import FLOOR, Foretold, as_table, measure_properties, measure_shares
from loaders.tables import check_shop
from tests.gnn.shops import DAY, graph_of

PRODUCTS = pl.DataFrame({"product_id": ["a", "b", "c", "d"], "brand": ["A", "B", "C", "D"]})


def measured(known: list[tuple[str, str]], later: list[tuple[str, str]]) -> dict[tuple[str, str], Foretold]:
    rows = [(user, product, DAY) for user, product in known] + [(user, product, 3 * DAY) for user, product in later]
    # A line a moment apart from the next, for those of one moment are one purchase.
    bought = pl.DataFrame(rows, schema=["user_id", "product_id", "at"], orient="row").with_columns(
        pl.col("at") + pl.int_range(pl.len())
    )
    made = graph_of(check_shop("hand", products=PRODUCTS, purchases=bought))
    config = ProfileConfig(half_life_days=1e9, shrinkage=2.0)
    before, after = (made.bought.filter(part) for part in (pl.col("at") < 2 * DAY, pl.col("at") >= 2 * DAY))
    found = measure_shares(
        before, after, allowed(made, config), num_users=len(made.users), now=2 * DAY, config=config, seed=0
    )
    return {(row.measure, row.predictor): row for row in found if row.about == "brand shares"}


KNOWN = [("ann", "a"), ("ann", "a"), ("ann", "b"), ("bob", "a"), ("bob", "b"), ("bob", "b"), ("cat", "c"), ("cat", "d")]


def test_log_loss_is_the_cross_entropy_worked_out_by_hand() -> None:
    found = measured(KNOWN, [("ann", "a"), ("ann", "b"), ("dan", "a")])
    # Population a 3/8, b 3/8, c and d 1/8; ann's profile of a: (2 + 0.75) / 5 = 0.55, of b (1 + 0.75) / 5 = 0.35.
    # Dan bought nothing before, bob and cat nothing after.
    keep, floor = 1 - FLOOR, FLOOR * 3 / 8
    ours = -0.5 * (log(keep * 0.55 + floor) + log(keep * 0.35 + floor))
    past = -0.5 * (log(keep * 2 / 3 + floor) + log(keep * 1 / 3 + floor))
    assert found["log-loss", "profile"].mean == pytest.approx(ours)
    assert found["log-loss", "plain past shares"].mean == pytest.approx(past)
    assert found["log-loss", "population"].mean == pytest.approx(-log(3 / 8))
    assert {row.users for row in found.values()} == {1}


def test_a_hit_is_the_largest_later_brand_among_the_three_largest_predictions() -> None:
    known = [*KNOWN, ("ann", "c")]
    later = [("ann", "d"), ("ann", "d"), ("ann", "a"), ("bob", "b"), ("cat", "c")]
    found = measured(known, later)
    # Ann is said to buy a, b and c and buys d most; bob is right; cat's c is her first and everybody's third.
    assert found["top-3 hit", "profile"].mean == pytest.approx(2 / 3)
    assert found["top-3 hit", "population"].mean == pytest.approx(2 / 3)
    assert found["top-3 hit", "profile"].ours_less_it is None
    assert found["top-3 hit", "population"].ours_less_it.difference == pytest.approx(0.0)
    assert "| brand shares | top-3 hit | population | 0.6667" in as_table(list(found.values()))


def test_a_property_that_is_in_the_vectors_is_told_and_one_that_is_not_is_not() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 4))
    users = pl.DataFrame(
        {
            "id": [str(number) for number in range(300)],
            "planted": np.where(vectors[:, 0] > 0, "yes", "no"),
            "chance": rng.choice(["one", "two"], 300, p=[0.6, 0.4]),
            "told_by_few": ["x", *[None] * 299],
        }
    )
    found = {(row.about, row.predictor): row for row in measure_properties(users, {"vectors": vectors}, seed=0)}
    assert {about for about, _ in found} == {"planted", "chance"}
    assert found["planted", "vectors"].mean > 0.93
    assert found["planted", "majority class"].ours_less_it.p < 0.001
    assert found["chance", "vectors"].mean < 0.65
    assert found["chance", "majority class"].mean == pytest.approx(users["chance"].value_counts()["count"].max() / 300)
