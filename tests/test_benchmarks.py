"""Benchmarks that run for hours begin at all: the same, in seconds."""

from __future__ import annotations

import re

from benchmarks.sampled_training import SampledTraining, sampled_training


def test_training_on_sampled_neighbourhoods_is_measured() -> None:
    found = sampled_training(
        SampledTraining(millions=0.002, products=50, steps=2, batch_users=20, num_neighbors=(3, 2))
    )
    assert re.search(r"2 steps of 20 users over neighbourhoods sampled by .*, 3-2 along each edge type in", found)
