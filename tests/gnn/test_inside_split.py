"""The split of a linear network's cosine against a network worked out by hand, and the trained form's cosines."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn.fit import _fitted
from gnn.inside_split import LEAST_COSINE, LinearParts, linear_parts
from gnn.network import ITSELF, QueryKeyNetwork, Relation
from tests.gnn.networks import cosines_of
from tests.gnn.shops import histories, matrix
from tests.gnn.test_network import CPU, network


def by_hand() -> tuple[QueryKeyNetwork, Relation]:
    """Return two products of the same two brands, each with one buyer of its own, and weights easy to count with.

    The text of the first is (1, -1) / sqrt 2 without their mean, that of the second the opposite.
    """
    # Two brands, for so its numbers are 1/2: with one they are 1 / sqrt 2, which every CPU rounds its own way.
    brand = Relation.of(matrix([[1, 1], [1, 1]]), CPU)
    net = QueryKeyNetwork(
        torch.eye(2), relations={"has_brand": brand}, one_hop=frozenset(), dimension=2, layers=1, temperature=0.1,
        identity_dropout=0.8, rng=torch.Generator().manual_seed(0),
    )  # fmt: skip
    with torch.no_grad():
        net.identity.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        net.projection.copy_(2**0.5 * torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        net.query_weights.copy_(torch.tensor([1.0, 2.0, 0.0]))
        net.key_weights.copy_(torch.tensor([1.0, 0.0, 1.0]))
        net.turn.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    return net, Relation.of(matrix([[1, 0], [0, 1]]), CPU)


def test_a_split_by_hand() -> None:
    net, bought = by_hand()
    parts = linear_parts(net, bought, rows=torch.tensor([1, 0]))
    # Ids (1, 0) and (0, 1), texts (0, 1) and (0, -1). Their brands halve the sum of both: ids (1/2, 1/2), texts 0.
    # q of product 0 before the turn: ids (1, 0) + 2 (1/2, 1/2), texts (0, 1), so (2, 2); turned (2, 2).
    # k of product 0, to which its own buyer's round of co-purchase gives it itself again: ids 2 (1, 0), texts 2 (0, 1),
    # so (2, 2), and the cosine of q and k of product 0 is 1.
    split = parts.split(1, 1, share=0.0)
    assert (split.cosine, split.total, split.scaled) == (pytest.approx(1.0), pytest.approx(1.0), False)
    # Each of q's parts, turned, times (2, 2) over 8: ids themselves (0, 1), by brand (1, 1), texts (1, 0).
    spoke = {(part.through, part.of): part.adds for part in split.spoke}
    assert spoke == pytest.approx({
        (ITSELF, "id"): 0.25, ("has_brand", "id"): 0.5, ("co-purchase 1", "id"): 0.0,
        (ITSELF, "text"): 0.25, ("has_brand", "text"): 0.0, ("co-purchase 1", "text"): 0.0,
    })  # fmt: skip
    assert (split.spoke[0].through, split.spoke[0].of) == ("has_brand", "id")
    answered = {(part.through, part.of): part.adds for part in split.answered}
    assert answered == pytest.approx({
        (ITSELF, "id"): 0.25, ("has_brand", "id"): 0.0, ("co-purchase 1", "id"): 0.25,
        (ITSELF, "text"): 0.25, ("has_brand", "text"): 0.0, ("co-purchase 1", "text"): 0.25,
    })  # fmt: skip
    tripled = parts.split(1, 1, share=3.0)
    assert (tripled.cosine, tripled.total, tripled.scaled) == (pytest.approx(1.0), 3.0, True)
    assert tripled.spoke[0].adds == pytest.approx(1.5)


def in_64_bits(pairs: sparse.csr_array) -> Relation:
    relation = Relation.of(pairs, CPU)
    return Relation(forward=relation.forward.double(), backward=relation.backward.double())


@settings(max_examples=40)
@given(histories(), st.integers(0, 2**31), st.integers(1, 3))
def test_all_pairs_split_into_the_trained_forms_cosines(bought: sparse.csr_array, seed: int, layers: int) -> None:
    num_products = bought.shape[1]
    drawn = np.random.default_rng(seed)
    relations = {
        "has_brand": in_64_bits(sparse.csr_array(drawn.integers(0, 2, (num_products, 2)).astype(float))),
        "also_viewed": in_64_bits(sparse.csr_array(drawn.integers(0, 2, (num_products,) * 2).astype(float))),
    }
    # All in 64 bits: of 32 few are left to the trained form where parts of a vector cancel out.
    net = network(num_products, relations, layers=layers).double()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in (net.query_weights, net.key_weights, net.turn, net.identity):
            weights.copy_(torch.randn(weights.shape, generator=rng))
    whole = in_64_bits(bought)
    parts = linear_parts(net, whole, rows=torch.arange(num_products))
    cosines = cosines_of(_fitted(net, partial(net, whole), epochs=1))
    for source in range(num_products):
        for target in range(num_products):
            split = parts.split(source, target, share=0.3)
            assert split.cosine == pytest.approx(cosines[source, target], abs=1e-9)
            assert split.scaled == (split.cosine >= LEAST_COSINE)
            assert split.total == (0.3 if split.scaled else split.cosine)
            for side in (split.spoke, split.answered):
                assert len(side) == 2 * (1 + 1 + 2 + layers)
                assert sum(part.adds for part in side) == pytest.approx(split.total, abs=1e-8)


def test_what_cancels_out_speaks_against_it_or_says_nothing_is_not_scaled() -> None:
    parts = LinearParts(
        names=((ITSELF, "id"), (ITSELF, "text")),
        queries=torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]).double(),
        keys=torch.tensor([[[1.0, 0.0]], [[0.0, -0.98]]]).double(),
    )
    # (1 - 0.98) / (sqrt 2 · 1.4), about 0.0101.
    split = parts.split(0, 0, share=0.5)
    assert (split.scaled, split.total) == (False, pytest.approx(0.02 / (2 * (1 + 0.98**2)) ** 0.5))
    assert [part.of for part in split.spoke] == ["id", "text"]
    against = replace(parts, keys=-parts.queries).split(0, 0, share=0.5)
    assert (against.scaled, against.total) == (False, pytest.approx(-1.0))
    nothing = replace(parts, keys=0 * parts.queries).split(0, 0, share=0.5)
    assert (nothing.scaled, nothing.total) == (False, 0.0)
