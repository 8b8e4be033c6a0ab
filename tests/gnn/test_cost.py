"""A block's cost is its own: its seconds, and a peak of memory that earlier blocks have no part in."""

from __future__ import annotations

import time

import numpy as np

from gnn.cost import costed

MILLION = 1_000_000


def test_the_peak_of_a_block_is_its_own_and_not_that_of_an_earlier_one() -> None:
    with costed() as large:
        assert np.ones(40 * MILLION).sum() == 40 * MILLION
    with costed() as small:
        assert np.ones(MILLION).sum() == MILLION
    assert large.memory_mb - small.memory_mb > 250


def test_seconds_are_those_of_the_block() -> None:
    with costed() as cost:
        time.sleep(0.05)
    assert 0.05 <= cost.seconds < 1.0
