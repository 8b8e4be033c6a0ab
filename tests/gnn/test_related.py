"""RELATED against hand-made co-purchases and a plain dense computation in numpy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn.closed_form import Similarity, closed_form
from gnn.co_purchase import CoPurchase
from gnn.related import Related, related_edges, related_matrix
from kg.schema import SHARES
from tests.gnn.shops import histories, matrix

# Buyers of products 0 to 3: 4, 2, 1 and 1. Both 0 and 1: 2; 0 and 2: 1; 0 and 3: 1; 2 and 3: 1; 1 with 2 and 3: 0.
BOUGHT = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]])
EVER = np.ones(4)


def one(bought: sparse.csr_array, *, shrink: float, per_product: int, factor: np.ndarray = EVER) -> Related:
    return related_edges(CoPurchase(bought, shrink=shrink), per_product=per_product, factor=factor)


def dense(related: Related, share: str, num_products: int) -> np.ndarray:
    """Return a share as a dense table."""
    table = np.zeros((num_products, num_products))
    table[related.source, related.target] = related.shares[share]
    return table


@pytest.mark.parametrize("shrink", [0.0, 2.0])
def test_co_purchases_are_a_shrunk_cosine_by_hand(shrink: float) -> None:
    related = one(BOUGHT, shrink=shrink, per_product=4)
    first, second, third = 2 / (8**0.5 + shrink), 1 / (2 + shrink), 1 / (1 + shrink)
    by_hand = [[0, first, second, second], [first, 0, 0, 0], [second, 0, 0, third], [second, 0, third, 0]]
    assert dense(related, "bought", 4) == pytest.approx(np.array(by_hand), rel=1e-6)
    assert not any(related.shares[share].any() for share in SHARES if share != "bought")


def test_only_the_largest_edges_of_a_product_are_kept() -> None:
    related = one(BOUGHT, shrink=0.0, per_product=1)
    # 0: 1 (0.71) before 2 and 3 (0.5); 2: 3 (1) before 0 (0.5); 3: 2 before 0.
    assert list(zip(related.source.tolist(), related.target.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_the_cut_goes_by_the_weight_without_its_factor() -> None:
    # A factor of 3 lifts product 2 over product 1 as a candidate of product 0, 0.5 · 3 against 0.71, and it stays out.
    related = one(BOUGHT, shrink=0.0, per_product=1, factor=np.array([1, 1, 3.0, 0.1]))
    assert list(zip(related.source.tolist(), related.target.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]
    assert related.weight == pytest.approx([0.5**0.5, 0.5**0.5, 0.1, 3.0])


@settings(max_examples=60)
@given(histories(most_users=10, most_products=7), st.integers(0, 2**32))
def test_shares_are_those_of_a_plain_dense_computation(bought: sparse.csr_array, seed: int) -> None:
    num_products = bought.shape[1]
    factor = np.random.default_rng(seed).uniform(0.3, 3.0, num_products)
    alike = Similarity("text", np.random.default_rng(seed).normal(size=(num_products, 2)).astype(np.float32), 0.5)
    base = closed_form(bought, [alike], ridge=1.0, way="dense")
    related = related_edges(base, per_product=num_products, factor=factor)
    weights, text = base.rows(0, num_products), base.other_shares(0, num_products)["text"]
    assert related.matrix(num_products).toarray() == pytest.approx(weights * factor, abs=2e-4)
    assert dense(related, "text", num_products) == pytest.approx(text * factor, abs=2e-4)
    assert dense(related, "bought", num_products) == pytest.approx((weights - text) * factor, abs=2e-4)
    assert np.array_equal(related.weight, sum(related.shares[share].astype(np.float64) for share in SHARES))
    assert not (related.source == related.target).any()


@settings(max_examples=40)
@given(histories(most_users=10, most_products=7), st.integers(1, 7))
def test_the_cut_keeps_the_largest_absolute_weights_of_each_row(bought: sparse.csr_array, keep: int) -> None:
    num_products = bought.shape[1]
    base, ever = closed_form(bought, [], ridge=1.0, way="dense"), np.ones(num_products)
    every, cut = (
        related_edges(base, per_product=count, factor=ever).matrix(num_products).toarray()
        for count in (num_products, keep)
    )
    for whole, row in zip(np.abs(every), np.abs(cut), strict=True):
        assert np.sort(row)[-keep:] == pytest.approx(np.sort(whole)[-keep:])
        assert (row > 0).sum() <= keep


def test_where_products_are_bought_again_each_has_an_edge_to_itself_beside_the_others() -> None:
    plain = one(BOUGHT, shrink=0.0, per_product=1)
    again = related_edges(CoPurchase(BOUGHT, shrink=0.0), per_product=1, factor=EVER, own=2.5)
    expected = plain.matrix(4).toarray() + 2.5 * np.eye(4)
    assert again.matrix(4).toarray() == pytest.approx(expected)
    assert dense(again, "repeat", 4) == pytest.approx(2.5 * np.eye(4))
    assert sorted(zip(again.source, again.target, strict=True)) == list(zip(again.source, again.target, strict=True))


def test_without_shares_all_counts_as_bought() -> None:
    alike = Similarity("text", np.ones((4, 1), dtype=np.float32), 0.5)
    base = closed_form(BOUGHT, [alike], ridge=1.0, way="dense")
    split = related_edges(base, per_product=4, factor=EVER)
    whole = related_edges(base, per_product=4, factor=EVER, with_shares=False)
    assert whole.matrix(4).toarray() == pytest.approx(split.matrix(4).toarray(), abs=1e-6)
    assert split.shares["text"].any()
    assert not whole.shares["text"].any()


def test_more_products_than_one_block_are_related_as_in_one_matrix() -> None:
    rng = np.random.default_rng(0)
    bought = sparse.csr_array((rng.random((40, 1100)) < 0.05).astype(float))
    related = one(bought, shrink=3.0, per_product=1100, factor=np.ones(1100))
    both = (bought.T @ bought).toarray()
    root = np.sqrt(bought.sum(0))
    expected = both / (np.outer(root, root) + 3.0)
    np.fill_diagonal(expected, 0)
    assert np.allclose(related.matrix(1100).toarray(), expected, rtol=1e-5)


def test_stored_edges_make_the_same_matrix_on_the_products_asked_for() -> None:
    edges = pl.DataFrame({"source": [3, 5, 5], "target": [5, 3, 9], "weight": [0.5, -0.25, 1.0]})
    assert related_matrix(edges, np.array([3, 5])).toarray().tolist() == [[0, 0.5], [-0.25, 0]]
