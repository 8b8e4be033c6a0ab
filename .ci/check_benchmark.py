"""Fails when ours is below the best baseline of a benchmark's test table by more than noise."""

from __future__ import annotations

import sys

from gnn.benchmark_folder import BenchmarkFolder
from gnn.benchmark_report import PARTS_OF_OURS
from gnn.comparison import TABLE, ModelRow
from gnn.evaluate import OURS
from gnn.measured import MEASURE


def main(folder: str) -> None:
    """Exit with a sentence unless the 95 % interval of the paired difference reaches 0.

    The baselines are all rows but ours and its parts; the best is the one of the highest NDCG@10 on test.
    """
    rows = {row.name: row for row in BenchmarkFolder.open(folder).benchmark().group(TABLE)}
    baselines = [row for name, row in rows.items() if name not in PARTS_OF_OURS]
    if OURS not in rows or not baselines:
        sys.exit(f"{folder} compares {', '.join(rows) or 'nothing'}; {OURS} and a baseline are needed")
    best = max(baselines, key=ndcg)
    if best.compared is None:
        sys.exit(f"{folder} does not compare {OURS} with {best.name}")
    found = best.compared.comparison
    ends = f"{100 * found.interval.low:+.2f} to {100 * found.interval.high:+.2f}"
    print(
        f"{OURS} {100 * ndcg(rows[OURS]):.2f} %, best baseline {best.name} {100 * ndcg(best):.2f} %, {MEASURE} on "
        f"{found.users} users: difference {100 * found.difference:+.2f} ({ends})"
    )
    # Not a number is no comparison, and so a failure too.
    if not found.interval.high >= 0:
        sys.exit(f"{OURS} is below {best.name} by more than the 95 % interval of their difference")


def ndcg(row: ModelRow) -> float:
    """Return the mean NDCG@10 on test."""
    return row.test.measures[MEASURE].value if row.test else float("nan")


if __name__ == "__main__":
    main(sys.argv[1])
