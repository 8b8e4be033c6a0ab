"""Lists that are too short are filled with best sellers: by hand, and what holds of any."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.caps import Caps
from gnn.fill import WEEKS, filled_up, popular_columns
from gnn.ranking import NOBODY, Ranked
from tests.gnn.shops import DAY, matrix, purchases


def test_best_sellers_are_those_of_the_last_weeks_then_of_all_times_then_the_first() -> None:
    old, new = 1, 100
    bought = purchases(
        (0, 5, new), (1, 5, new), (2, 5, new - 1),  # three buyers lately
        (0, 3, new), (0, 3, new - 1), (1, 3, old),  # one buyer lately, two of all times
        (0, 2, new), (0, 9, new), (1, 9, new), (2, 9, new),  # one lately; 9 is not ranked
        *((user, 4, old) for user in range(4)),  # four, long ago
    )  # fmt: skip
    products = np.array([1, 2, 3, 4, 5])
    now = (new + 1) * DAY
    assert products[popular_columns([bought], products=products, now=now)].tolist() == [5, 3, 2, 4, 1]
    # All of a user's in one part.
    parts = [bought.filter(pl.col("user") == user) for user in range(4)]
    assert products[popular_columns(parts, products=products, now=now)].tolist() == [5, 3, 2, 4, 1]
    # The border: a purchase just so many weeks ago counts.
    moved = (old + 7 * WEEKS) * DAY
    assert products[popular_columns([bought], products=products, now=moved)].tolist()[:1] == [4]
    assert products[popular_columns([bought], products=products, now=moved + 1)].tolist()[:1] == [5]


def test_where_no_times_are_known_all_purchases_count() -> None:
    bought = purchases((0, 0, 0), (0, 1, 0), (1, 1, 0))
    assert popular_columns([bought], products=np.array([0, 1]), now=1).tolist() == [1, 0]


def test_a_short_list_is_filled_with_what_she_has_not_and_has_not_bought() -> None:
    ranked = Ranked(np.array([[4, 2, NOBODY, NOBODY], [0, 1, 2, 3]]), np.array([[2.0, 1.0, -np.inf, -np.inf]] * 2))
    seen = matrix([[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]])
    found = filled_up(ranked, seen=seen, popular=np.array([1, 2, 5, 0, 3, 4]))
    assert found.products.tolist() == [[4, 2, 5, 0], [0, 1, 2, 3]]
    assert found.scores[0].tolist() == [2.0, 1.0, -np.inf, -np.inf]
    assert ranked.products[0].tolist() == [4, 2, NOBODY, NOBODY], "the lists given are as they were"
    nobody = filled_up(ranked, seen=seen, popular=np.zeros(0, dtype=np.int64))
    assert nobody.products.tolist() == ranked.products.tolist()


def test_under_caps_a_filled_list_has_at_most_so_many_of_a_group_however_far_down_that_leads() -> None:
    # Products 0 to 3 are of brand 0, of which a list may have two; 4 and 5 of brand 1, of which it may have one.
    caps = Caps(np.array([[0], [0], [0], [0], [1], [1]]), np.array([2, 1]), ("brand",))
    ranked = Ranked(np.array([[3, NOBODY, NOBODY, NOBODY]] * 2), np.full((2, 4), -np.inf))
    seen = matrix([[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]])
    found = filled_up(ranked, seen=seen, popular=np.array([0, 1, 2, 4, 5, 3]), caps=caps)
    assert found.products.tolist() == [[3, 1, 4, NOBODY], [3, 0, 5, NOBODY]]


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_any_list_is_filled_as_far_as_there_is_anything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_products, k = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    lengths = rng.integers(0, min(k, num_products) + 1, 5)
    products = np.full((5, k), NOBODY, dtype=np.int64)
    for user, length in enumerate(lengths):
        products[user, :length] = rng.permutation(num_products)[:length]
    seen = matrix((rng.random((5, num_products)) < 0.4).astype(float).tolist())
    popular = rng.permutation(num_products)
    found = filled_up(Ranked(products, np.zeros((5, k))), seen=seen, popular=popular).products
    for user, length in enumerate(lengths):
        own = set(products[user, :length].tolist())
        free = [column for column in popular.tolist() if column not in own and not seen[user, column]]
        wanted = [*products[user, :length].tolist(), *free][:k]
        assert found[user].tolist() == wanted + [NOBODY] * (k - len(wanted))
