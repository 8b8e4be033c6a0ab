"""Slices by hand, and that nothing is lost between them."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn.metrics import mean, per_user
from gnn.ranking import NOBODY
from gnn.slices import BUYER_SLICES, by_purchases, recall_by_buyers
from tests.gnn.shops import matrix

# 22 users; products with 22, 6, 5 and no buyers.
BOUGHT = sparse.csr_array(np.array([[1, user < 6, user >= 17, 0] for user in range(22)], dtype=float))


def relevant_of(*pairs: tuple[int, int]) -> sparse.csr_array:
    users, products = zip(*pairs, strict=True)
    return sparse.csr_array((np.ones(len(pairs)), (users, products)), shape=(22, 4))


def test_recall_of_a_slice_is_its_hits_over_its_pairs() -> None:
    # User 0 wants products 2 and 3 and gets 3; user 1 wants 2 and gets it; user 6 wants 1 and gets the last place.
    relevant = relevant_of((0, 2), (0, 3), (1, 2), (6, 1))
    ranked = np.full((22, 2), NOBODY)
    ranked[[0, 1, 6]] = [[3, 1], [2, NOBODY], [0, 1]]
    found = recall_by_buyers(ranked, relevant, bought=BOUGHT)
    assert {name: (each.hits, each.pairs) for name, each in found.items()} == {
        "0 buyers": (1, 1),
        "1-5 buyers": (1, 2),
        "6-20 buyers": (1, 1),
        "over 20 buyers": (0, 0),
        "tail (at most 5 buyers)": (2, 3),
    }
    assert isnan(found["over 20 buyers"].recall)
    assert recall_by_buyers(ranked, relevant, bought=BOUGHT, k=1)["6-20 buyers"].hits == 0


def test_tail_recall_is_pooled_over_pairs_and_is_no_mean_over_users() -> None:
    # One user finds 1 of her 3 tail products, another her only one: 2 of 4 pairs, where the mean of users is 2/3.
    bought = matrix([[0] * 4] * 2)
    relevant = matrix([[1, 1, 1, 0], [0, 0, 0, 1]])
    tail = recall_by_buyers(np.array([[0], [3]]), relevant, bought=bought)["tail (at most 5 buyers)"]
    assert tail.recall == 0.5
    assert tail.per_user.tolist() == [0.5, 0.5]


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_every_pair_is_in_one_slice_and_each_users_numbers_have_the_recall_as_their_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bought = sparse.csr_array((rng.random((30, 12)) < rng.random(12) ** 2).astype(float))
    relevant = sparse.csr_array((rng.random((30, 12)) < 0.2).astype(float))
    ranked = np.stack([rng.permutation(12)[:4] for _ in range(30)])
    ranked[rng.random(30) < 0.2] = NOBODY
    found = recall_by_buyers(ranked, relevant, bought=bought)
    parts = [each for name, each in found.items() if not name.startswith("tail")]
    assert len(parts) == len(BUYER_SLICES) - 1
    assert sum(each.pairs for each in parts) == relevant.nnz
    in_lists = sum(relevant[user, product] for user in range(30) for product in ranked[user] if product != NOBODY)
    assert sum(each.hits for each in parts) == in_lists
    for each in found.values():
        assert mean(each.per_user).value == pytest.approx(each.recall, nan_ok=True)


def test_users_are_sliced_by_the_different_products_they_bought() -> None:
    # Users with 0, 1, 4, 5, 9 and 10 products.
    bought = matrix([[column < count for column in range(10)] for count in (0, 1, 4, 5, 9, 10)])
    numbers = {"NDCG@10": np.array([0.1, 0.2, 0.4, nan, 0.5, nan])}
    found = by_purchases(numbers, bought)
    assert {name: each.users for name, each in found.items()} == {
        "0 products bought": 1,
        "1-4 products bought": 2,
        "5-9 products bought": 2,
        "10 or more products bought": 1,
    }
    means = [each.measures["NDCG@10"] for each in found.values()]
    assert [each.value for each in means] == pytest.approx([0.1, 0.3, 0.5, nan], nan_ok=True)
    assert [each.users for each in means] == [1, 2, 1, 0]


def test_the_slices_of_users_weighed_by_their_number_are_the_whole() -> None:
    rng = np.random.default_rng(1)
    bought = sparse.csr_array((rng.random((60, 15)) < rng.random((60, 1))).astype(float))
    relevant = sparse.csr_array((rng.random((60, 15)) < 0.1).astype(float))
    numbers = per_user(np.stack([rng.permutation(15)[:10] for _ in range(60)]), relevant, cutoffs=(10,))
    slices = by_purchases(numbers, bought)
    for name, values in numbers.items():
        parts = [each.measures[name] for each in slices.values() if each.measures[name].users]
        whole = mean(values)
        assert sum(part.users for part in parts) == whole.users
        assert sum(part.value * part.users for part in parts) / whole.users == pytest.approx(whole.value)
