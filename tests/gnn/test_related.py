"""RELATED against hand-made co-purchases and a plain dense computation in numpy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn.fit import FittedNetwork
from gnn.related import Recipe, Related, related_edges, related_matrix
from tests.gnn.shops import histories, matrix

# Buyers of products 0 to 3: 4, 2, 1 and 1. Both 0 and 1: 2; 0 and 2: 1; 0 and 3: 1; 2 and 3: 1; 1 with 2 and 3: 0.
BOUGHT = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]])
EVER = np.ones(4)


def fitted(num_products: int, *, seed: int = 0, temperature: float = 0.5) -> FittedNetwork:
    rng = np.random.default_rng(seed)
    keys = rng.normal(size=(num_products, 3)).astype(np.float32)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    queries = rng.normal(size=(num_products, 3)).astype(np.float32)
    return FittedNetwork(
        queries=queries, keys=keys, temperature=temperature, weights={"log_temperature": torch.zeros(())}, epochs=1
    )


def one(
    bought: sparse.csr_array, recipe: Recipe, *, network: FittedNetwork | None = None, trend: np.ndarray
) -> Related:
    (related,) = related_edges(bought, [recipe], fitted=network, trend=trend)
    return related


def shares(related: Related, num_products: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both shares as dense tables."""
    tables = []
    for values in (related.bought, related.network):
        table = np.zeros((num_products, num_products))
        table[related.source, related.target] = values
        tables.append(table)
    return tables[0], tables[1]


def plain_shares(
    bought: np.ndarray, recipe: Recipe, network: FittedNetwork, trend: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both shares by the formulas of Recipe, pair by pair, uncut."""
    count = bought.shape[1]
    buyers = bought.sum(0)
    own, other = np.zeros((count, count)), np.zeros((count, count))
    for j in range(count):
        query = network.queries[j].astype(float)
        near = network.keys.astype(float) @ (query / np.linalg.norm(query))
        odds = np.exp(near / network.temperature) * np.maximum(buyers, 1)
        odds[j] = 0
        for i in range(count):
            if i == j:
                continue
            both = bought[:, j] @ bought[:, i]
            factor = trend[i] ** recipe.trend
            own[j, i] = both / (np.sqrt(buyers[j] * buyers[i]) + recipe.shrink) * factor
            gated = own[j, i] * (np.exp(recipe.gate * near[i]) - 1)
            other[j, i] = gated + recipe.proposal * odds[i] / odds.sum() * factor
    return own, other


@pytest.mark.parametrize("shrink", [0.0, 2.0])
def test_co_purchases_are_a_shrunk_cosine_by_hand(shrink: float) -> None:
    own, network = shares(one(BOUGHT, Recipe(per_product=4, shrink=shrink), trend=EVER), 4)
    first, second, third = 2 / (8**0.5 + shrink), 1 / (2 + shrink), 1 / (1 + shrink)
    by_hand = [[0, first, second, second], [first, 0, 0, 0], [second, 0, 0, third], [second, 0, third, 0]]
    assert own == pytest.approx(np.array(by_hand), rel=1e-6)
    assert not network.any()


def test_only_the_largest_edges_of_a_product_are_kept() -> None:
    related = one(BOUGHT, Recipe(per_product=1, shrink=0.0), trend=np.array([1, 1, 1, 1.0]))
    # 0: 1 (0.71) before 2 and 3 (0.5); 2: 3 (1) before 0 (0.5); 3: 2 before 0.
    assert list(zip(related.source.tolist(), related.target.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_the_cut_goes_by_the_weight_with_all_its_parts() -> None:
    # A trend of 3 lifts product 2 over product 1 as a candidate of product 0: 0.5 * 3 against 0.71.
    related = one(BOUGHT, Recipe(per_product=1, shrink=0.0, trend=1.0), trend=np.array([1, 1, 3.0, 1]))
    assert related.target.tolist() == [2, 0, 3, 2]


@settings(max_examples=80, deadline=None)
@given(
    histories(most_users=10, most_products=7),
    st.sampled_from([0.0, 1.5, 4.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.2]),
    st.integers(0, 2**32),
)
def test_gate_trend_and_proposals_are_those_of_a_plain_dense_computation(
    bought: sparse.csr_array, gate: float, trend: float, proposal: float, seed: int
) -> None:
    num_products = bought.shape[1]
    network = fitted(num_products, seed=seed)
    factor = np.random.default_rng(seed).uniform(0.3, 3.0, num_products)
    recipe = Recipe(per_product=num_products, shrink=1.0, gate=gate, trend=trend, proposal=proposal)
    related = one(bought, recipe, network=network, trend=factor)
    found = shares(related, num_products)
    expected = plain_shares(bought.toarray(), recipe, network, factor)
    for mine, plain in zip(found, expected, strict=True):
        assert mine == pytest.approx(plain, rel=2e-4, abs=1e-6)
    assert np.array_equal(related.weight, related.bought.astype(np.float64) + related.network)
    assert not (related.source == related.target).any()
    assert (related.weight != 0).all()


@settings(max_examples=40, deadline=None)
@given(histories(most_users=10, most_products=7), st.integers(1, 7), st.integers(0, 2**32))
def test_the_cut_keeps_the_largest_absolute_weights_of_each_row(bought: sparse.csr_array, keep: int, seed: int) -> None:
    num_products = bought.shape[1]
    network = fitted(num_products, seed=seed)
    recipe = Recipe(per_product=num_products, shrink=1.0, gate=2.0, proposal=0.1)
    every = one(bought, recipe, network=network, trend=np.ones(num_products)).matrix(num_products).toarray()
    cut = one(bought, Recipe(**{**vars(recipe), "per_product": keep}), network=network, trend=np.ones(num_products))
    kept = cut.matrix(num_products).toarray()
    for whole, row in zip(np.abs(every), np.abs(kept), strict=True):
        assert np.sort(row)[-keep:] == pytest.approx(np.sort(whole)[-keep:])
        assert (row > 0).sum() <= keep


def test_a_gate_and_trend_of_zero_are_item_knn() -> None:
    plain = Recipe(per_product=3, shrink=1.0)
    both = related_edges(BOUGHT, [plain, Recipe(per_product=3, shrink=1.0, gate=1.0)], fitted=fitted(4), trend=EVER)
    alone = one(BOUGHT, plain, trend=EVER)
    assert np.array_equal(both[0].matrix(4).toarray(), alone.matrix(4).toarray())
    assert not np.array_equal(both[1].matrix(4).toarray(), alone.matrix(4).toarray())


def test_a_gate_without_a_network_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="a gate or a proposal needs a fitted network"):
        one(BOUGHT, Recipe(per_product=1, shrink=0.0, gate=1.0), trend=EVER)


def test_more_products_than_one_block_are_related_as_in_one_matrix() -> None:
    rng = np.random.default_rng(0)
    bought = sparse.csr_array((rng.random((40, 1100)) < 0.05).astype(float))
    related = one(bought, Recipe(per_product=1100, shrink=3.0), trend=np.ones(1100))
    both = (bought.T @ bought).toarray()
    root = np.sqrt(bought.sum(0))
    expected = both / (np.outer(root, root) + 3.0)
    np.fill_diagonal(expected, 0)
    assert np.allclose(related.matrix(1100).toarray(), expected, rtol=1e-5)


def test_stored_edges_make_the_same_matrix_on_the_products_asked_for() -> None:
    edges = pl.DataFrame({"source": [3, 5, 5], "target": [5, 3, 9], "weight": [0.5, -0.25, 1.0]})
    assert related_matrix(edges, np.array([3, 5])).toarray().tolist() == [[0, 0.5], [-0.25, 0]]
