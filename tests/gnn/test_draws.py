"""Draws out of many ranges: every subset as likely as every other, by chi-square, and searches as numpy's own."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from gnn.draws import ALL, drawn_places, first_not_below, subsets

TRIALS = 20_000
UNLIKELY = 1e-3
"""The seed is fixed: a test that passes once passes ever after."""


@pytest.mark.parametrize(("count", "size"), [(5, 2), (6, 3), (4, 1), (4, 3), (3, 3)])
def test_every_subset_is_equally_likely(count: int, size: int) -> None:
    chosen = subsets(np.full(TRIALS, count), size=size, rng=np.random.default_rng(1))
    found = dict.fromkeys(combinations(range(count), size), 0)
    for column in np.sort(chosen, axis=0).T:
        found[tuple(column.tolist())] += 1
    assert sum(found.values()) == TRIALS
    assert len(found) == 1 or chisquare(list(found.values())).pvalue > UNLIKELY


def test_the_chi_square_here_would_find_a_subset_that_is_a_fifth_too_likely() -> None:
    expected = np.full(10, TRIALS / 10)
    expected[0] *= 1.2
    assert chisquare(expected * TRIALS / expected.sum()).pvalue < UNLIKELY


def test_with_replacement_every_sequence_is_equally_likely() -> None:
    first, count = np.arange(TRIALS) * 3, np.full(TRIALS, 3)
    places, taken = drawn_places(first, count, most=2, replace=True, rng=np.random.default_rng(2))
    assert taken.tolist() == [2] * TRIALS
    found = dict.fromkeys(product(range(3), repeat=2), 0)
    for pair in (places.reshape(TRIALS, 2) - first[:, None]).tolist():
        found[tuple(pair)] += 1
    assert chisquare(list(found.values())).pvalue > UNLIKELY


ranges = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 8)), max_size=12)


@given(ranges=ranges, most=st.integers(-1, 9), replace=st.booleans(), seed=st.integers(0, 99))
def test_a_range_gives_as_many_of_its_own_places_as_asked(
    *, ranges: list[tuple[int, int]], most: int, replace: bool, seed: int
) -> None:
    first, count = np.array(ranges, dtype=np.int64).reshape(-1, 2).T
    rng = np.random.default_rng(seed)
    places, taken = drawn_places(first, count, most=most, replace=replace, rng=rng)
    assert len(places) == taken.sum()
    parts = np.split(places, np.cumsum(taken)[:-1]) if len(taken) else []
    for begin, length, part in zip(first, count, parts, strict=True):
        assert all(begin <= place < begin + length for place in part)
        if most == ALL or (not replace and length <= most):
            assert part.tolist() == list(range(begin, begin + length))
        elif replace:
            assert len(part) == (most if length else 0)
        else:
            assert len(part) == most
            assert len(set(part.tolist())) == most


@given(
    parts=st.lists(st.lists(st.integers(-5, 5), max_size=9), max_size=9),
    bounds=st.lists(st.integers(-7, 7), min_size=9, max_size=9),
)
def test_the_search_in_all_ranges_finds_what_numpys_finds_in_each(parts: list[list[int]], bounds: list[int]) -> None:
    values = np.array([value for part in parts for value in sorted(part)], dtype=np.int64)
    stop = np.cumsum([len(part) for part in parts], dtype=np.int64)
    first = stop - np.array([len(part) for part in parts], dtype=np.int64)
    bound = np.array(bounds[: len(parts)], dtype=np.int64)
    expected = [
        begin + np.searchsorted(values[begin:end], each) for begin, end, each in zip(first, stop, bound, strict=True)
    ]
    assert first_not_below(values, bound, first=first, stop=stop).tolist() == expected
