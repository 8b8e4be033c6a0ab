"""The search by faiss against numpy's inner products, beside torch in one process."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from gnn import nearest as module
from gnn.fit import FittedNetwork
from gnn.likeliest import Likely
from gnn.nearest import Nearest
from loaders.errors import InputError
from tests.gnn.test_candidates import network_of

VECTORS = np.random.default_rng(0).normal(size=(3_000, 6)).astype(np.float32)


def test_the_largest_inner_products_are_found_with_their_values() -> None:
    products, positions = Nearest.of(VECTORS).largest(VECTORS[:50], 20)
    expected = VECTORS[:50] @ VECTORS.T
    assert products == pytest.approx(-np.sort(-expected, axis=1)[:, :20], rel=1e-5)
    assert np.take_along_axis(expected, positions, axis=1) == pytest.approx(products, rel=1e-5)


def test_few_vectors_are_all_found() -> None:
    _, positions = Nearest.of(VECTORS[:5]).largest(VECTORS[:2], 20)
    assert np.sort(positions, axis=1).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_torch_and_faiss_compute_in_turns_in_one_process() -> None:
    given = torch.from_numpy(VECTORS)
    expected = given.T @ given
    for _ in range(3):
        Nearest.of(VECTORS).largest(VECTORS[:50], 20)
        assert torch.allclose(given.T @ given, expected)
        torch.linalg.cholesky(expected)


def test_without_faiss_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"shop of 3000 .* needs faiss, .*: python -m pip install faiss-cpu"):
        Nearest.of(VECTORS)


def network(num_products: int = 2_000) -> FittedNetwork:
    return network_of(num_products, seed=0)


def test_the_index_finds_what_all_scores_find_with_their_probabilities() -> None:
    rows = np.arange(40, 90)
    every, indexed = Likely.of(network()), Likely.of(network(), largest=1_000)
    expected, found = every.rows(rows, 30), indexed.rows(rows, 30)
    assert np.array_equal(expected.best, found.best)
    # The sample that stands for what was not found is all of it here.
    assert found.log_total == pytest.approx(expected.log_total, abs=1e-4)
    assert indexed.way(30) == (
        "the network's candidates by faiss; recall 100.0% (of the 30 likeliest of 64 products), "
        "log p off by 0.000 on average"
    )


def test_a_network_that_proposes_nothing_says_how_far_its_log_p_is_off() -> None:
    said = Likely.of(network(300), largest=100).way(0)
    assert said.endswith("(of the 1 likeliest of 64 products), log p off by 0.000 on average")


def test_a_narrow_search_says_what_it_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", 4)
    monkeypatch.setattr(module, "BUILD_BREADTH", 4)
    monkeypatch.setattr(module, "SEARCH_BREADTH", 1)
    monkeypatch.setattr("gnn.likeliest.SAMPLED_REST", 500)
    indexed, every = Likely.of(network(), largest=1_000), Likely.of(network())
    rows = np.random.default_rng(0).choice(2_000, 64, replace=False)
    expected, found = every.rows(rows, 9), indexed.rows(rows, 9)
    both = [np.isin(some, others).mean() for some, others in zip(expected.best, found.best, strict=True)]
    assert 0.05 < np.mean(both) < 0.98
    assert f"recall {np.mean(both):.1%} (of the 9 likeliest" in indexed.way(9)
    assert found.log_total == pytest.approx(expected.log_total, abs=0.5)


def test_what_was_not_found_at_all_is_no_candidate_and_counts_in_the_sum() -> None:
    class NothingFound(Nearest):
        def largest(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(queries), count), np.float32), np.full((len(queries), count), -1)

    rows, every = np.arange(5), Likely.of(network(300))
    found = Likely(network(300), NothingFound(None)).rows(rows, 4)
    assert (found.best == -1).all()
    assert found.log_total == pytest.approx(every.rows(rows, 4).log_total, rel=1e-5)


def test_the_index_is_the_same_every_time() -> None:
    first, second = (Nearest.of(VECTORS).largest(VECTORS[:200], 50) for _ in range(2))
    assert np.array_equal(first[1], second[1])
