"""The export by actors of a Ray of this machine: the bytes of the local engine, resumed, and refused in a sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from gnn.columns import Kind
from gnn.export import ExportConfig, export_run, main
from gnn.ray_engine import RayEngine
from gnn.run import RunFolder
from gnn.shard_files import ShardFormat
from gnn.shard_work import Shard, Work
from loaders.errors import InputError
from tests.gnn.trained import trained

ROOT = Path(__file__).parents[2]
K = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training without networks."""
    return trained(tmp_path_factory.mktemp("ray"), k=K)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Have one Ray run in this process: to start it takes longer than a test."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    import ray  # noqa: PLC0415

    # Workers import what the tests are of, also where another copy of it is installed.
    paths = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    size = 80 << 20
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=size, runtime_env=paths
    )
    yield
    ray.shutdown()


def export(place: Path, out: Path, **more: object) -> int:
    """Export into ``out`` and return how many shards were made."""
    folder = RunFolder.open(str(place / "runs"), "synthetic")
    settings = {"k": K, "per_shard": 25, "to_graph": False, **more}
    return export_run(folder, ExportConfig(run="synthetic", out=str(out), **settings)).made  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("kind", ["bought", "related", "rules"])
def test_actors_leave_the_bytes_of_the_local_engine(place: Path, tmp_path: Path, kind: Kind) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("at_most: {brand: 2}\nboost: {products: {p001: 1.5}}\n")
    more = {"rules": str(rules), "format": "csv"} if kind == "rules" else {"edges": kind}
    made = {engine: export(place, tmp_path / engine / "out", engine=engine, **more) for engine in ("local", "ray")}
    assert made["local"] == made["ray"] > 1
    found = contents(tmp_path / "ray")
    assert found == contents(tmp_path / "local")
    assert len(found) == made["ray"] + 1


@pytest.mark.usefixtures("cluster")
def test_what_another_engine_left_whole_is_kept_and_the_rest_is_made(place: Path, tmp_path: Path) -> None:
    export(place, tmp_path / "local" / "out")
    shutil.copytree(tmp_path / "local", tmp_path / "ray")
    (tmp_path / "ray/out/part-00003.parquet").unlink()
    assert export(place, tmp_path / "ray" / "out", engine="ray") == 1
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def words(place: Path, out: Path, *more: str) -> list[str]:
    """Return the command of an export in a hundred shards by Ray."""
    own = ["--run", "synthetic", "--runs", str(place / "runs"), "--out", str(out), "--no-to-graph", "--k", str(K)]
    return [sys.executable, "-m", "gnn.export", *own, "--per-shard", "2", "--engine", "ray", *more]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_killed_the_same_command_goes_on_to_the_same_bytes_and_says_nothing_but_its_sentence(
    place: Path, tmp_path: Path
) -> None:
    part, notes = tmp_path / "ray" / ".out.part", "part-*.note"
    command = words(place, tmp_path / "ray" / "out")
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as killed:
        while len(list(part.glob(notes))) < 5:
            assert killed.poll() is None, "the command ended by itself"
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
    kept = len(list(part.glob(notes)))
    assert kept < 100
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1600 ranked edges for 200 users")
    assert export(place, tmp_path / "local" / "out", per_shard=2) == 100
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


@dataclass(frozen=True)
class Failing:
    """Lists that cannot be made."""

    columns: tuple[()] = ()
    most_rows: int = 0
    owners: pl.Series = field(default_factory=lambda: pl.Series(["ann"]))
    items: pl.Series = field(default_factory=lambda: pl.Series(["tea"]))

    def part(self, start: int, stop: int) -> int:
        return stop - start

    def without_owners(self) -> Failing:
        return self

    def shard(self, part: int) -> Shard:
        raise InputError(f"the lists of {part} user cannot be made")


@pytest.mark.usefixtures("cluster")
def test_what_stops_an_actor_is_the_sentence_that_it_would_be_here(tmp_path: Path) -> None:
    work = Work(Failing(), ShardFormat((), "csv"), tmp_path, {"part-00000.csv": (0, 1)})
    with pytest.raises(InputError, match=r"^the lists of 1 user cannot be made$"):
        list(RayEngine("local").notes(work))


@pytest.mark.usefixtures("cluster")
def test_an_actor_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    # Where the folder is not on its machine, for an actor it is not there.
    work = Work(Failing(), ShardFormat((), "csv"), tmp_path / "lists" / ".out.part", {"part-00000.csv": (0, 1)})
    with pytest.raises(InputError, match=r"does not see '.*lists'; give an --out on storage that all machines have"):
        list(RayEngine("local").notes(work))


def refused(command: list[str]) -> str:
    """Return the one sentence that a command ends with."""
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


WITHOUT_RAY = """
import sys
# As where it is not installed: nothing by this name is found.
sys.modules["ray"] = None
from gnn.export import main
from loaders.errors import run_command
run_command(main)
"""


def test_without_ray_there_is_one_sentence(place: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_RAY, *words(place, tmp_path / "out")[3:]]
    assert "--engine ray needs Ray, which is not installed; pip install" in refused(command)
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_is_not_there_is_one_sentence(place: Path, tmp_path: Path) -> None:
    assert "no Ray at '127.0.0.1:1'" in refused(words(place, tmp_path / "out", "--ray-address", "127.0.0.1:1"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--ray-address", "127.0.0.1:6379", "--engine", "local"], "give --engine ray too"),
        (["--rules", "rules.yaml", "--explain-rules"], "--explain-rules makes no use of --engine ray"),
    ],
)
def test_what_ray_is_not_for_is_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], sentence: str
) -> None:
    monkeypatch.setattr(sys, "argv", words(place, tmp_path / "out", *more)[2:])
    with pytest.raises(InputError, match=sentence):
        main()
