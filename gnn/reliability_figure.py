"""Draws how far probabilities can be believed: what was bought against what they had said."""

from __future__ import annotations

from matplotlib.figure import Figure

from gnn.calibration import Reliability

COLOUR = "darkorange"


def reliability_figure(reliability: Reliability, *, name: str) -> Figure:
    """Return the reliability curve of ``name``, beside the line on which it would be as good as its word."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    expected = [100 * each.expected for each in reliability.curve]
    bought = [100 * each.bought for each in reliability.curve]
    axes.plot(expected, bought, marker="o", color=COLOUR, label=name)
    end = max(*expected, *bought, 0.0)
    axes.plot([0, end], [0, end], color="grey", linewidth=1, label="as good as its word")
    axes.set_xlabel("probability by the score, percent (calibrated on validation)")
    axes.set_ylabel("bought in the test part, percent")
    axes.legend()
    return figure
