"""What spares memory in training leaves the training as it is: exactly, up to float noise, or in the mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from gnn.checkpoint import Checkpoint, EpochRecord
from gnn.config import NetworkConfig
from gnn.fit import FittedNetwork, fit_network, make_network
from gnn.message_passing import MessagePassingNetwork
from gnn.network import BOUGHT, ProductNetwork, Relation, adjacency
from gnn.sampled_steps import SampledSteps
from tests.gnn.networks import CPU, few_purchases

Kind = Literal["linear", "sage", "hgt"]
SAMPLED: dict[str, Any] = {"kind": "sage", "num_neighbors": (4, 3), "negatives": 30}


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


def fit(shop: HeteroData, *, epochs: int = 2, **options: Any) -> tuple[FittedNetwork, list[float]]:
    """Return a small network and the mean loss of each of its epochs."""
    records: list[EpochRecord] = []
    fitted = fit_network(
        shop,
        adjacency(shop, BOUGHT),
        config=NetworkConfig(dimension=8, **options),
        device=CPU,
        seed=3,
        epochs=epochs,
        checkpoint=Checkpoint("fit", record=records.append),
    )
    return fitted, [each.loss for each in records]


def untrained(shop: HeteroData, **options: Any) -> ProductNetwork:
    return make_network(shop, NetworkConfig(dimension=8, **options), device=CPU, seed=3)


def gradients(network: ProductNetwork) -> dict[str, Tensor]:
    found = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
    return {name: (each.to_dense() if each.is_sparse else each).float() for name, each in found.items()}


@pytest.mark.parametrize("kind", ["linear", "sage", "hgt"])
def test_in_bfloat16_the_losses_are_nearly_those_in_32_bits(shop: HeteroData, kind: Kind) -> None:
    _, plain = fit(shop, kind=kind)
    fitted, losses = fit(shop, kind=kind, precision="bfloat16")
    assert losses != plain
    # A number has 8 binary places in bfloat16: 0.4 %.
    assert losses == pytest.approx(plain, rel=0.01)
    assert {each.dtype for each in fitted.weights.values()} == {torch.float32}


def test_only_training_is_in_16_bits(shop: HeteroData) -> None:
    plain, half = (untrained(shop, kind="sage", precision=each) for each in ("float32", "bfloat16"))
    bought = Relation.of(adjacency(shop, BOUGHT), CPU)
    with torch.no_grad():
        for one, other in zip(plain.eval()(bought), half.eval()(bought), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["linear", "sage", "hgt"])
def test_parts_one_after_the_other_make_the_steps_of_one(shop: HeteroData, kind: Kind) -> None:
    whole, losses = fit(shop, kind=kind)
    parts, of_parts = fit(shop, kind=kind, accumulate=3)
    assert of_parts == pytest.approx(losses, rel=1e-5)
    for name, weight in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], weight, rtol=1e-3, atol=1e-3)


def test_more_parts_than_users_are_as_one(shop: HeteroData) -> None:
    _, losses = fit(shop, epochs=1, batch_users=2)
    _, of_parts = fit(shop, epochs=1, batch_users=2, accumulate=5)
    assert of_parts == pytest.approx(losses, rel=1e-5)


def sampled(shop: HeteroData, network: ProductNetwork, *, parts: int, **options: Any) -> float:
    """Have the network the gradients of the first sampled step, and return its loss."""
    history = adjacency(shop, BOUGHT)
    config = NetworkConfig(**{"hidden_share": 0.3, **SAMPLED, **options})
    steps = SampledSteps.over(shop, history, config=config, batch_users=50)
    assert isinstance(network, MessagePassingNetwork)
    losses = []
    for loss in steps.losses(network, next(steps.batches(np.random.default_rng(4))), parts=parts):
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(loss.detach()))
    return sum(losses)


def test_of_sampled_steps_parts_are_exact_with_all_neighbours_and_without_dropout(shop: HeteroData) -> None:
    options = {"kind": "sage", "identity_dropout": 0.0, "num_neighbors": (-1, -1), "negatives": 10_000}
    whole, parts = (untrained(shop, **options) for _ in range(2))
    assert sampled(shop, parts, parts=4, **options) == pytest.approx(sampled(shop, whole, parts=1, **options), rel=1e-5)
    for one, other in zip(gradients(parts).values(), gradients(whole).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("table", ["cpu", "float16"])
def test_the_sparse_gradient_of_a_table_is_the_dense_one(shop: HeteroData, table: str) -> None:
    plain, apart = untrained(shop, **SAMPLED), untrained(shop, **SAMPLED, table=table)
    with torch.no_grad():
        # What both can hold.
        plain.identity.copy_(plain.identity.half())
    for parts in (1, 3):
        plain.rng.manual_seed(1), apart.rng.manual_seed(1)
        plain.zero_grad(), apart.zero_grad()
        assert sampled(shop, apart, parts=parts) == pytest.approx(sampled(shop, plain, parts=parts), rel=1e-4)
        for table_of in (apart.identity, apart.popularity):
            assert table_of.grad is not None
            assert table_of.grad.is_sparse
            assert table_of.grad.dtype == torch.float32
        of_plain = gradients(plain)
        for name, gradient in gradients(apart).items():
            torch.testing.assert_close(gradient, of_plain[name], rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("table", ["cpu", "float16"])
def test_a_network_whose_table_is_kept_apart_learns_as_well(shop: HeteroData, table: str) -> None:
    _, plain = fit(shop, epochs=6, **SAMPLED)
    fitted, losses = fit(shop, epochs=6, **SAMPLED, table=table)
    assert losses[-1] < losses[0]
    assert losses == pytest.approx(plain, rel=0.02)
    assert fitted.weights["identity"].dtype == (torch.float16 if table == "float16" else torch.float32)
    again = untrained(shop, **SAMPLED, table=table)
    again.load_state_dict(fitted.weights)
    with torch.no_grad():
        queries, _ = again.eval()(Relation.of(adjacency(shop, BOUGHT), CPU))
    assert np.array_equal(queries.numpy(), fitted.queries)


@pytest.mark.parametrize("kind", ["linear", "sage", "hgt"])
def test_what_is_computed_again_has_the_same_gradients_and_keeps_less(shop: HeteroData, kind: Kind) -> None:
    bought = Relation.of(adjacency(shop, BOUGHT), CPU)
    found, kept = [], []
    for recompute in (False, True):
        network = untrained(shop, kind=kind, recompute=recompute, identity_dropout=0.5)
        numbers: list[int] = []

        def count(tensor: Tensor, numbers: list[int] = numbers) -> Tensor:
            numbers.append(tensor.numel() if tensor.layout == torch.strided else 0)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            queries, keys = network(bought)
        kept.append(sum(numbers))
        (queries.square().sum() + keys[:, 0].sum()).backward()
        found.append(gradients(network))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert kept[1] < 0.7 * kept[0]


def test_computing_again_changes_no_bit_of_a_training(shop: HeteroData) -> None:
    config = replace(NetworkConfig(), **SAMPLED)
    assert config.num_neighbors
    whole, losses = fit(shop, **SAMPLED)
    again, of_again = fit(shop, **SAMPLED, recompute=True)
    assert losses == of_again
    assert all(torch.equal(again.weights[name], whole.weights[name]) for name in whole.weights)
