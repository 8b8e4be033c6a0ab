"""Memory that is freed is the system's again, and a training's steps get theirs without new pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np
from gnn.memory import give_back_freed_memory

def resident() -> float:
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

give_back_freed_memory()
before = resident()
rng = np.random.default_rng(0)
for size in (30, 7, 20, 28, 3, 26, 12, 31) * 5:  # MB
    kept = [np.ones(int(size * 131_072 * rng.uniform(0.3, 1.0))) for _ in range(20)]
    held = [np.ones(1000) for _ in range(500)]
    del kept
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that keeps memory")
def test_blocks_of_megabytes_are_given_back_when_they_are_freed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40


ASKS_FOR_THE_SAME_AGAIN = """
import resource
import numpy as np
from gnn.memory import freed_memory_kept, give_back_freed_memory

def new_pages(times: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        first, second = np.ones(1_000_000), np.ones(700_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident() -> float:
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

give_back_freed_memory()
new_pages(1)
before = resident()
with freed_memory_kept():
    new_pages(2)
    print(new_pages(20))
    many = [(np.ones(1_000_000), np.ones(1000)) for _ in range(2)]
    behind = [small for _, small in many]
    del many
print(resident() - before)
# Larger than any hole that is left before a block in use, and not too large to be kept.
np.ones(4_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that keeps memory")
def test_steps_that_ask_for_the_same_again_get_it_without_new_pages_and_all_is_given_back_after_them() -> None:
    command = [sys.executable, "-c", ASKS_FOR_THE_SAME_AGAIN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, left, given_back = (float(line) for line in done.stdout.split())
    # 272 MB are 66,000 pages of 4 KB, or 130 of 2 MB.
    assert kept < 20
    # Of 16 to 30 MB.
    assert left < 8
    # As many anew each time, of 4 KB or of 2 MB.
    assert given_back >= 20 * 12


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

ASKS_FOR_A_TENSOR = """
import gnn
import torch

tensor = torch.ones(25_000_000)
line = next(line for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages"))
print(int(line.split()[1]) / 1024)
"""


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="the system has no large pages to give"
)
def test_large_tensors_lie_in_large_pages() -> None:
    done = subprocess.run([sys.executable, "-c", ASKS_FOR_A_TENSOR], capture_output=True, text=True, check=True)
    # Of its 95 MB; none without.
    assert float(done.stdout) > 50
