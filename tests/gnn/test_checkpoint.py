"""Training that is stopped or killed goes on, and ends as an undisturbed one: bit for bit the same weights."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import torch

from gnn.checkpoint import Checkpoint, Checkpoints, EpochRecord
from gnn.config import EdgeConfig, NetworkConfig, TrainConfig
from gnn.edges import fit_edges
from gnn.fit import FittedNetwork, fit_network
from gnn.hetero import hetero_data
from gnn.run import RunFolder
from gnn.train import train
from kg.store import open_store
from loaders.errors import StoppedError, run_command
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import graph_of
from tests.gnn.test_edges import planted
from tests.gnn.test_fit import tasks

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
GRAPH = graph_of(synthetic_shop(users=40, products=30, brands=4, purchases_per_user=10))
TASK, _ = tasks(GRAPH)
TEXT = np.eye(len(GRAPH.products), 8, dtype=np.float32)
DATA = hetero_data(GRAPH, past=TASK.known, products=TASK.products, text=TEXT[TASK.products])
LOOKS = (0.1, 0.4, 0.3, 0.4, 0.9)
"""Best after the second pass; after the fourth patience ends."""


def fit_a_network(
    checkpoint: Checkpoint, *, kind: Literal["linear", "sage", "hgt"] = "linear", **options: Any
) -> FittedNetwork:
    return fit_network(
        DATA,
        TASK.history,
        config=NetworkConfig(kind=kind, dimension=8, batch_users=16, evaluate_every=1, patience=2, **options),
        device=CPU,
        seed=3,
        epochs=5 if kind == "linear" else 2,
        validate=lambda network: LOOKS[network.epochs - 1],
        checkpoint=checkpoint,
    )


def fit_some_edges(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    candidates, history, wanted = planted(seed=0, users=30)
    config = replace(EdgeConfig(), passes=2)
    fitted = fit_edges(
        candidates, history=history, wanted=wanted, seen=history, config=config, device=CPU, seed=1,
        checkpoint=checkpoint,
    )  # fmt: skip
    return dict(fitted.network.state_dict())


def stopped_after_every_step(fit: Callable[[Checkpoint], Any], file: Path) -> tuple[Any, int, list[EpochRecord]]:
    """Return what the fit ends with if each start makes one step only, how many starts it took, and its epochs."""
    for starts in range(1, 1000):
        told: list[EpochRecord] = []
        with contextlib.suppress(StoppedError):
            return fit(Checkpoint("fit", file, record=told.append, stop_at=0.0)), starts, told
    raise AssertionError("it never ended")


SAMPLED = {"num_neighbors": (4, 3), "negatives": 20}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("linear", {}),
        ("sage", {}),
        ("hgt", {}),
        ("linear", {"precision": "bfloat16", "accumulate": 3, "recompute": True}),
        ("sage", {**SAMPLED, "precision": "bfloat16", "accumulate": 3, "recompute": True}),
        ("sage", {**SAMPLED, "table": "cpu"}),
        ("sage", {**SAMPLED, "table": "float16"}),
    ],
    ids=str,
)
def test_a_graph_network_stopped_after_every_step_gets_the_same_weights(
    kind: Literal["linear", "sage", "hgt"], options: dict[str, Any], tmp_path: Path
) -> None:
    epochs: list[EpochRecord] = []
    whole = fit_a_network(Checkpoint("fit", record=epochs.append), kind=kind, **options)
    resumed, starts, told = stopped_after_every_step(
        lambda checkpoint: fit_a_network(checkpoint, kind=kind, **options), tmp_path / "fit.safetensors"
    )
    assert starts == len(epochs) * 8 + 1
    assert resumed.epochs == whole.epochs == 2
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)
    assert np.array_equal(resumed.queries, whole.queries)
    assert np.array_equal(resumed.keys, whole.keys)
    assert told == epochs
    assert [epoch.validation_ndcg for epoch in epochs] == list(LOOKS[: 4 if kind == "linear" else 2])


def test_an_edge_network_stopped_after_every_step_gets_the_same_weights(tmp_path: Path) -> None:
    epochs: list[EpochRecord] = []
    whole = fit_some_edges(Checkpoint("fit", record=epochs.append))
    resumed, starts, told = stopped_after_every_step(fit_some_edges, tmp_path / "fit.safetensors")
    assert starts == 2 * 30 + 1
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert told == epochs
    assert len(epochs) == 2


def test_within_a_pass_nothing_is_written_before_it_is_time(tmp_path: Path) -> None:
    written: list[int] = []

    def count(_epoch: EpochRecord) -> None:
        written.append((tmp_path / "fit.safetensors").stat().st_ino)

    fit_some_edges(Checkpoint("fit", tmp_path / "fit.safetensors", record=count, every_seconds=1000.0))
    assert len(written) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["fit.safetensors"]


def test_a_checkpoint_of_other_settings_or_a_broken_one_is_not_gone_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"learning_rate": 0.01, "seed": 0}
    checkpoints = Checkpoints(tmp_path, {"graph": "abc"})
    checkpoint = checkpoints.of("Network on all, before test", settings)
    state = {"weights": {0: torch.ones(2)}, "rng": np.random.default_rng(0).bit_generator.state, "nothing": None}
    checkpoint.write(state)
    assert checkpoint.file == tmp_path / "network-on-all-before-test.safetensors"
    found = checkpoint.read()
    assert found is not None
    assert torch.equal(found["weights"].pop(0), torch.ones(2))
    assert found == {**state, "weights": {}}
    assert not capsys.readouterr().out
    for other in (
        checkpoints.of("Network on all, before test", {**settings, "seed": 1}),
        replace(checkpoints, trained_with={"graph": "abd"}).of("Network on all, before test", settings),
    ):
        assert other.file == checkpoint.file
        assert other.read() is None
        assert "Network on all, before test: begins anew, the checkpoint " in capsys.readouterr().out
    checkpoint.file.write_bytes(checkpoint.file.read_bytes()[:-5])
    assert checkpoint.read() is None
    assert " is broken (" in capsys.readouterr().out
    checkpoint.file.unlink()
    assert checkpoint.read() is None
    assert not capsys.readouterr().out


def settings(place: Path, **changes: Any) -> TrainConfig:
    given = TrainConfig(
        shop="synthetic", runs=str(place / "runs"), store=f"ladybug:{place / 's.lbug'}", cache=str(place / "text"),
        networks="always", network=NetworkConfig(max_epochs=2, dimension=8), edges=EdgeConfig(passes=1, hidden=8), k=8,
    )  # fmt: skip
    return replace(given, **changes)


def results(place: Path) -> dict[str, Any]:
    """Return what a training left, but for when it was made and how long it took."""
    folder = place / "runs" / "synthetic"
    report = RunFolder(folder).report().to_json()
    delivered = pl.concat([pl.read_parquet(file) for file in sorted(folder.glob("ranked_edges/*.parquet"))])
    with open_store(str(settings(place).store), read_only=True) as store:
        related = store.query(
            "MATCH (a:Product)-[r:RELATED]->(b:Product) RETURN a.id AS source, b.id AS target, r.weight AS weight",
            {},
        )
    return {
        **{name: report[name] for name in ("facts", "validation", "test")},
        **{name: (folder / name).read_bytes() for name in ("metrics.jsonl", "model.safetensors", "edges.safetensors")},
        "delivered": delivered.drop("made_at").to_dicts(),
        "related": related.sort("source", "target").to_dicts(),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an undisturbed training."""
    folder = tmp_path_factory.mktemp("undisturbed")
    train(settings(folder))
    assert [file.name for file in (folder / "runs").iterdir()] == ["synthetic"]
    return folder


KILLER = """
import os, signal, sys, time
from pathlib import Path
import gnn.train
from loaders.errors import run_command

# All is imported once; each command is a process of its own, killed so many seconds after it wrote itself down.
folder, waits = Path(sys.argv[1]), [float(each) for each in sys.argv[2].split(",")]
sys.argv = sys.argv[3:]
def written():
    return {file.stat().st_ino for file in folder.glob("*.safetensors")}
for wait in waits:
    before = written()
    child = os.fork()
    if not child:
        run_command(gnn.train.main)
        os._exit(0)
    while written() <= before:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit("the command ended by itself")
        time.sleep(0.001)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def words(place: Path, *more: str) -> list[str]:
    own = ["--shop", "synthetic", "--runs", str(place / "runs"), "--store", f"ladybug:{place / 's.lbug'}"]
    own += ["--cache", str(place / "text"), "--networks", "always", "--network.max-epochs", "2", "--k", "8"]
    return [*own, "--network.dimension", "8", "--edges.passes", "1", "--edges.hidden", "8", *more]


def test_killed_again_and_again_a_training_ends_as_an_undisturbed_one(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").symlink_to(whole / "text")
    checkpoints = tmp_path / "runs" / ".synthetic.checkpoints"
    waits = "0,0.02,0.3,0"
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(checkpoints), waits, "gnn.train", *words(tmp_path)], cwd=ROOT,
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "goes on from a checkpoint: network on a part, before validation, after pass 1" in done.stdout
    assert not (tmp_path / "runs" / "synthetic").exists()
    capsys.readouterr()
    train(settings(tmp_path))
    assert "goes on from a checkpoint: " in capsys.readouterr().out
    assert results(tmp_path) == results(whole)
    assert not checkpoints.exists()


def test_a_time_limit_stops_the_training_with_a_sentence_and_the_same_command_goes_on(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").symlink_to(whole / "text")
    limited = settings(tmp_path, time_limit=1e-6)
    with pytest.raises(SystemExit) as end:
        run_command(lambda: train(limited))
    assert end.value.code == 75
    assert capsys.readouterr().err.splitlines()[-1] == (
        "stopped at the time limit, in network on a part, before validation, after pass 0 and 1 batches of the next; "
        "the same command goes on from there"
    )
    assert [file.name for file in (tmp_path / "runs").iterdir()] == [".synthetic.checkpoints"]
    with open_store(str(limited.store), read_only=True) as store:
        assert store.run_record() is None
    # Longer lists are nothing that a network learns from.
    with pytest.raises(StoppedError, match="after pass 0 and 2 batches of the next"):
        train(settings(tmp_path, time_limit=1e-6, k=20))
    train(settings(tmp_path))
    assert results(tmp_path) == results(whole)


def test_other_settings_of_the_same_name_begin_anew_and_say_so(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").symlink_to(whole / "text")
    for seed in (1, 0):
        with pytest.raises(StoppedError, match="after pass 0 and 1 batches of the next"):
            train(settings(tmp_path, time_limit=1e-6, seed=seed))
    assert "network on a part, before validation: begins anew, the checkpoint " in capsys.readouterr().out
