"""Training on sampled neighbourhoods: with all neighbours and all products drawn it is training on the full graph."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from torch_geometric.data import HeteroData

from gnn.config import NetworkConfig
from gnn.fit import fit_network, only, without
from gnn.losses import hidden_product_loss, sampled_product_loss
from gnn.network import BOUGHT, Relation, adjacency, as_tensor
from gnn.pyg_lib import pyg_lib_installed
from gnn.sampled_steps import SampledSteps
from tests.gnn.networks import CPU, Kind, few_purchases, network_of


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


def _history(shop: HeteroData) -> sparse.csr_array:
    bought = adjacency(shop, BOUGHT)
    bought.data = np.random.default_rng(3).uniform(0.5, 2.0, bought.nnz).astype(np.float32)
    return bought


def _pairs(matrix: sparse.csr_array) -> torch.Tensor:
    found = matrix.tocoo()
    return torch.from_numpy(np.stack([found.row, found.col]).astype(np.int64))


def steps_of(
    shop: HeteroData, num_neighbors: tuple[int, ...], *, hidden_share: float, batch_users: int, negatives: int
) -> SampledSteps:
    config = NetworkConfig(num_neighbors=num_neighbors, hidden_share=hidden_share, negatives=negatives)
    return SampledSteps.over(shop, _history(shop), config=config, batch_users=batch_users)


@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_with_all_neighbours_and_all_products_a_step_is_one_of_the_full_graph(shop: HeteroData, kind: Kind) -> None:
    network, history = network_of(shop, kind), _history(shop)
    num_users, num_products = history.shape
    config = NetworkConfig(kind=kind, num_neighbors=(-1, -1), hidden_share=0.3, negatives=num_products)
    steps = SampledSteps.over(shop, history, config=config, batch_users=num_users)
    (batch,) = steps.batches(np.random.default_rng(4))
    (found,) = steps.losses(network, batch)
    # The draws of the step: an order of the users that does not matter here, then which pairs are hidden.
    rng = np.random.default_rng(4)
    rng.permutation(num_users)
    hidden = rng.random(history.nnz) < 0.3
    queries, keys = network(Relation.of(without(adjacency(shop, BOUGHT), hidden), CPU))
    profile = as_tensor(without(history, hidden), CPU) @ queries
    wanted = hidden_product_loss(
        *network.factors(profile, keys), known=_pairs(without(history, hidden)), wanted=_pairs(only(history, hidden))
    )
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    expected = torch.autograd.grad(wanted, list(network.parameters()), allow_unused=True)
    gradient = torch.autograd.grad(found, list(network.parameters()), allow_unused=True)
    for one, other in zip(gradient, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_the_mean_over_draws_of_the_compared_sum_is_the_whole_one() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(1, 40)))
    known, wanted = torch.tensor([[0, 0], [3, 7]]), torch.tensor([[0], [11]])
    whole = hidden_product_loss(scores, torch.eye(40, dtype=scores.dtype), known=known, wanted=wanted)
    sums = [
        torch.exp(
            sampled_product_loss(
                scores,
                torch.eye(40, dtype=scores.dtype),
                known=known,
                wanted=wanted,
                drawn=torch.from_numpy(rng.permutation(40)[:10]),
                num_products=40,
            )
        )
        for _ in range(3000)
    ]
    # exp(loss) = sum / exp(own score), and the estimate of the sum has no bias.
    assert float(torch.stack(sums).mean()) == pytest.approx(float(whole.exp()), rel=0.02)


@pytest.mark.parametrize("size", [1.0, 60.0])
def test_a_wanted_product_is_compared_with_all_that_was_drawn_but_itself_and_what_she_has(size: float) -> None:
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(size * rng.normal(size=(3, 12)).astype(np.float32)).requires_grad_()
    drawn = [1, 4, 7, 8, 10]
    # The first user has and wants what was drawn; of all that was drawn there is nothing that the last has not.
    known = torch.tensor([[0, 0, 2, 2, 2, 2, 2], [4, 5, 1, 4, 7, 8, 10]])
    pairs = [(0, 1), (0, 2), (0, 7), (1, 10), (2, 3)]
    wanted = torch.tensor(pairs).T
    each = []
    for user, product in pairs:
        bought = known[1][known[0] == user].tolist()
        rivals = [scores[user, other] for other in drawn if other != product and other not in bought]
        # 30 products, of whom 5 were drawn: each stands for 6.
        logits = torch.stack([scores[user, product], *(rival + math.log(6.0) for rival in rivals)])
        # A user of n wanted products counts sqrt(n) times in all.
        each.append((torch.logsumexp(logits, 0) - scores[user, product]) / math.sqrt({0: 3, 1: 1, 2: 1}[user]))
    expected = torch.stack(each).sum() / (math.sqrt(3) + 1 + 1)
    found = sampled_product_loss(
        scores, torch.eye(12), known=known, wanted=wanted, drawn=torch.tensor(drawn), num_products=30
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    ours, theirs = (torch.autograd.grad(loss, scores, retain_graph=True)[0] for loss in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_hidden_purchases_are_in_no_neighbourhood(shop: HeteroData) -> None:
    steps = steps_of(shop, (-1, -1), hidden_share=0.5, batch_users=10, negatives=5)
    users, products = (ends[:20] for ends in adjacency(shop, BOUGHT).tocoo().coords)
    batch = steps._neighbourhood(np.unique(products), hidden_users=users, hidden_products=products, seed=0)
    whole = steps._neighbourhood(np.unique(products), hidden_users=users[:0], hidden_products=products[:0], seed=0)
    hidden = set(zip(users.tolist(), products.tolist(), strict=True))

    def pairs(data: HeteroData) -> set[tuple[int, int]]:
        source, target = data[BOUGHT].edge_index
        return set(zip(data["user"].n_id[source].tolist(), data["product"].n_id[target].tolist(), strict=True))

    assert hidden <= pairs(whole)
    assert pairs(batch) == pairs(whole) - hidden


def test_steps_over_all_products_of_a_small_shop_draw_other_neighbours_each_time(shop: HeteroData) -> None:
    steps = steps_of(shop, (1, 1), hidden_share=0.5, batch_users=200, negatives=shop["product"].num_nodes)
    rng = np.random.default_rng(0)
    batches = [batch for _ in range(3) for batch in steps.batches(rng)]
    none = np.zeros(0, dtype=np.int64)
    drawn = [
        steps._neighbourhood(np.sort(batch.drawn), hidden_users=none, hidden_products=none, seed=batch.seed)
        for batch in batches
    ]
    assert len({tuple(around["user"].n_id.tolist()) for around in drawn}) == len(batches)


def test_few_neighbours_and_products_still_learn(shop: HeteroData) -> None:
    network = network_of(shop, "sage")
    network.train()
    steps = steps_of(shop, (4, 3), hidden_share=0.3, batch_users=40, negatives=20)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(12):
        losses = []
        for batch in steps.batches(rng):
            (loss,) = steps.losses(network, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        means.append(np.mean(losses))
    assert means[-1] < 0.9 * means[0]


def test_every_user_is_in_one_step_of_a_pass(shop: HeteroData) -> None:
    steps = steps_of(shop, (2, 2), hidden_share=0.5, batch_users=50, negatives=7)
    batches = list(steps.batches(np.random.default_rng(0)))
    assert sorted(user for batch in batches for user in batch.users.tolist()) == list(range(steps.history.shape[0]))
    assert all(len(np.unique(batch.drawn)) == 7 for batch in batches)


def test_all_neighbours_are_called_all(shop: HeteroData) -> None:
    steps = steps_of(shop, (-1, 3), hidden_share=0.5, batch_users=50, negatives=7)
    assert steps.in_words.endswith(", all-3 along each edge type")


def test_a_network_is_fitted_on_sampled_neighbourhoods_and_says_so(shop: HeteroData) -> None:
    config = NetworkConfig(kind="sage", dimension=8, num_neighbors=(4, 3), negatives=20, max_epochs=2)
    fitted = fit_network(shop, _history(shop), config=config, device=CPU, seed=0, epochs=2)
    again = fit_network(shop, _history(shop), config=config, device=CPU, seed=0, epochs=2)
    engine = "pyg-lib" if pyg_lib_installed() else "numpy"
    assert fitted.propagated == f"over neighbourhoods sampled by {engine}, 4-3 along each edge type"
    assert fitted.keys.shape == (shop["product"].num_nodes, 8)
    assert np.array_equal(fitted.keys, again.keys)
