"""Measures what a piece of work costs: its seconds, and the most memory the process held meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """What a block cost; known when it has ended."""

    seconds: float = float("nan")

    memory_mb: float = float("nan")
    """Most resident memory of the whole process while the block ran, with what it held before: the graph and the
    libraries too. NaN where the system (any but Linux) does not tell it for a part of a process's life."""

    at_once: int = 1
    """How many such blocks shared the cores, each in a process of its own."""


@contextmanager
def costed() -> Iterator[Cost]:
    """Give the cost of the block."""
    known = _restart_peak()
    cost, start = Cost(), time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - start
    if known:
        cost.memory_mb = _peak_mb()


def _restart_peak() -> bool:
    """Make the peak that the kernel keeps begin anew (man 5 proc_pid_clear_refs, value 5); say whether it did."""
    try:
        RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak_mb() -> float:
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), float("nan"))
