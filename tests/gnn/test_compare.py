"""How sure a difference is, by hand, by enumeration, and against scipy."""

from __future__ import annotations

from itertools import product
from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gnn.compare import FLIPS, bootstrap_interval, compare, holm, randomisation_p


def test_a_bootstrap_interval_of_many_users_is_the_normal_one() -> None:
    values = np.random.default_rng(0).exponential(size=4000)
    found = bootstrap_interval(values, seed=1)
    half = 1.96 * values.std(ddof=1) / sqrt(4000)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_the_interval_leaves_undefined_users_out_and_the_same_seed_gives_the_same() -> None:
    values = np.array([0.0, 1.0, 0.5, 0.25])
    with_nan = np.array([nan, 0.0, 1.0, nan, 0.5, 0.25])
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(with_nan, seed=3)
    assert isnan(bootstrap_interval(np.array([nan, 0.5]), seed=3).low)


def test_bootstrap_intervals_hold_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for seed in range(200):
        found = bootstrap_interval((rng.random(300) < 0.2).astype(float), seed=seed)
        inside += found.low <= 0.2 <= found.high
    # 190 expected, with a standard deviation of 3.
    assert 180 <= inside <= 199


def test_p_is_the_share_of_sign_flips_that_reach_as_far() -> None:
    differences = np.array([0.5, 0.25, -0.125, 0.75, 0.0])
    flips = [abs(sum(sign * each for sign, each in zip(signs, differences, strict=True)))
             for signs in product((-1, 1), repeat=5)]  # fmt: skip
    exact = np.mean([each >= abs(differences.sum()) for each in flips])
    assert exact == 4 / 16
    assert randomisation_p(differences, seed=0) == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / FLIPS))


@settings(max_examples=15)
@given(st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.1, 0.63]), min_size=2, max_size=10), st.integers(0, 99))
def test_p_is_that_of_scipys_permutation_test(differences: list[float], seed: int) -> None:
    values = np.array(differences)
    # Up to ten users scipy counts all flips.
    theirs = stats.permutation_test(
        (values,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", vectorized=True, n_resamples=5000
    )
    # scipy doubles the smaller of two one-sided p, which for a symmetric law is the two-sided one.
    tolerance = 5 * sqrt(0.25 / FLIPS)
    assert randomisation_p(values, seed=seed) == pytest.approx(min(theirs.pvalue, 1.0), abs=tolerance)


def test_on_many_users_the_reported_p_agrees_with_the_t_test() -> None:
    rng = np.random.default_rng(2)
    theirs = rng.random(3000) * (rng.random(3000) < 0.3)
    ours = np.clip(theirs + rng.normal(0.004, 0.1, size=3000), 0, 1)
    found = compare(ours, theirs, seed=0)
    assert found.difference == pytest.approx(ours.mean() - theirs.mean())
    assert found.interval.low < found.difference < found.interval.high
    assert found.p == pytest.approx(found.p_of_t, abs=0.01)
    assert found.p_of_t == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert found.users == 3000


def test_equal_recommenders_do_not_differ_and_a_clear_winner_gets_the_smallest_p() -> None:
    same = compare(np.array([0.5, nan, 0.1]), np.array([0.5, nan, 0.1]), seed=0)
    assert (same.difference, same.p, same.users) == (0.0, 1.0, 2)
    assert isnan(same.p_of_t)
    # Of 2^40 flips two reach as far.
    assert compare(np.ones(40), np.zeros(40), seed=0).p == 1 / (FLIPS + 1)


def test_under_the_null_p_is_below_a_tenth_one_time_in_ten() -> None:
    rng = np.random.default_rng(7)
    small = sum(randomisation_p(rng.normal(size=50) * (rng.random(50) < 0.4), seed=seed) <= 0.1 for seed in range(150))
    # 15 expected, with a standard deviation of 3.7.
    assert 5 <= small <= 27


def test_recommenders_measured_on_different_users_are_not_compared() -> None:
    with pytest.raises(ValueError, match="1 users have a number from one recommender only"):
        compare(np.array([0.5, nan]), np.array([0.5, 0.2]), seed=0)


def test_without_any_user_there_is_no_p() -> None:
    found = compare(np.array([nan]), np.array([nan]), seed=0)
    assert found.users == 0
    assert isnan(found.p)


def test_holm_multiplies_the_smallest_by_their_number_and_never_falls() -> None:
    # Worked by hand: 0.01 · 4, 0.02 · 3, then 0.025 · 2 = 0.05 which must not fall below 0.06, then 0.9.
    found = holm({"d": 0.9, "a": 0.01, "c": 0.025, "none": nan, "b": 0.02})
    assert found == pytest.approx({"d": 0.9, "a": 0.04, "c": 0.06, "none": nan, "b": 0.06}, nan_ok=True)
    assert list(found) == ["d", "a", "c", "none", "b"]
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
