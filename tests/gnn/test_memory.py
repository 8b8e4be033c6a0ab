"""Memory that is freed is the system's again."""

from __future__ import annotations

import subprocess
import sys

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
