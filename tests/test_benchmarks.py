"""Benchmarks that run for hours begin at all: the same, in seconds."""

from __future__ import annotations

import re

import pytest

from benchmarks.edge_steps import EdgeSteps, edge_steps
from benchmarks.sampled_training import SampledTraining, sampled_training


def test_training_on_sampled_neighbourhoods_is_measured() -> None:
    found = sampled_training(
        SampledTraining(millions=0.002, products=50, steps=2, batch_users=20, num_neighbors=(3, 2))
    )
    assert re.search(r"2 steps of 20 users over neighbourhoods sampled by .*, 3-2 along each edge type in", found)


def test_both_ways_to_make_a_step_of_the_edge_network_have_the_same_loss() -> None:
    found = edge_steps(EdgeSteps(products=60, edges=9, users=12, purchases=3, steps=3, rounds=1))
    plain, ours = (float(each) for each in re.findall(r"\d+\.\d{5}", found))
    assert plain == pytest.approx(ours, rel=1e-4)
