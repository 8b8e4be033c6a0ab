"""Prints the table of a finished benchmark as the README shows it: ``python -m benchmarks.readme_table FOLDER``."""

from __future__ import annotations

import math

import tyro

from gnn.benchmark_folder import BenchmarkFolder
from gnn.comparison import TABLE, ModelRow
from gnn.evaluate import OURS
from gnn.measured import MEASURE
from gnn.metrics import Mean
from loaders.errors import run_command

TAIL = "tail (at most 5 buyers)"
HEAD = ("NDCG@10", "Recall@10", "HitRate@10", "tail", "validation", "s a fit", "MB", f"{OURS} less it", "p")


def main() -> None:
    """Print the rows of the table, in its order."""
    found = BenchmarkFolder.open(tyro.cli(tyro.conf.Positional[str], prog="python -m benchmarks.readme_table"))
    print(f"| model | {' | '.join(HEAD)} |\n|---|{'---:|' * len(HEAD)}")
    for row in found.benchmark().group(TABLE):
        print(f"| {' | '.join(cells(row))} |")


def cells(row: ModelRow) -> list[str]:
    """Return the cells of a row, in percent; seconds and memory are those of a fit."""
    if row.test is None:
        return [row.name, f"left out: {row.left_out}", *[""] * (len(HEAD) - 1)]
    measures, compared = row.test.measures, row.compared
    ends = compared.comparison.interval if compared else None
    return [
        row.name,
        f"{percent(measures[MEASURE])} ± {100 * measures[MEASURE].interval:.2f}",
        percent(measures["Recall@10"]),
        percent(measures["HitRate@10"]),
        percent(row.test.by_buyers[TAIL]),
        percent(row.validation.measures[MEASURE]) if row.validation else "-",
        f"{row.test.seconds:.1f}",
        f"{row.test.memory_mb:,.0f}",
        f"{100 * compared.comparison.difference:+.2f} ({100 * ends.low:+.2f} to {100 * ends.high:+.2f})"
        if compared and ends
        else "-",
        "-" if compared is None or math.isnan(compared.p_holm) else f"{compared.p_holm:.4f}",
    ]


def percent(mean: Mean) -> str:
    """Return a mean in percent; a dash where nothing was to be found."""
    return "-" if math.isnan(mean.value) else f"{100 * mean.value:.2f}"


if __name__ == "__main__":
    run_command(main)
