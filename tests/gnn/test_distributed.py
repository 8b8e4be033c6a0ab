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


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an undisturbed training of two processes."""
    folder = tmp_path_factory.mktemp("two")
    done = with_torchrun(*words(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nlearn from the past: ") == 1, "only the first process speaks"
    return folder


def test_two_processes_have_the_loss_curve_and_the_test_numbers_of_one(two: Path, tmp_path: Path) -> None:
    train(settings(tmp_path))
    of_one, of_two = epochs(tmp_path), epochs(two)
    assert [line["stage"] for line in of_one] == [line["stage"] for line in of_two]
    assert [line["loss"] for line in of_two] == pytest.approx([line["loss"] for line in of_one], rel=1e-4)
    assert numbers(two) == pytest.approx(numbers(tmp_path), abs=1e-3)
    assert [file.name for file in (two / "runs").iterdir()] == ["synthetic"]
    assert sorted(file.name for file in two.iterdir()) == ["runs", "s.lbug", "text"]


def test_two_processes_that_were_stopped_go_on_and_end_as_undisturbed_ones(two: Path, tmp_path: Path) -> None:
    # Sampled and with dropout: all the chance there is, which has to be the same after a stop in either process.
    own = ("--network.kind", "sage", "--network.num-neighbors", "3", "2", "--network.identity-dropout", "0.5")
    for name in ("undisturbed", "stopped"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").symlink_to(two / "text")
    done = with_torchrun(*words(tmp_path / "undisturbed", *own))
    assert done.returncode == 0, done.stderr
    stopped = with_torchrun(*words(tmp_path / "stopped", *own), "--time-limit", "0.000001")
    assert stopped.returncode != 0
    said = "stopped at the time limit, in network on a part, before validation, after pass 0 and 1 batches of the next"
    assert said in stopped.stderr
    assert [file.name for file in (tmp_path / "stopped" / "runs").iterdir()] == [".synthetic.checkpoints"]
    again = with_torchrun(*words(tmp_path / "stopped", *own))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("goes on from a checkpoint: network on a part, before validation, after pass 0") == 1
    assert epochs(tmp_path / "stopped") == epochs(tmp_path / "undisturbed")
    assert numbers(tmp_path / "stopped") == numbers(tmp_path / "undisturbed")
    assert [file.name for file in (tmp_path / "stopped" / "runs").iterdir()] == ["synthetic"]


def test_two_processes_learn_from_sampled_neighbourhoods_what_one_does(two: Path, tmp_path: Path) -> None:
    # All neighbours and no dropout: else the parts of a step are other estimates of the same.
    own = ("--network.kind", "sage", "--network.num-neighbors", "-1", "-1", "--network.identity-dropout", "0")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").symlink_to(two / "text")
    refused = with_torchrun(*words(tmp_path / "two", *own, "--network.table", "float16"))
    assert "--network.table float16 is for one process and there are 2; leave it out, or torchrun" in refused.stderr
    done = with_torchrun(*words(tmp_path / "two", *own))
    assert done.returncode == 0, done.stderr
    alone = subprocess.run(
        [sys.executable, "-m", "gnn.train", *words(tmp_path / "one", *own)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    of_one, of_two = epochs(tmp_path / "one"), epochs(tmp_path / "two")
    assert [line["loss"] for line in of_two] == pytest.approx([line["loss"] for line in of_one], rel=1e-4)
    assert numbers(tmp_path / "two") == pytest.approx(numbers(tmp_path / "one"), abs=1e-3)
