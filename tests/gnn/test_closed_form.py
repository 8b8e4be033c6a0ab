"""The closed form against numpy's inverse and the shares' own formula, and its two forms against each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn.closed_form import Similarity, closed_form, exact_way
from loaders.errors import InputError


def shop(seed: int, *, users: int = 12, products: int = 9) -> tuple[sparse.csr_array, list[Similarity]]:
    rng = np.random.default_rng(seed)
    bought = sparse.csr_array((rng.random((users, products)) < 0.4) * rng.random((users, products)))
    # One feature of a single product, one of none: they make no two products alike.
    brand = np.zeros((products, 4), dtype=np.float32)
    brand[np.arange(products - 1), rng.integers(0, 2, products - 1)] = 1.0
    brand[products - 1, 2] = 1.0
    return bought, [
        Similarity("brand", sparse.csr_array(brand), 0.7),
        Similarity("text", rng.normal(size=(products, 3)).astype(np.float32), 0.4),
    ]


def plain(
    bought: sparse.csr_array, similarities: list[Similarity], ridge: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return B and its shares, purchases first, by the formulas of the module with numpy's own inverse."""
    x = bought.toarray()
    grams = [x.T @ x]
    for similarity in similarities:
        features = similarity.features
        dense = features if isinstance(features, np.ndarray) else features.toarray()
        grams.append(similarity.weight * dense.astype(float) @ dense.T)
    inverse = np.linalg.inv(sum(grams) + ridge * np.eye(len(grams[0])))
    weights = np.eye(len(inverse)) - inverse / np.diag(inverse)
    shares = [inverse @ gram - inverse * (np.diag(inverse @ gram) / np.diag(inverse)) for gram in grams]
    return weights, shares


@pytest.mark.parametrize("way", ["dense", "woodbury"])
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), ridge=st.sampled_from([0.5, 3.0, 40.0]))
def test_both_forms_are_the_formula(way: Literal["dense", "woodbury"], seed: int, ridge: float) -> None:
    bought, similarities = shop(seed)
    found = closed_form(bought, similarities, ridge=ridge, way=way)
    weights, shares = plain(bought, similarities, ridge)
    assert np.concatenate([rows for _, rows in found.blocks()]) == pytest.approx(weights, abs=2e-5)
    others = found.other_shares(0, 9)
    np.fill_diagonal(shares[1], 0.0)
    np.fill_diagonal(shares[2], 0.0)
    assert others["brand"] == pytest.approx(shares[1], abs=2e-5)
    assert others["text"] == pytest.approx(shares[2], abs=2e-5)
    rest = found.rows(0, 9) - sum(others.values())
    np.fill_diagonal(shares[0], 0.0)
    assert rest == pytest.approx(shares[0], abs=2e-5)


def test_two_products_by_hand() -> None:
    # XᵀX = [[2, 1], [1, 1]]; with a ridge of 1 its inverse is [[2, -1], [-1, 3]] / 5.
    bought = sparse.csr_array(np.array([[1.0, 1.0], [1.0, 0.0]]))
    rows = closed_form(bought, [], ridge=1.0, way="dense").rows(0, 2)
    assert rows == pytest.approx(np.array([[0, 1 / 3], [1 / 2, 0]]), abs=1e-6)


def test_blocks_of_rows_are_the_rows_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bought, similarities = shop(3)
    whole = closed_form(bought, similarities, ridge=2.0, way="dense")
    rows, shares = whole.rows(0, 9), whole.other_shares(0, 9)
    monkeypatch.setattr("gnn.closed_form.BLOCK_PRODUCTS", 4)
    for way in ("dense", "woodbury"):
        found = closed_form(bought, similarities, ridge=2.0, way=way)
        assert [start for start, _ in found.blocks()] == [0, 4, 8]
        assert np.concatenate([block for _, block in found.blocks()]) == pytest.approx(rows, abs=2e-5)
        assert found.other_shares(4, 8)["text"] == pytest.approx(shares["text"][4:8], abs=2e-5)


def test_the_form_is_chosen_by_size() -> None:
    few_users = sparse.csr_array((10, 100))
    assert exact_way(few_users, []) == "woodbury"
    assert exact_way(few_users, [Similarity("text", np.ones((100, 80), dtype=np.float32), 1.0)]) == "dense"
    assert exact_way(few_users, [Similarity("text", np.ones((100, 80), dtype=np.float32), 0.0)]) == "woodbury"
    assert exact_way(sparse.csr_array((100, 100)), [], largest=50) is None
    # Users are few, and still it is more work than to invert a matrix of 50: 20 · 100² > 50³ ≥ 12 · 100².
    assert exact_way(sparse.csr_array((20, 100)), [], largest=50) is None
    assert exact_way(sparse.csr_array((12, 100)), [], largest=50) == "woodbury"


def test_a_relation_without_edges_changes_nothing() -> None:
    bought, _ = shop(1)
    nothing = Similarity("links", sparse.csr_array((9, 5), dtype=np.float32), 1.0)
    no_feature = Similarity("links", sparse.csr_array((9, 0), dtype=np.float32), 1.0)
    with_them = closed_form(bought, [nothing, no_feature], ridge=1.0)
    assert with_them.rows(0, 9) == pytest.approx(closed_form(bought, [], ridge=1.0).rows(0, 9))


def test_a_singular_system_is_said() -> None:
    bought = sparse.csr_array(np.ones((1, 5)))
    for way in ("dense", "woodbury"):
        with pytest.raises(InputError, match="ridge of -10"):
            closed_form(bought, [], ridge=-10.0, way=way)


@pytest.mark.parametrize("way", ["dense", "woodbury"])
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_dense_features_give_what_the_same_features_give_stored_sparsely(
    way: Literal["dense", "woodbury"], seed: int
) -> None:
    bought, similarities = shop(seed)
    stored = [replace(each, features=sparse.csr_array(each.features)) for each in similarities]
    dense, thin = (closed_form(bought, given, ridge=2.0, way=way) for given in (similarities, stored))
    assert dense.rows(2, 7) == pytest.approx(thin.rows(2, 7), abs=2e-5)
    assert dense.other_shares(2, 7)["text"] == pytest.approx(thin.other_shares(2, 7)["text"], abs=2e-5)
    assert dense.scores(bought) == pytest.approx(bought @ thin.rows(0, 9), abs=2e-5)
