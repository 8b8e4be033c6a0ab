"""What a process that fits one model is asked, and what it leaves: lists as Parquet, seconds and memory as JSON.

It runs in the peers' environments, so it imports nothing of ours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet


def question() -> argparse.Namespace:
    """Return what the command line asks for."""
    words = argparse.ArgumentParser()
    words.add_argument("--library", required=True)
    words.add_argument("--model", required=True)
    words.add_argument("--settings", type=json.loads, required=True)
    words.add_argument("--folder", type=Path, required=True, help="folder of the exported files")
    words.add_argument("--out", type=Path, required=True, help="what to write to, without the ending")
    words.add_argument("--threads", type=int, required=True)
    words.add_argument("--k", type=int, required=True, help="length of the lists")
    return words.parse_args()


def answer(
    out: Path,
    *,
    users: Sequence[int],
    products: Sequence[Sequence[int]],
    seconds: float,
    epoch_seconds: float | None,
    epoch_cpu: float | None,
) -> None:
    """Write each user's products, best first, and what they cost."""
    parquet.write_table(pa.table({"user": users, "products": products}), out.with_suffix(".parquet"))
    facts = {"seconds": seconds, "epoch_seconds": epoch_seconds, "epoch_cpu": epoch_cpu, "peak_mb": peak_mb()}
    out.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")


def peak_mb() -> float:
    """Return the most memory that this process has held.

    Not from ``getrusage``: on Linux a new program begins with the peak of the process that started it.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
