"""Probabilities from scores: by hand, planted, and against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from gnn.calibration import Calibration, fit_calibration, listed_pairs, reliability
from gnn.ranking import NOBODY, Ranked
from loaders.errors import InputError
from tests.gnn.shops import matrix


def test_scores_in_the_wrong_order_share_their_mean() -> None:
    # Scores 1 to 4 with 0, 1, 0, 1 bought: the middle two are pooled.
    fitted = fit_calibration(np.array([3.0, 1.0, 2.0, 4.0]), np.array([False, False, True, True]))
    assert fitted.probability(np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [0, 0.5, 0.5, 1]
    # Straight between the points, level outside.
    assert fitted.probability(np.array([-9.0, 1.5, 3.5, 9.0])).tolist() == [0, 0.25, 0.75, 1]


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_the_kept_points_give_what_scikit_learns_regression_predicts(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-5, 6, size=count) / 3
    bought = rng.random(count) < 0.4
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, bought.astype(float))
    asked = np.concatenate([scores, rng.normal(0, 3, size=20)])
    ours = fit_calibration(scores, bought).probability(asked)
    assert ours == pytest.approx(theirs.predict(asked), abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_a_higher_score_is_never_less_probable_and_all_are_probabilities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fitted = fit_calibration(rng.normal(size=50), rng.random(50) < 0.2)
    found = fitted.probability(np.sort(rng.normal(0, 3, size=100)))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_curve_goes_through_json_and_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=200)
    fitted = fit_calibration(scores, rng.random(200) < 0.3)
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted
    assert np.array_equal(again.probability(scores), fitted.probability(scores))


def test_a_planted_probability_is_found_again_on_new_pairs() -> None:
    rng = np.random.default_rng(1)
    scores, new = rng.uniform(-3, 3, size=30_000), rng.uniform(-3, 3, size=30_000)

    def planted(x: np.ndarray) -> np.ndarray:
        return 0.3 / (1 + np.exp(-2 * x))

    fitted = fit_calibration(scores, rng.random(30_000) < planted(scores))
    inner = new[np.abs(new) < 2.9]
    assert np.abs(fitted.probability(inner) - planted(inner)).mean() < 0.01
    found = reliability(fitted.probability(new), rng.random(30_000) < planted(new))
    assert found.error < 0.01
    assert found.brier < found.brier_of_base_rate


def test_pairs_are_the_filled_places_of_all_lists_also_of_who_bought_nothing() -> None:
    ranked = Ranked(
        products=np.array([[1, 0], [0, NOBODY], [NOBODY, NOBODY]]),
        scores=np.array([[0.9, 0.5], [0.7, -np.inf], [-np.inf, -np.inf]]),
    )
    scores, bought = listed_pairs(ranked, matrix([[1, 0], [0, 0], [0, 1]]))
    assert scores.tolist() == [0.9, 0.5, 0.7]
    assert bought.tolist() == [False, True, False]


def test_the_curve_the_error_and_the_brier_score_are_as_worked_out_by_hand() -> None:
    probabilities = np.array([0.1, 0.1, 0.1, 0.1, 0.6, 0.6, 0.6, 0.6])
    bought = np.array([False, False, False, True, True, True, False, False])
    found = reliability(probabilities, bought, num_bins=2)
    assert [(each.pairs, each.expected, each.bought) for each in found.curve] == [
        (4, pytest.approx(0.1), 0.25),
        (4, pytest.approx(0.6), 0.5),
    ]
    assert found.error == pytest.approx((4 * 0.15 + 4 * 0.1) / 8)
    assert found.brier == pytest.approx((3 * 0.01 + 0.81 + 2 * 0.16 + 2 * 0.36) / 8)
    assert found.brier == pytest.approx(brier_score_loss(bought, probabilities))
    # Three of eight were bought.
    assert found.brier_of_base_rate == pytest.approx(3 / 8 * 5 / 8)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_bins_part_all_pairs_and_never_cut_equal_probabilities(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 5, size=count) / 10
    found = reliability(probabilities, rng.random(count) < 0.5)
    assert sum(each.pairs for each in found.curve) == count
    assert len(found.curve) <= min(10, len(np.unique(probabilities)))
    assert [each.expected for each in found.curve] == sorted(each.expected for each in found.curve)


def test_without_a_list_nothing_can_be_calibrated() -> None:
    with pytest.raises(InputError, match="no list holds a product, so scores cannot be calibrated"):
        fit_calibration(np.array([]), np.array([], dtype=bool))
