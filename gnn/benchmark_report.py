"""The page of a benchmark that people read: one table a question, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from gnn.comparison import TABLE, Benchmark, ModelRow
from gnn.evaluate import CLOSED_FORM, OURS
from gnn.measured import MEASURE, Measured
from gnn.metrics import Mean
from gnn.network_alone import NAMES

PARTS_OF_OURS = (NAMES["linear"], CLOSED_FORM, OURS)
"""The network alone, the closed form alone, and both."""

ACCURACY = (MEASURE, "Recall@10", "HitRate@10", "Precision@10", "MRR@10")
Cell = Callable[[ModelRow, Measured], str]
"""What stands in a column for a row and what was measured of it on test."""

Column = tuple[str, Cell]
"""With its head."""


def as_markdown(benchmark: Benchmark) -> str:
    """Return the page."""
    facts = "\n".join(f"- {name}: {value}" for name, value in benchmark.facts.items())
    parts = [f"# Benchmark on {benchmark.shop}", facts]
    table = benchmark.group(TABLE)
    if table:
        parts += _about_models(table)
    for group in benchmark.groups:
        if group != TABLE and benchmark.group(group):
            parts += [f"## {group[0].upper()}{group[1:]} (percent)", _table(benchmark.group(group), _accuracy())]
    parts += _left_out(benchmark.rows)
    parts += ["## Settings", _settings(table or benchmark.rows)]
    return "\n\n".join(parts) + "\n"


def _about_models(rows: Sequence[ModelRow]) -> list[str]:
    buyers = list(_measured(rows[0]).by_buyers)
    purchases = list(_measured(rows[0]).by_purchases)
    ours = [row for row in rows if row.name in PARTS_OF_OURS]
    return [
        "## Test: what has to be found after the test moment (percent)",
        _table(rows, _accuracy()),
        f"± is half a 95 % interval over {_measured(rows[0]).measures[MEASURE].users} users. *Validation*: {MEASURE} "
        "of the first seed, fitted to the past alone, which choices were made by. *Over seeds*: standard deviation of "
        f"the fits' {MEASURE}; a model without chance is fitted once. *Difference*: {OURS} less this row (in ablations "
        f"the whole graph less this row), mean over the same users of {MEASURE}, with its 95 % bootstrap interval; *p* "
        "is of the paired randomisation test, corrected for the number of rows (Holm).",
        *(["## Parts of ours (percent)", _table(ours, _accuracy())] if len(ours) > 1 else []),
        "## Recall@10 by the buyers of the product (percent, pooled over pairs)",
        _table(rows, [(name, _of_buyers(name)) for name in buyers]),
        f"## {MEASURE} by what the user had bought before (percent)",
        _table(rows, [(name, _of_purchases(name)) for name in purchases]),
        "## What the lists are like",
        _table(rows, _lists()),
        "## Time and memory of a fit, and how far its scores can be believed as probabilities",
        _table(rows, _costs()),
        "Seconds: mean over the fits to past and validation, *at once* of which shared the cores. Memory: the most "
        "that the whole process held during such a fit, so with the graph, the texts' vectors and the libraries. ECE: "
        "expected calibration error. Brier: mean squared error of the probabilities, and of who gives every listed "
        "pair the share that was bought. The curve from scores to probabilities is fitted on validation (isotonic) and "
        "measured on the test lists.",
    ]


def _accuracy() -> list[Column]:
    return [
        (MEASURE, lambda _, test: _percent(test.measures[MEASURE], interval=True)),
        *((name, _of_all(name)) for name in ACCURACY[1:]),
        ("validation", lambda row, _: _percent(row.validation.measures[MEASURE]) if row.validation else "-"),
        ("over seeds", lambda _, test: _decimal(100 * test.spread, 2)),
        ("difference", _difference),
        ("p (Holm)", lambda row, _: _decimal(row.compared.p_holm, 4) if row.compared else "-"),
    ]


def _lists() -> list[Column]:
    return [
        ("coverage %", lambda _, test: _decimal(100 * test.of_all["Coverage@10"], 1)),
        ("Gini", lambda _, test: _decimal(test.of_all["Gini@10"], 3)),
        ("novelty, bits", lambda _, test: _decimal(test.measures["Novelty@10"].value, 2)),
        ("tail share %", lambda _, test: _percent(test.measures["TailShare@10"])),
        ("buyers of a place", lambda _, test: _decimal(test.measures["Popularity@10"].value, 1)),
        ("popularity lift", lambda _, test: _decimal(test.of_all["PopularityLift@10"], 2)),
    ]


def _costs() -> list[Column]:
    return [
        ("fits", lambda _, test: str(len(test.fits))),
        ("at once", lambda _, test: _more_than_one(max(fit.at_once for fit in test.fits))),
        ("seconds", lambda _, test: _decimal(test.seconds, 1)),
        ("memory, MB", lambda _, test: _decimal(test.memory_mb, 0)),
        ("ECE %", lambda row, _: _decimal(100 * row.reliability.error, 2) if row.reliability else "-"),
        ("Brier", lambda row, _: _decimal(row.reliability.brier, 5) if row.reliability else "-"),
        (
            "Brier of the share",
            lambda row, _: _decimal(row.reliability.brier_of_base_rate, 5) if row.reliability else "-",
        ),
    ]


def _more_than_one(number: int) -> str:
    return str(number) if number > 1 else "-"


def _table(rows: Sequence[ModelRow], columns: Iterable[Column]) -> str:
    columns = list(columns)
    # A column that says nothing of any row is left out.
    cells = [[cell(row, _measured(row)) for row in rows] for _, cell in columns]
    told = [place for place, column in enumerate(cells) if set(column) != {"-"}]
    lines = [["model", *(columns[place][0] for place in told)], ["---", *("---:" for _ in told)]]
    lines += [[row.name, *(cells[place][number] for place in told)] for number, row in enumerate(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _left_out(rows: Sequence[ModelRow]) -> list[str]:
    lines = [f"- {row.name} ({row.group}): {row.left_out}" for row in rows if row.left_out]
    return ["## Left out", "\n".join(lines)] if lines else []


def _settings(rows: Sequence[ModelRow]) -> str:
    # A model has a row in each cold group, with the same settings.
    lines = (f"- {row.name}: {', '.join(_flat(row.settings)) or 'none'}" for row in rows)
    return "\n".join(dict.fromkeys(lines))


def _flat(settings: object, name: str = "") -> list[str]:
    if isinstance(settings, dict):
        return [
            each
            for key, value in settings.items()
            if key != "name"
            for each in _flat(value, f"{name}.{key}" if name else key)
        ]
    return [f"{name} {settings:.4g}" if isinstance(settings, float) else f"{name} {settings}"]


def _measured(row: ModelRow) -> Measured:
    if row.test is None:
        raise ValueError(f"{row.name} was left out ({row.left_out}) and has no numbers")
    return row.test


def _of_all(name: str) -> Cell:
    return lambda _, test: _percent(test.measures[name])


def _of_buyers(name: str) -> Cell:
    return lambda _, test: _percent(test.by_buyers[name])


def _of_purchases(name: str) -> Cell:
    return lambda _, test: _percent(test.by_purchases[name])


def _percent(value: Mean, *, interval: bool = False) -> str:
    if math.isnan(value.value):
        return "-"
    return f"{100 * value.value:.2f}" + (f" ± {100 * value.interval:.2f}" if interval else "")


def _difference(row: ModelRow, _test: Measured) -> str:
    if row.compared is None:
        return "-"
    found = row.compared.comparison
    return f"{100 * found.difference:+.2f} ({100 * found.interval.low:+.2f} to {100 * found.interval.high:+.2f})"


def _decimal(value: float, places: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{places}f}"
