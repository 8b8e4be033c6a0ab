"""Benchmarks that run for hours begin at all: the same, in seconds."""

from __future__ import annotations

import re

import pytest

from benchmarks.edge_steps import EdgeSteps, edge_steps
from benchmarks.peers import PeersConfig, peers_of
from benchmarks.sampled_training import SampledTraining, sampled_training
from loaders.errors import InputError


def test_training_on_sampled_neighbourhoods_is_measured() -> None:
    found = sampled_training(
        SampledTraining(millions=0.002, products=50, steps=2, batch_users=20, num_neighbors=(3, 2))
    )
    assert re.search(r"2 steps of 20 users over neighbourhoods sampled by .*, 3-2 along each edge type in", found)


def test_both_ways_to_make_a_step_of_the_edge_network_have_the_same_loss() -> None:
    found = edge_steps(EdgeSteps(products=60, edges=9, users=12, purchases=3, steps=3, rounds=1))
    plain, ours = (float(each) for each in re.findall(r"\d+\.\d{5}", found))
    assert plain == pytest.approx(ours, rel=1e-4)


def test_peers_are_chosen_by_library_and_model_and_a_name_that_none_has_is_refused() -> None:
    asked = PeersConfig(library=("RecBole", "Cartograph"), model=("LightGCN", "graph network"))
    assert {(peer.library, peer.model) for peer in peers_of(asked)} == {
        ("RecBole", "LightGCN"),
        ("Cartograph", "graph network"),
    }
    with pytest.raises(InputError, match=r"no model 'Light' of these libraries; there are .*LightGCN"):
        peers_of(PeersConfig(library=("RecBole",), model=("Light",)))
