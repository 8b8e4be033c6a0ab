"""Draws a benchmark: the comparison, the slices, the ablation, and how far scores can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from gnn.comparison import ABLATION, TABLE, Benchmark, ModelRow
from gnn.evaluate import OURS
from gnn.measured import MEASURE, Measured
from gnn.metrics import Mean
from gnn.reliability_figure import reliability_figure

OWN, OTHER = "darkorange", "steelblue"


def figures(benchmark: Benchmark) -> dict[str, Figure]:
    """Return the figures that there are rows for, by the names of their files."""
    table = benchmark.group(TABLE)
    drawn = {"comparison": bars(table, title="test"), "slices": slices(table)} if table else {}
    for group in benchmark.groups:
        if group.startswith(ABLATION) and benchmark.group(group):
            drawn[group.replace(" ", "-")] = bars(benchmark.group(group), title=group)
    for row in table:
        if row.name == OURS and row.reliability:
            drawn["reliability"] = reliability_figure(row.reliability, name=OURS)
    return drawn


def bars(rows: Sequence[ModelRow], *, title: str) -> Figure:
    """Return a bar for each row's NDCG@10 on test with its 95 % interval."""
    figure = Figure(figsize=(7, 1 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    means = [test.measures[MEASURE] for _, test in _tested(rows)]
    axes.barh(
        [row.name for row in rows],
        [100 * mean.value for mean in means],
        xerr=[100 * mean.interval for mean in means],
        color=[OWN if row.name == OURS else OTHER for row in rows],
    )
    axes.invert_yaxis()
    axes.set_xlabel(f"{MEASURE}, percent (95 % interval)")
    axes.set_title(title)
    return figure


def slices(rows: Sequence[ModelRow], *, best: int = 5) -> Figure:
    """Return recall by the buyers of the product and NDCG by the purchases of the user, of the ``best`` rows."""
    kept = sorted(_tested(rows), key=lambda pair: -pair[1].measures[MEASURE].value)[:best]
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (row, test) in enumerate(kept):
        for axes, means in ((left, test.by_buyers), (right, test.by_purchases)):
            told: dict[str, Mean] = {name: mean for name, mean in means.items() if mean.users}
            places = np.arange(len(told)) + 0.8 * (number - (len(kept) - 1) / 2) / len(kept)
            values = [100 * mean.value for mean in told.values()]
            axes.barh(places, values, height=0.8 / len(kept), label=row.name)
            axes.set_yticks(np.arange(len(told)), list(told))
    left.set_xlabel("Recall@10 by the buyers of the product, percent")
    right.set_xlabel(f"{MEASURE} by what the user had bought, percent")
    left.invert_yaxis()
    right.invert_yaxis()
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=len(kept))
    return figure


def _tested(rows: Sequence[ModelRow]) -> list[tuple[ModelRow, Measured]]:
    return [(row, row.test) for row in rows if row.test]
