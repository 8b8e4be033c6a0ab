"""What a purchase weighs, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gnn.config import HistoryConfig
from gnn.history import Weighing, binary, history_weights, ranked_products, repeat_rate, trend
from tests.gnn.shops import DAY, purchases

NOW = 10 * DAY
# User 0: product 3 on days 4 and 8, product 5 on day 6, product 7 once; user 2: product 3 on day 0. User 1: nothing.
BOUGHT = purchases((0, 3, 4), (0, 3, 8), (0, 5, 6), (0, 7, 1), (2, 3, 0))


def test_a_weight_is_the_sum_of_what_each_purchase_still_weighs_to_the_exponent() -> None:
    weighing = Weighing.of(HistoryConfig(exponent=0.5, half_life_days=2.0), times_known=True)
    found = history_weights(BOUGHT, products=np.array([3, 5]), num_users=3, weighing=weighing, now=NOW)
    # Two purchases, 6 and 2 days ago: sqrt(1/8 + 1/2). One, 4 days ago: sqrt(1/4). One, 10 days ago: sqrt(1/32).
    by_hand = [[0.625**0.5, 0.5], [0, 0], [(1 / 32) ** 0.5, 0]]
    assert found.toarray() == pytest.approx(np.array(by_hand), rel=1e-12)


def test_products_that_are_not_ranked_are_left_out() -> None:
    weighing = Weighing(exponent=1.0, half_life=1e30)
    found = history_weights(BOUGHT, products=np.array([7]), num_users=3, weighing=weighing, now=NOW)
    assert found.toarray().tolist() == [[1.0], [0.0], [0.0]]


def test_without_times_age_weighs_nothing() -> None:
    weighing = Weighing.of(HistoryConfig(exponent=1.0, half_life_days=0.001), times_known=False)
    found = history_weights(BOUGHT, products=np.array([3, 5]), num_users=3, weighing=weighing, now=NOW)
    assert found.toarray().tolist() == [[2.0, 1.0], [0.0, 0.0], [1.0, 0.0]]


def test_exponent_zero_makes_all_products_bought_equal() -> None:
    weighing = Weighing.of(HistoryConfig(exponent=0.0), times_known=False)
    found = history_weights(BOUGHT, products=np.array([3, 5, 7]), num_users=3, weighing=weighing, now=NOW)
    assert found.data.tolist() == [1.0] * 4


def test_binary_keeps_the_pairs_even_where_a_weight_has_faded_to_zero() -> None:
    faded = Weighing(exponent=1.0, half_life=1.0)
    history = history_weights(BOUGHT, products=np.array([3, 5, 7]), num_users=3, weighing=faded, now=NOW)
    assert history.data.max() == 0.0
    assert binary(history).toarray().tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]


def test_a_trend_is_recent_over_usual_purchases_by_hand() -> None:
    # Half-life one day, now day 3: product 0 weighs 1/2 + 1/2, product 1 weighs 1/8 + 1/8; together 1.25 for 4
    # purchases, so a usual purchase counts 0.3125. With a shrink of 2: (1 + .625) / (.625 + .625) = 1.3 and
    # (.25 + .625) / 1.25 = 0.7. Product 2 was never bought: 1.
    bought = purchases((0, 0, 2), (1, 0, 2), (0, 1, 0), (1, 1, 0))
    found = trend(bought, products=np.array([0, 1, 2]), half_life_days=1.0, shrink=2.0, now=3 * DAY)
    assert found.tolist() == pytest.approx([1.3, 0.7, 1.0], rel=1e-12)


def test_a_product_bought_as_ever_has_the_trend_one() -> None:
    bought = purchases(*((user, product, user) for user in range(5) for product in range(3)))
    found = trend(bought, products=np.arange(3), half_life_days=2.0, shrink=0.5, now=5 * DAY)
    assert found.tolist() == pytest.approx([1.0] * 3, rel=1e-12)


def test_ranked_products_are_listed_and_have_enough_different_buyers() -> None:
    # Product 4 has three purchases of two buyers, 2 has three buyers, 1 has one, 0 and 3 have none.
    bought = purchases((0, 4, 1), (0, 4, 2), (1, 4, 1), (0, 2, 1), (1, 2, 1), (2, 2, 1), (5, 1, 1))
    listed = np.ones(5, dtype=bool)
    for min_buyers, expected in ((3, [2]), (2, [2, 4]), (4, []), (1, [1, 2, 4]), (0, [0, 1, 2, 3, 4])):
        assert ranked_products(bought, listed=listed, min_buyers=min_buyers).tolist() == expected
    listed[[2, 3]] = False
    assert ranked_products(bought, listed=listed, min_buyers=0).tolist() == [0, 1, 4]


@pytest.mark.parametrize("seed", range(5))
def test_a_trend_is_the_same_to_the_last_digit_in_whatever_order_the_purchases_are(seed: int) -> None:
    rows = [(user, (user * day) % 40, day % 90) for user in range(50) for day in range(100)]
    bought = purchases(*rows)
    given = {"products": np.arange(40), "half_life_days": 14.0, "shrink": 5.0, "now": 100 * DAY}
    assert np.array_equal(trend(bought, **given), trend(bought.sample(fraction=1, shuffle=True, seed=seed), **given))


def test_the_repeat_rate_is_the_share_of_buyers_who_came_back_shrunk_by_one_who_did_not() -> None:
    bought = purchases((0, 0, 1), (0, 0, 2), (1, 0, 1), (2, 1, 1), (2, 1, 1), (2, 1, 3), (0, 5, 1))
    # Product 0: one of two buyers, 1 / 3; product 1: one of one, 1 / 2; product 3: none.
    assert repeat_rate(bought, products=np.array([0, 1, 3])).tolist() == pytest.approx([1 / 3, 1 / 2, 0])
