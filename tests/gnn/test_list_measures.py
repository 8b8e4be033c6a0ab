"""What lists are like, whatever is relevant, by hand."""

from __future__ import annotations

from math import isnan, log2, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gnn.list_measures import gini, of_all_lists, per_list
from gnn.ranking import NOBODY
from tests.gnn.shops import matrix

# Eight users and four products with 8, 2, 1 and 0 buyers.
BOUGHT = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], *[[1, 0, 0, 0]] * 5])
NOTHING = [NOBODY, NOBODY]
RANKED = np.array([[2, 3], [3, NOBODY], [1, 0], *[NOTHING] * 5])


def test_novelty_is_the_information_in_who_bought_it_and_no_buyer_counts_as_one() -> None:
    found = per_list(RANKED, BOUGHT, cutoffs=(1, 2))
    same = {"nan_ok": True}
    assert found["Novelty@1"].tolist() == pytest.approx([3, 3, 2, *[nan] * 5], **same)
    # Shares of 1/8 and, as if one had bought it, 1/8; then of 2/8 and 8/8.
    assert found["Novelty@2"].tolist() == pytest.approx([3, 3, (log2(4) + 0) / 2, *[nan] * 5], **same)


def test_a_lists_popularity_and_tail_share_are_means_over_the_places_it_fills() -> None:
    found = per_list(RANKED, BOUGHT, cutoffs=(2,))
    assert found["Popularity@2"].tolist() == pytest.approx([0.5, 0, 5, *[nan] * 5], nan_ok=True)
    # All but the first product have at most 5 buyers.
    assert found["TailShare@2"].tolist() == pytest.approx([1, 1, 0.5, *[nan] * 5], nan_ok=True)


def test_coverage_and_gini_count_all_lists_together() -> None:
    found = of_all_lists(RANKED, BOUGHT, cutoffs=(1, 2))
    # First places: products 2, 3, 1; in both places all four.
    assert (found["Coverage@1"], found["Coverage@2"]) == (0.75, 1.0)
    # Exposure 1, 1, 1, 2 in rising order: (-3 - 1 + 1 + 3 · 2) / (4 · 5).
    assert found["Gini@2"] == pytest.approx(3 / 20)


def test_popularity_lift_compares_the_lists_with_what_their_users_buy() -> None:
    found = of_all_lists(RANKED, BOUGHT, cutoffs=(2,))
    # Only the first three have a list; they bought products with (8+2)/2, (8+2)/2 and (8+1)/2 buyers on average.
    assert found["PopularityLift@2"] == pytest.approx((0.5 + 0 + 5) / (5 + 5 + 4.5) - 1)


def test_who_is_recommended_what_she_bought_has_no_lift() -> None:
    lists = np.array([[0, 1], [0, 1], [0, 2], *[[0, NOBODY]] * 5])
    assert of_all_lists(lists, BOUGHT, cutoffs=(2,))["PopularityLift@2"] == pytest.approx(0)


def test_without_lists_nothing_is_covered_and_the_rest_is_undefined() -> None:
    found = of_all_lists(np.full((8, 2), NOBODY), BOUGHT, cutoffs=(2,))
    assert found["Coverage@2"] == 0
    assert isnan(found["Gini@2"])
    assert isnan(found["PopularityLift@2"])
    assert isnan(of_all_lists(RANKED, sparse.csr_array((8, 4)), cutoffs=(2,))["PopularityLift@2"])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_mean_difference_of_all_pairs_over_the_mean(exposure: list[int]) -> None:
    # The definition before any sorting (Gini 1912).
    x = np.array(exposure)
    by_pairs = np.abs(x[:, None] - x).sum() / (2 * len(x) ** 2 * x.mean())
    assert gini(x) == pytest.approx(by_pairs, abs=1e-12)
