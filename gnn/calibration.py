"""Turns scores into probabilities of a purchase, and measures how far such probabilities can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from sklearn.isotonic import IsotonicRegression

from gnn.metrics import hits
from gnn.ranking import Ranked
from loaders.errors import InputError


@dataclass(frozen=True)
class Calibration:
    """A curve that never falls, from scores to probabilities: straight between its points, level outside them."""

    scores: tuple[float, ...]
    """Where the curve has its points, rising."""

    probabilities: tuple[float, ...]
    """The probability at each of them."""

    def probability(self, scores: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
        """Return the probability that each pair is bought within a time like that of the validation part."""
        found: np.ndarray = np.interp(scores, self.scores, self.probabilities)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the curve as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the curve that :meth:`to_json` wrote, before or after JSON."""
        return cls(scores=tuple(values["scores"]), probabilities=tuple(values["probabilities"]))


@dataclass(frozen=True)
class Bin:
    """Pairs of nearly the same probability: one point of a reliability curve."""

    pairs: int

    expected: float
    """Mean of their probabilities."""

    bought: float
    """The share of them that was bought."""


@dataclass(frozen=True)
class Reliability:
    """How well probabilities agree with what was bought."""

    curve: tuple[Bin, ...]

    error: float
    """Expected calibration error: mean over pairs of |expected - bought| of their bin (Naeini et al. 2015)."""

    brier: float
    """Mean of (probability - bought)², bought being 0 or 1 (Brier 1950)."""

    brier_of_base_rate: float
    """The same for who gives every pair the share that was bought: above it, the probabilities say nothing."""


def listed_pairs(
    ranked: Ranked, relevant: sparse.csr_array
) -> tuple[Float[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]:
    """Return the score of each pair of user and product in the lists, and whether it is relevant.

    All users' lists count, also of those who bought nothing: a probability that left them out would be too high.
    """
    filled = ranked.products >= 0
    return ranked.scores[filled].astype(np.float64), hits(ranked.products, relevant)[filled]


def fit_calibration(scores: Float[np.ndarray, " pairs"], relevant: Bool[np.ndarray, " pairs"]) -> Calibration:
    """Return the curve fitted by isotonic regression (Zadrozny and Elkan 2002) to pairs of the validation part.

    It holds for pairs like these, which stand in lists of the same length, and for a time as long as theirs.
    """
    if not len(scores):
        raise InputError(
            "no list holds a product, so scores cannot be calibrated; give more purchases before validation"
        )
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, relevant.astype(np.float64))
    return Calibration(scores=tuple(fitted.X_thresholds_.tolist()), probabilities=tuple(fitted.y_thresholds_.tolist()))


def reliability(
    probabilities: Float[np.ndarray, " pairs"], relevant: Bool[np.ndarray, " pairs"], *, num_bins: int = 10
) -> Reliability:
    """Return the reliability curve of at least one pair, in at most ``num_bins`` bins of as many pairs as ties allow.

    Bins of equal width would put nearly all pairs into the first one, purchases being rare. On the pairs that a
    calibration was fitted to the error is about 0 by construction: measure on others.
    """
    bought = relevant.astype(np.float64)
    inner = np.unique(np.quantile(probabilities, np.arange(1, num_bins) / num_bins))
    number = np.searchsorted(inner, probabilities, side="left")
    pairs = np.bincount(number)
    curve = tuple(
        Bin(
            pairs=int(pairs[each]),
            expected=float(probabilities[number == each].mean()),
            bought=float(bought[number == each].mean()),
        )
        for each in np.flatnonzero(pairs)
    )
    return Reliability(
        curve=curve,
        error=sum(each.pairs * abs(each.expected - each.bought) for each in curve) / len(bought),
        brier=float(((probabilities - bought) ** 2).mean()),
        brier_of_base_rate=float(bought.var()),
    )
