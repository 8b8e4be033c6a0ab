"""The network's algebra against dense matrices, automatic gradients and torch's own loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn import losses
from gnn.fit import hide_purchases, only, without
from gnn.losses import hidden_product_loss
from gnn.network import QueryKeyNetwork, Relation
from tests.gnn.shops import histories, matrix

CPU = torch.device("cpu")
BOUGHT = matrix([[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]])


def network(num_products: int, relations: dict[str, Relation], *, layers: int = 2) -> QueryKeyNetwork:
    rng = torch.Generator().manual_seed(3)
    return QueryKeyNetwork(
        torch.randn(num_products, 5, generator=rng),
        relations=relations,
        one_hop=frozenset({"also_viewed"} & set(relations)),
        dimension=4,
        layers=layers,
        temperature=0.1,
        identity_dropout=0.0,
        rng=rng,
    )


def test_a_relation_is_divided_by_the_roots_of_both_degrees_by_hand() -> None:
    # Users have 2, 1, 2 and 0 purchases, products 1, 3 and 1 buyers.
    relation = Relation.of(BOUGHT, CPU)
    expected = [[1 / 2**0.5, 1 / 6**0.5, 0], [0, 1 / 3**0.5, 0], [0, 1 / 6**0.5, 1 / 2**0.5], [0, 0, 0]]
    torch.testing.assert_close(relation.forward.to_dense(), torch.tensor(expected))
    torch.testing.assert_close(relation.backward.to_dense(), torch.tensor(expected).T)


@settings(max_examples=30)
@given(histories(), st.integers(0, 2**31))
def test_propagation_and_its_gradient_are_those_of_a_dense_product(bought: sparse.csr_array, seed: int) -> None:
    relation = Relation.of(bought, CPU)
    dense = relation.forward.to_dense()
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(bought.shape[1], 3, generator=rng, requires_grad=True)
    plain = x.detach().clone().requires_grad_()
    weight = torch.randn(bought.shape[1], 3, generator=rng)
    there_and_back = relation.to_targets(relation.to_sources(x))
    expected = dense.T @ (dense @ plain)
    torch.testing.assert_close(there_and_back, expected)
    (there_and_back * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, plain.grad)


def test_the_gradient_is_the_numerical_one() -> None:
    relation = Relation.of(BOUGHT, CPU)
    exact = Relation(forward=relation.forward.double(), backward=relation.backward.double())
    start = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: exact.to_targets(exact.to_sources(x)), (start,))


def test_queries_are_linear_in_the_start_vectors_and_keys_have_unit_length() -> None:
    relations = {"has_brand": Relation.of(matrix([[1, 0], [1, 0], [0, 1]]), CPU)}
    relations["also_viewed"] = Relation.of(matrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), CPU)
    whole = Relation.of(BOUGHT, CPU)
    net = network(3, relations)
    with torch.no_grad():
        net.query_weights.copy_(torch.linspace(-1, 2, len(net.query_weights)))
        net.projection.zero_()
        parts = [torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]

        def queries(start: torch.Tensor) -> torch.Tensor:
            net.identity.copy_(start)
            found, keys = net(whole)
            torch.testing.assert_close(keys.norm(dim=1), torch.ones(3))
            return found

        torch.testing.assert_close(
            queries(2 * parts[0] - 3 * parts[1]), 2 * queries(parts[0]) - 3 * queries(parts[1]), rtol=1e-4, atol=1e-5
        )


def test_a_query_is_the_weighted_sum_of_the_start_its_neighbours_and_the_co_purchases() -> None:
    brand, viewed = matrix([[1, 0], [1, 0], [0, 1]]), matrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    relations = {"has_brand": Relation.of(brand, CPU), "also_viewed": Relation.of(viewed, CPU)}
    net = network(3, relations)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    with torch.no_grad():
        net.query_weights.copy_(weights)
        queries, _ = net(Relation.of(BOUGHT, CPU))
        start = net.identity + net.text @ net.projection
    # Degrees by hand: products 0 and 1 share a brand of 2, product 2 has its own; links have degree 1 everywhere.
    same_brand = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
    links = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 0, 0]])
    a = torch.tensor([[1 / 2**0.5, 1 / 6**0.5, 0], [0, 1 / 3**0.5, 0], [0, 1 / 6**0.5, 1 / 2**0.5], [0, 0, 0]])
    once = a.T @ a
    mixing = torch.eye(3) + 2 * same_brand + 3 * links + 4 * links.T + 5 * once + 6 * once @ once
    torch.testing.assert_close(queries, mixing @ start)


def test_a_product_without_a_text_starts_from_its_identity_alone() -> None:
    text = torch.tensor([[1.0, 0], [0, 0], [0, 1]])
    net = QueryKeyNetwork(
        text,
        relations={},
        one_hop=frozenset(),
        dimension=2,
        layers=1,
        temperature=1.0,
        identity_dropout=0.0,
        rng=torch.Generator().manual_seed(0),
    )
    # The mean of the two texts is (1/2, 1/2); without it they point in opposite directions.
    half = 1 / 2**0.5
    torch.testing.assert_close(net.text, torch.tensor([[half, -half], [0, 0], [-half, half]]))


def test_a_score_is_the_cosine_over_the_temperature_plus_the_popularity_by_hand() -> None:
    net = network(2, {}, layers=1)
    with torch.no_grad():
        net.popularity.copy_(torch.tensor([0.5, -1.0]))
        users, products = net.factors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    # Cosines 0.6 and 0.8 over 0.1; a user without purchases gets the popularity.
    torch.testing.assert_close(users @ products.T, torch.tensor([[6.5, 7.0], [0.5, -1.0]]))


@settings(max_examples=60)
@given(histories(), st.integers(1, 9), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**32))
def test_a_pass_hides_pairs_of_the_steps_users_only_and_takes_every_user_once(
    bought: sparse.csr_array, batch_users: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    steps = list(hide_purchases(bought, share=share, batch_users=batch_users, rng=rng))
    assert sorted(np.concatenate([users for users, _ in steps])) == list(range(bought.shape[0]))
    for users, hidden in steps:
        kept, taken = without(bought, hidden), only(bought, hidden)
        assert ((kept + taken) != bought).nnz == 0
        assert kept.nnz + taken.nnz == bought.nnz
        assert set(taken.tocoo().row) <= set(users)
        assert taken.nnz == {0.0: 0, 1.0: bought[users].nnz}.get(share, taken.nnz)


def test_about_the_asked_share_is_hidden() -> None:
    bought = sparse.csr_array(np.ones((100, 100)))
    (step,) = hide_purchases(bought, share=0.3, batch_users=100, rng=np.random.default_rng(0))
    # 10,000 draws of probability 0.3 have a standard deviation of 46.
    assert step[1].sum() == pytest.approx(3000, abs=185)


def pairs(*columns: list[int]) -> torch.Tensor:
    return torch.tensor(columns, dtype=torch.int64).reshape(2, -1)


def loss_of(scores: torch.Tensor, *, known: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the loss of scores that are given: their factors are they themselves and 1."""
    return hidden_product_loss(scores, torch.eye(scores.shape[1], dtype=scores.dtype), known=known, wanted=wanted)


def test_with_one_wanted_product_each_the_loss_is_torchs_cross_entropy() -> None:
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([5, 0, 3, 3])
    found = loss_of(scores, known=pairs([], []), wanted=pairs([0, 1, 2, 3], wanted.tolist()))
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(scores, wanted))


def test_a_known_product_is_no_candidate() -> None:
    # User 0 has product 2 and user 1 products 0 and 1: cross entropy over the columns that are left.
    scores = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    found = loss_of(scores, known=pairs([0, 1, 1], [2, 0, 1]), wanted=pairs([0, 1], [1, 3]))
    first = torch.nn.functional.cross_entropy(scores[:1, [0, 1, 3]], torch.tensor([1]))
    second = torch.nn.functional.cross_entropy(scores[1:, [2, 3]], torch.tensor([1]))
    torch.testing.assert_close(found, (first + second) / 2)
    changed = scores.clone()
    changed[0, 2], changed[1, 0] = 100.0, -100.0
    again = loss_of(changed, known=pairs([0, 1, 1], [2, 0, 1]), wanted=pairs([0, 1], [1, 3]))
    torch.testing.assert_close(again, found)


def test_a_user_of_four_wanted_products_counts_twice_as_much_as_a_user_of_one() -> None:
    # All scores are equal, but for user 0's 5 candidates and user 1's 4: log 5 each, log 4.
    scores = torch.zeros(2, 5)
    known, wanted = pairs([1], [0]), pairs([0, 0, 0, 0, 1], [0, 1, 2, 3, 4])
    found = loss_of(scores, known=known, wanted=wanted)
    assert found.item() == pytest.approx((2 * np.log(5) + np.log(4)) / 3, rel=1e-6)


@pytest.mark.parametrize("block_scores", [1, 1_500_000])
@given(seed=st.integers(0, 10_000))
def test_the_loss_and_its_gradients_are_torchs_own(block_scores: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    factors = [torch.from_numpy(rng.normal(scale=2.0, size=(rows, 3))) for rows in (5, 7)]
    taken = rng.permutation(35)[:16]
    known, wanted = (torch.from_numpy(np.stack([part // 7, part % 7])) for part in (taken[:7], taken[7:]))
    ours, theirs = ([each.clone().requires_grad_() for each in factors] for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        # Two users a block, and all in one.
        patch.setattr(losses, "BLOCK_SCORES", block_scores)
        patch.setattr(losses, "LEAST_BLOCK", 2)
        found = hidden_product_loss(*ours, known=known, wanted=wanted)
    masked = (theirs[0] @ theirs[1].T).index_put((known[0], known[1]), torch.tensor(-torch.inf, dtype=torch.float64))
    weight = torch.bincount(wanted[0], minlength=5)[wanted[0]].double().rsqrt()
    expected = -(weight * torch.log_softmax(masked, dim=1)[wanted[0], wanted[1]]).sum() / weight.sum()
    torch.testing.assert_close(found, expected)
    for loss in (found, expected):
        (3.0 * loss).backward()
    torch.testing.assert_close([each.grad for each in ours], [each.grad for each in theirs])


def test_a_user_who_has_every_product_moves_nothing() -> None:
    scores = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = loss_of(scores, known=pairs([0, 0, 0], [0, 1, 2]), wanted=pairs([1], [2]))
    loss.backward()
    assert torch.isfinite(loss)
    assert scores.grad is not None
    assert not scores.grad[0].any()
    assert torch.isfinite(scores.grad).all()
