"""What the gate did to an edge, against the edge network's own weights and a linear gate worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.candidates import BY_BASE, BY_NETWORK, ITSELF, Candidates
from gnn.edge_file import ReadEdge
from gnn.edges import EdgeNetwork, FittedEdges
from gnn.inside_gate import EXACT, gate_of
from loaders.errors import InputError

NAMES = ("near", "walk", "together")


def read_edge(features: np.ndarray, *, start: float, by: int) -> ReadEdge:
    return ReadEdge(start=start, proposed_by=by, features=features.astype(np.float32), names=NAMES)


def network_of(*, seed: int, size: float) -> EdgeNetwork:
    """Return an edge network with drawn weights; ``size`` is that of its last layer."""
    rng = torch.Generator().manual_seed(seed)
    network = EdgeNetwork(torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 0.1, 3.0]), hidden=8, rng=rng)
    last = network.layers[4]
    with torch.no_grad():
        last.weight.copy_(size * torch.randn(last.weight.shape, generator=rng))
        last.bias.fill_(0.3)
        network.log_proposal.fill_(-2.0)
        network.unweighed.fill_(0.75)
    return network


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 0.3, 1.0]), st.sampled_from([BY_BASE, BY_NETWORK, ITSELF]))
def test_start_times_proposal_times_what_is_left_and_the_gate_is_the_networks_weight_and_the_parts_add_up(
    seed: int, size: float, by: int
) -> None:
    network = network_of(seed=seed, size=size)
    features = np.random.default_rng(seed).normal(scale=4.0, size=3).astype(np.float32)
    start = -0.25 if by == BY_BASE else 0.25
    alone = Candidates(
        first=np.array([0, 1]), target=np.zeros(1, dtype=np.int32), start=np.array([start], dtype=np.float32),
        proposed_by=np.array([by], dtype=np.int8), shares={}, features=features[None], names=NAMES,
    )  # fmt: skip
    weight = float(FittedEdges(network, NAMES).weights(alone)[0])
    # Of 32 bits, no number is nearer 0 than this but 0.
    gate = gate_of(network, read_edge(features, start=start, by=by), stored=weight, noise=1e-37)
    assert gate.weight == pytest.approx(weight, rel=1e-4)
    assert gate.start * gate.proposal * (gate.unweighed + gate.gate) == pytest.approx(gate.weight)
    assert gate.unweighed == (0.0 if by == BY_NETWORK else 0.75)
    assert gate.proposal == pytest.approx(math.exp(-2.0) if by == BY_NETWORK else 1.0)
    total = sum(feature.adds for feature in gate.features)
    assert math.log(gate.gate) == pytest.approx(math.log(gate.mean_gate) + total, abs=EXACT)
    assert abs(gate.missing) <= EXACT
    sizes = [abs(feature.adds) for feature in gate.features]
    assert sizes == sorted(sizes, reverse=True)


def linear_gate(network: EdgeNetwork) -> EdgeNetwork:
    """Return the network with log gate = 0.3 + 2 · standardised near − standardised together, and no bend in it."""
    network.layers = torch.nn.Sequential(torch.nn.Linear(3, 1))
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.tensor([[2.0, 0.0, -1.0]]))
        network.layers[0].bias.fill_(0.3)
    return network


def test_the_parts_of_a_linear_gate_by_hand() -> None:
    # Standardised: (1.5 - 0.5) / 1, (-1 + 1) / 0.1, (5 - 2) / 3.
    edge = read_edge(np.array([1.5, -1.0, 5.0]), start=2.0, by=BY_BASE)
    gate = gate_of(linear_gate(network_of(seed=0, size=1.0)), edge, stored=2.0 * (0.75 + math.exp(1.3)))
    assert gate.mean_gate == pytest.approx(math.exp(0.3))
    assert [(each.name, each.value) for each in gate.features] == [("near", 1.5), ("together", 5.0), ("walk", -1.0)]
    assert [each.standard for each in gate.features] == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)
    assert [each.adds for each in gate.features] == pytest.approx([2.0, -1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "stored"),
    [(lambda edge: edge, 1.5), (lambda edge: replace(edge, start=edge.start * 1.01), 2.0 * (0.75 + math.exp(1.3)))],
)
def test_a_stored_weight_that_is_not_the_models_is_refused(
    change: Callable[[ReadEdge], ReadEdge], stored: float
) -> None:
    edge = change(read_edge(np.array([1.5, -1.0, 5.0]), start=2.0, by=BY_BASE))
    with pytest.raises(InputError, match=r"the store has an edge of weight .* not of one training; train again"):
        gate_of(linear_gate(network_of(seed=0, size=1.0)), edge, stored=stored)


def test_a_weight_that_shares_cancel_out_to_may_be_off_by_their_noise() -> None:
    edge = read_edge(np.array([1.5, -1.0, 5.0]), start=2.0, by=BY_BASE)
    network = linear_gate(network_of(seed=0, size=1.0))
    weight = 2.0 * (0.75 + math.exp(1.3))
    assert gate_of(network, edge, stored=weight + 0.01, noise=0.02).weight == pytest.approx(weight)
    with pytest.raises(InputError, match="not of one training"):
        gate_of(network, edge, stored=weight + 0.03, noise=0.02)


def test_parts_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # A gate with a step in it, whose gradient is 0 wherever it is looked at.
    class Step(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return (features[:, :1] > 0.5).to(features) + 0.0 * features.sum()

    monkeypatch.setattr("gnn.inside_gate.MOST_STEPS", 64)
    network = network_of(seed=0, size=1.0)
    network.layers = torch.nn.Sequential(Step())
    edge = read_edge(np.array([1.5, -1.0, 5.0]), start=2.0, by=BY_BASE)
    with pytest.raises(InputError, match="the parts of a gate add up to 0 and not to 1 with 64 steps"):
        gate_of(network, edge, stored=2.0 * (0.75 + math.e))
