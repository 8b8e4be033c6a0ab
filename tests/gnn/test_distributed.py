"""Two processes train what one trains: the same losses, the same numbers on test, up to float noise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gnn.run import RunFolder
from gnn.train import train
from tests.gnn.test_checkpoint import ROOT, settings, words

TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gnn.train"]


def with_torchrun(*given: str) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*TWO, *given], cwd=ROOT, capture_output=True, text=True, check=False, env=own)


def epochs(place: Path) -> list[dict[str, Any]]:
    lines = (place / "runs" / "synthetic" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def numbers(place: Path) -> dict[tuple[str, str], float]:
    """Return recommender and measure → its mean on test."""
    rows = RunFolder(place / "runs" / "synthetic").report().test
    return {(row.recommender, name): mean.value for row in rows for name, mean in row.measures.items()}


def test_two_processes_have_the_loss_curve_and_the_test_numbers_of_one(tmp_path: Path) -> None:
    train(settings(tmp_path / "one"))
    (tmp_path / "two").mkdir()
    done = with_torchrun(*words(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nlearn from the past: ") == 1, "only the first process speaks"
    one, two = epochs(tmp_path / "one"), epochs(tmp_path / "two")
    assert [line["stage"] for line in one] == [line["stage"] for line in two]
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], rel=1e-4)
    assert numbers(tmp_path / "two") == pytest.approx(numbers(tmp_path / "one"), abs=1e-3)
    assert [file.name for file in (tmp_path / "two" / "runs").iterdir()] == ["synthetic"]
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == ["runs", "s.lbug", "text"]
