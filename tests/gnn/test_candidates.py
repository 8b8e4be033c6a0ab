"""Candidate edges: which ones, from what they start, and each feature against a plain dense computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import log_softmax

from gnn.candidates import BY_BASE, BY_NETWORK, ITSELF, Candidates, gather_candidates
from gnn.closed_form import ClosedForm, Similarity, closed_form
from gnn.fit import FittedNetwork
from gnn.likeliest import Likely
from gnn.local_form import local_form
from tests.gnn.networks import log_probabilities_of
from tests.gnn.shops import histories


def network_of(num_products: int, *, seed: int) -> FittedNetwork:
    rng = np.random.default_rng(seed)
    queries, keys = (rng.normal(size=(num_products, 3)).astype(np.float32) for _ in range(2))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    popularity = torch.from_numpy(rng.normal(size=num_products).astype(np.float32))
    return FittedNetwork(queries=queries, keys=keys, temperature=0.5, weights={"popularity": popularity}, epochs=1)


def gathered(
    bought: sparse.csr_array, *, seed: int, by_base: int, by_network: int, own: float = 0.0, large: bool = False
) -> tuple[Candidates, ClosedForm, FittedNetwork, np.ndarray]:
    """Return candidates and what they are of; those of a ``large`` shop are found by local form and faiss."""
    num_products = bought.shape[1]
    rng = np.random.default_rng(seed)
    content = {"words": sparse.csr_array(rng.random((num_products, 4)) * (rng.random((num_products, 4)) < 0.5))}
    base = closed_form(bought, [Similarity("text", content["words"].astype(np.float32), 0.5)], ridge=1.0, way="dense")
    local = local_form(bought, base.similarities, ridge=1.0) if large else base
    network, factor = network_of(num_products, seed=seed), rng.uniform(0.5, 2.0, num_products)
    candidates = gather_candidates(
        local,
        likely=Likely.of(network, largest=0) if large else Likely.of(network),
        bought=bought,
        content=content,
        traits={"trend": np.log(factor)},
        factor=factor,
        own=own,
        by_base=by_base,
        by_network=by_network,
    )
    return candidates, base, network, factor


@settings(max_examples=60)
@given(histories(most_users=10, most_products=7), st.integers(1, 8), st.integers(0, 8), st.integers(0, 999))
def test_the_largest_entries_come_first_and_the_network_proposes_of_the_rest(
    bought: sparse.csr_array, by_base: int, by_network: int, seed: int
) -> None:
    found, base, network, factor = gathered(bought, seed=seed, by_base=by_base, by_network=by_network)
    num_products = bought.shape[1]
    plain = base.rows(0, num_products)
    weights = plain * factor.astype(np.float32)
    likely = log_probabilities_of(network)
    for product in range(num_products):
        edges = slice(found.first[product], found.first[product + 1])
        target, by = found.target[edges], found.proposed_by[edges]
        assert product not in target
        assert sorted(set(target)) == target.tolist()
        largest = np.sort(np.abs(plain[product]))[::-1][:by_base]
        assert np.sort(np.abs(plain[product, target[by == BY_BASE]]))[::-1] == pytest.approx(largest[largest > 0])
        rest = [each for each in range(num_products) if each != product and each not in target[by == BY_BASE]]
        best = np.sort(likely[product, rest])[::-1][:by_network]
        assert np.sort(likely[product, target[by == BY_NETWORK]])[::-1] == pytest.approx(best, abs=1e-6)
        assert found.start[edges][by == BY_BASE] == pytest.approx(weights[product, target[by == BY_BASE]], rel=1e-5)
        proposed = np.exp(likely[product, target[by == BY_NETWORK]])
        assert found.start[edges][by == BY_NETWORK] == pytest.approx(proposed, rel=1e-4)


@settings(max_examples=40)
@given(histories(most_users=10, most_products=6), st.integers(0, 999))
def test_features_are_those_of_a_plain_dense_computation(bought: sparse.csr_array, seed: int) -> None:
    found, base, network, factor = gathered(bought, seed=seed, by_base=9, by_network=9)
    num_products = bought.shape[1]
    weights = base.rows(0, num_products).astype(np.float64)
    at = (found.source, found.target)
    both = (bought.T @ bought).toarray()
    buyers = np.diag(both)
    plain = bought.toarray()
    # A product, then one of its buyers by chance, then one of her products by chance.
    by_chance = [each / np.maximum(each.sum(1, keepdims=True), 1) for each in (plain.T, plain)]
    walks = by_chance[0] @ by_chance[1]
    near = network.queries / np.linalg.norm(network.queries, axis=1, keepdims=True) @ network.keys.T
    text = base.other_shares(0, num_products)["text"] * factor
    rng = np.random.default_rng(seed)
    words = rng.random((num_products, 4)) * (rng.random((num_products, 4)) < 0.5)

    def root(values: np.ndarray) -> np.ndarray:
        return np.sign(values) * np.sqrt(np.abs(values))

    expected = {
        "closed": root(weights * factor)[at],
        # The same edge the other way round, as its own row says.
        "reverse": root(weights.T * factor[:, None])[at],
        "share text": root(text)[at],
        "together": np.log1p(both)[at],
        "cosine": (both / np.sqrt(np.maximum(np.outer(buyers, buyers), 1)))[at],
        "walk": np.sqrt(walks)[at],
        "walk back": np.sqrt(walks.T)[at],
        "buyers here": np.log1p(buyers)[found.source],
        "buyers there": np.log1p(buyers)[found.target],
        "network": log_softmax(near / 0.5 + network.popularity, axis=1)[at],
        "near": near[at],
        "by network": (found.proposed_by == BY_NETWORK).astype(float),
        "itself": np.zeros(len(found.target)),
        "alike words": (words @ words.T)[at],
        "trend": np.log(factor)[found.target],
    }
    assert list(found.names) == list(expected)
    for column, (name, values) in enumerate(expected.items()):
        assert found.features[:, column] == pytest.approx(values, abs=2e-3), name


def test_a_product_that_may_be_bought_again_is_a_candidate_of_itself() -> None:
    bought = sparse.csr_array(np.array([[1.0, 1, 0], [0, 1, 1]]))
    found, _, _, _ = gathered(bought, seed=0, by_base=2, by_network=1, own=0.7)
    itself = found.proposed_by == ITSELF
    assert found.source[itself].tolist() == found.target[itself].tolist() == [0, 1, 2]
    assert found.start[itself] == pytest.approx([0.7] * 3)
    assert not any(part[itself].any() for part in found.shares.values())


@settings(max_examples=20)
@given(histories(most_users=10, most_products=7), st.integers(0, 999))
def test_a_large_shop_gets_the_same_candidates_where_nothing_is_cut(bought: sparse.csr_array, seed: int) -> None:
    exact, large = (
        gathered(bought, seed=seed, by_base=9, by_network=9, own=0.5, large=large)[0] for large in (False, True)
    )
    # An entry of B that is 0 but for rounding may be one form's and not the other's: then the network proposes it.
    same = exact.proposed_by == large.proposed_by
    assert np.array_equal(exact.target, large.target)
    assert np.abs(exact.features[~same, 0]).max(initial=0) < 1e-3
    assert exact.names == large.names
    by_network = exact.names.index("by network")
    given = [name for name in range(len(exact.names)) if name != by_network]
    assert large.features[:, given] == pytest.approx(exact.features[:, given], abs=2e-2)
    assert large.start[same] == pytest.approx(exact.start[same], abs=1e-3)
