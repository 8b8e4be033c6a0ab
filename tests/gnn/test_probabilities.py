"""Probabilities of a run: what is planted is found, and the curve is that of the lists as the export makes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import sparse

from gnn.calibration import fit_calibration
from gnn.probabilities import learn_probabilities
from gnn.task import Task
from tests.gnn.shops import matrix, purchases

USERS, PRODUCTS = 3000, 4


@dataclass(frozen=True)
class Planted:
    """Scores every product with the probability that it is bought, in tenths."""

    name = "planted"
    scores_of: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.scores_of[users].copy()


def task_of(chance: np.ndarray, *, seed: int, known: np.ndarray) -> Task:
    rng = np.random.default_rng(seed)
    return Task(
        name="validation",
        known=purchases((0, 0, 1)),
        products=np.arange(PRODUCTS),
        history=sparse.csr_array(known),
        relevant=sparse.csr_array((rng.random(chance.shape) < chance).astype(float)),
        now=2,
    )


def test_a_planted_probability_is_found_on_validation_and_holds_on_test() -> None:
    rng = np.random.default_rng(0)
    chance = rng.integers(1, 10, (USERS, PRODUCTS)) / 10
    nothing = np.zeros((USERS, PRODUCTS))
    planted = Planted(10 * chance)
    found = learn_probabilities(
        task_of(chance, seed=1, known=nothing), planted, task_of(chance, seed=2, known=nothing), planted, k=PRODUCTS
    )
    assert found is not None
    assert found.pairs == USERS * PRODUCTS
    tenths = np.arange(1.0, 10.0)
    assert found.calibration.probability(tenths) == pytest.approx(tenths / 10, abs=0.05)
    assert found.on_test is not None
    assert found.on_test.error < 0.02
    assert found.on_test.brier < 0.8 * found.on_test.brier_of_base_rate
    assert "reliability.png" in found.in_words()


def test_only_what_stands_in_a_list_counts_and_a_test_part_without_purchases_measures_nothing() -> None:
    scores = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0], [-np.inf] * 4])
    known = matrix([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    past = replace(
        task_of(np.zeros((3, 4)), seed=0, known=known.toarray()),
        relevant=matrix([[0, 0, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0]]),
    )
    empty = replace(past, relevant=sparse.csr_array((3, 4)))
    found = learn_probabilities(past, Planted(scores), empty, Planted(scores), k=2)
    assert found is not None
    # She who has the first has the next two in her list, of which she buys the second.
    pairs = [(3.0, False), (2.0, True), (4.0, True), (3.0, True)]
    wanted = fit_calibration(np.array([score for score, _ in pairs]), np.array([bought for _, bought in pairs]))
    assert found.calibration == wanted
    assert found.on_test is None
    nobody = Planted(np.full((3, 4), -np.inf))
    assert learn_probabilities(past, nobody, empty, nobody, k=2) is None
