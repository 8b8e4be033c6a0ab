"""Draws places out of many ranges of an array at once, with or without replacement."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

ALL = -1
"""As a number of places to draw: all of the range."""


def drawn_places(
    first: Int[np.ndarray, " ranges"],
    count: Int[np.ndarray, " ranges"],
    *,
    most: int,
    replace: bool,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " drawn"], Int[np.ndarray, " ranges"]]:
    """Draw ``most`` of the ``count`` places from ``first`` on of each range; return them, and how many of each.

    Without replacement a range of no more than ``most`` places gives each once, and a larger one every subset with the
    same chance; with replacement each range that has any gives ``most``, independent and all equally likely.
    """
    if most == ALL:
        taken = count
    elif replace:
        taken = np.where(count > 0, most, 0)
    else:
        taken = np.minimum(count, most)
    begin = np.cumsum(taken) - taken
    if replace and most != ALL:
        within = rng.integers(0, np.repeat(count, taken))
    else:
        within = np.arange(taken.sum()) - np.repeat(begin, taken)
        large = np.flatnonzero(count > taken)
        if len(large) and most:
            within[begin[large] + np.arange(most)[:, None]] = subsets(count[large], size=most, rng=rng)
    return np.repeat(first, taken) + within, taken


def subsets(
    count: Int[np.ndarray, " ranges"], *, size: int, rng: np.random.Generator
) -> Int[np.ndarray, "size ranges"]:
    """Draw ``size`` different numbers below each ``count`` (all at least ``size``), every subset with the same chance.

    Floyd's algorithm (Bentley and Floyd 1987, "A sample of brilliance"), all ranges a step at a time: the draw below
    ``last`` + 1 is taken unless it was taken before, and then ``last`` is, which cannot have been.
    """
    chosen = np.empty((size, len(count)), dtype=np.int64)
    for step in range(size):
        last = count - size + step
        drawn = rng.integers(0, last, endpoint=True)
        again = (chosen[:step] == drawn).any(axis=0)
        chosen[step] = np.where(again, last, drawn)
    return chosen


def first_not_below(
    values: Int[np.ndarray, " values"],
    bound: Int[np.ndarray, " ranges"],
    *,
    first: Int[np.ndarray, " ranges"],
    stop: Int[np.ndarray, " ranges"],
) -> Int[np.ndarray, " ranges"]:
    """Return, for each range of ``values`` (sorted within it), the place of the first that is not below its bound.

    That is ``stop`` where all are below. A binary search in all ranges at once.
    """
    low, high = first.copy(), stop.copy()
    searched = np.flatnonzero(low < high)
    while len(searched):
        middle = (low[searched] + high[searched]) // 2
        below = values[middle] < bound[searched]
        low[searched[below]] = middle[below] + 1
        high[searched[~below]] = middle[~below]
        searched = searched[low[searched] < high[searched]]
    return low
