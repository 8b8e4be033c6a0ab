"""Says what the edge network did to one edge: where it started, the gate, and which features made the gate."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Literal

import torch
from captum.attr import IntegratedGradients
from jaxtyping import Float
from torch import Tensor

from gnn.candidates import BY_BASE, BY_NETWORK, ITSELF
from gnn.edge_file import ReadEdge
from gnn.edges import EdgeNetwork
from loaders.errors import InputError

Proposer = Literal["closed form", "network", "itself"]
PROPOSERS: dict[int, Proposer] = {BY_BASE: "closed form", BY_NETWORK: "network", ITSELF: "itself"}
FEWEST_STEPS, MOST_STEPS = 64, 16_384
EXACT = 1e-3
"""How far the features' parts may be from what they add up to."""

FLOAT_NOISE = 1e-4
"""How far, of its size, a stored weight may be from the model's: both are 32 bits, added up in another order."""


@dataclass(frozen=True)
class Feature:
    """A number that the gate read, and what it did."""

    name: str
    value: float
    """As it was read."""

    standard: float
    """The same in standard deviations from the mean of all edges that the gate learned from."""

    adds: float
    """Its part of log gate; it multiplies the gate by e to the power of this."""


@dataclass(frozen=True)
class Gate:
    """How an edge's weight came about: start · proposal · (unweighed + gate)."""

    proposed_by: Proposer
    """What found the edge: the closed form, the network alone, or that it leads to the product itself."""

    start: float
    """The closed form's B(j, i) times trend, the network's p(i | j), or the weight given to the product itself."""

    proposal: float
    """What the edges that only the network proposed are multiplied by; 1 for others."""

    unweighed: float
    """What the closed form's edges weigh of their start, whatever the gate; 0 for those of the network alone."""

    gate: float
    """exp(MLP(features))."""

    weight: float
    """The weight of the edge."""

    mean_gate: float
    """The gate of an edge of mean features; times e to the power of all parts of the features it is the gate."""

    features: tuple[Feature, ...]
    """All features, the largest part by absolute value first."""

    missing: float
    """log gate − log mean gate − the sum of the features' parts, at most :data:`EXACT` by absolute value."""


def gate_of(network: EdgeNetwork, edge: ReadEdge, *, stored: float, noise: float = 0.0) -> Gate:
    """Return what ``network`` did to ``edge``; raise if that is not the weight ``stored``, or its parts do not add up.

    ``noise`` is how far off ``stored`` may be beside :data:`FLOAT_NOISE`.

    The parts are Integrated Gradients (Sundararajan et al. 2017) of log gate, from the mean features to the edge's.
    """
    # The sum is checked, so in 64 bits.
    exact = copy.deepcopy(network).double().requires_grad_(requires_grad=False)
    features = torch.from_numpy(edge.features).double()[None]
    standard = (features - exact.mean) / exact.spread
    proposer = PROPOSERS[edge.proposed_by]
    proposal = math.exp(float(exact.log_proposal)) if proposer == "network" else 1.0
    log_gate, log_mean_gate = (float(exact.layers(each)) for each in (standard, torch.zeros_like(standard)))
    unweighed = 0.0 if proposer == "network" else float(exact.unweighed)
    weight = edge.start * proposal * (unweighed + math.exp(log_gate))
    if not math.isclose(weight, stored, rel_tol=FLOAT_NOISE, abs_tol=noise):
        raise InputError(
            f"the store has an edge of weight {stored:.6g} where the run's model makes it {weight:.6g}, so the two are "
            "not of one training; train again"
        )
    adds = _parts(exact, standard, total=log_gate - log_mean_gate)
    found = [
        Feature(name, float(value), float(away), float(part))
        for name, value, away, part in zip(edge.names, edge.features, standard[0], adds, strict=True)
    ]
    return Gate(
        proposed_by=proposer,
        start=edge.start,
        proposal=proposal,
        unweighed=unweighed,
        gate=math.exp(log_gate),
        weight=weight,
        mean_gate=math.exp(log_mean_gate),
        features=tuple(sorted(found, key=lambda feature: -abs(feature.adds))),
        missing=log_gate - log_mean_gate - float(adds.sum()),
    )


def _parts(network: EdgeNetwork, standard: Float[Tensor, "1 features"], *, total: float) -> Float[Tensor, " features"]:
    """Return Integrated Gradients of the MLP from 0, with as many steps as it takes to add up to ``total``."""
    gradients = IntegratedGradients(lambda features: network.layers(features).squeeze(1))
    steps = FEWEST_STEPS
    while True:
        parts, missing = gradients.attribute(
            standard, torch.zeros_like(standard), n_steps=steps, return_convergence_delta=True
        )
        if max(abs(float(missing)), abs(total - float(parts.sum()))) <= EXACT:
            found: Tensor = parts[0]
            return found
        if steps >= MOST_STEPS:
            raise InputError(
                f"the parts of a gate add up to {float(parts.sum()):.6g} and not to {total:.6g} with {steps} "
                "steps; leave out --inside, and report the run"
            )
        steps *= 4
