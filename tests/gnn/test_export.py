"""The export as a command: killed ten times, at a full disk, resumed, and what its columns say."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gnn.config import TrainConfig
from gnn.export import ExportConfig, delivered_edges, export_run
from gnn.run import RunFolder
from gnn.train import train
from kg.schema import SHARES
from kg.store import open_store
from tests.gnn.test_bad_input import limit, refused, run

ROOT = Path(__file__).parents[2]
K = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training without networks."""
    folder = tmp_path_factory.mktemp("export")
    places = {"runs": str(folder / "runs"), "store": f"ladybug:{folder / 's.lbug'}", "cache": str(folder / "text")}
    train(TrainConfig(shop="synthetic", networks="never", k=K, **places))
    return folder


def run_of(place: Path) -> RunFolder:
    return RunFolder.open(str(place / "runs"), "synthetic")


def words(place: Path, out: Path, *more: str) -> list[str]:
    """Return the command line of an export in a hundred shards."""
    own = ["--run", "synthetic", "--runs", str(place / "runs"), "--out", str(out), "--no-to-graph"]
    return [*own, "--per-shard", "2", "--k", str(K), *more]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(place: Path) -> dict[str, bytes]:
    """Return what an undisturbed export leaves."""
    config = ExportConfig(run="synthetic", k=K, per_shard=2, out=str(place / "whole" / "out"), to_graph=False)
    export_run(run_of(place), config)
    return contents(place / "whole")


KILLER = """
import os, signal, sys, time
import gnn.export
from loaders.errors import run_command

# All is imported once; each command is a process of its own, killed so many seconds after its first shard is there.
part, seconds = sys.argv[1], [float(each) for each in sys.argv[2].split(",")]
sys.argv = sys.argv[3:]
for wait in seconds:
    shards = len(os.listdir(part)) if os.path.isdir(part) else 0
    child = os.fork()
    if not child:
        os.close(1)
        run_command(gnn.export.main)
        os._exit(0)
    while (len(os.listdir(part)) if os.path.isdir(part) else 0) <= shards:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit("the command ended by itself")
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    how = "killed" if os.WIFSIGNALED(status) else "ended"
    print(how, len(os.listdir(part)) if os.path.isdir(part) else 0, flush=True)
"""


def test_killed_ten_times_the_export_ends_in_the_bytes_of_an_undisturbed_one(
    place: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    rng = random.Random(0)  # noqa: S311
    waits = ",".join(f"{rng.random() * 0.02:.5f}" for _ in range(10))
    command = [sys.executable, "-c", KILLER, str(tmp_path / ".out.part"), waits, "gnn.export"]
    done = subprocess.run(
        [*command, *words(place, tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [word for word, _ in lines] == ["killed"] * 10
    left = [int(count) for _, count in lines]
    assert left == sorted(left), "no kill takes a whole shard away"
    config = ExportConfig(run="synthetic", k=K, per_shard=2, out=str(tmp_path / "out"), to_graph=False)
    assert export_run(run_of(place), config).made < 100
    assert contents(tmp_path) == whole


def test_a_full_disk_keeps_the_shards_and_the_next_command_goes_on(
    place: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    # The manifest of a hundred shards is the largest file: the shards fit, and it does not.
    largest = max(len(content) for name, content in whole.items() if "part-" in name)
    refused(run("gnn.export", *words(place, tmp_path / "out"), before=limit(largest + 10)), "the file size limit is")
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / ".out.part").glob("part-*.parquet"))) == 100
    config = ExportConfig(run="synthetic", k=K, per_shard=2, out=str(tmp_path / "out"), to_graph=False)
    assert export_run(run_of(place), config).made == 0
    assert contents(tmp_path) == whole


def test_shards_of_any_size_hold_the_same_rows(place: Path, tmp_path: Path) -> None:
    whole = pl.concat(delivered_edges(place / "runs" / "synthetic" / "ranked_edges"))
    for per_shard, kind in ((7, "csv"), (33, "jsonl"), (1000, "parquet")):
        out = tmp_path / kind
        config = ExportConfig(
            run="synthetic",
            k=K,
            per_shard=per_shard,
            out=str(out),
            to_graph=False,
            format=kind,  # type: ignore[arg-type]
        )
        export_run(run_of(place), config)
        assert_frame_equal(pl.concat(delivered_edges(out)), whole, check_exact=True)


def test_more_than_all_products_fill_each_list_with_all_that_she_has_not_bought(place: Path, tmp_path: Path) -> None:
    config = ExportConfig(run="synthetic", k=500, out=str(tmp_path / "out"), to_graph=False)
    delivery = export_run(run_of(place), config)
    edges = pl.concat(delivered_edges(tmp_path / "out"))
    with open_store(f"ladybug:{place / 's.lbug'}", read_only=True) as store:
        related = store.read_results("RELATED", "synthetic")
        bought = store.read_graph().edges["BOUGHT"].select(user_id="source", product_id="target").unique()
    ranked = pl.concat([related["source"], related["target"]]).unique()
    assert delivery.items == len(ranked)
    known = bought.filter(pl.col("product_id").is_in(ranked.implode()))
    assert len(edges) == 200 * len(ranked) - len(known)
    assert edges.join(bought, on=["user_id", "product_id"], how="semi").is_empty()
    filled = edges.filter("filled")
    assert filled["score"].null_count() == filled["reason_via"].null_count() == len(filled)
    assert edges.filter(~pl.col("filled"))["score"].null_count() == 0


def test_related_products_are_the_edges_of_the_graph_that_speak_for_another(place: Path, tmp_path: Path) -> None:
    config = ExportConfig(run="synthetic", edges="related", k=5, per_shard=50, out=str(tmp_path / "out"))
    delivery = export_run(run_of(place), config)
    found = pl.concat(delivered_edges(tmp_path / "out"))
    with open_store(f"ladybug:{place / 's.lbug'}", read_only=True) as store:
        related = store.read_results("RELATED", "synthetic")
    wanted = [
        (source, target, rank, weight)
        for (source,), rows in related.group_by("source", maintain_order=True)
        for rank, (target, weight) in enumerate(
            sorted(((t, w) for t, w in rows.select("target", "weight").rows() if w > 0 and t != source),
                   key=lambda edge: (-edge[1], edge[0]))[:5], start=1)
    ]  # fmt: skip
    assert found.select("product_id", "related_id", "rank", "weight").rows() == wanted
    assert delivery.owners == len({source for source, *_ in wanted})
    assert found.select(pl.sum_horizontal(SHARES)).to_series().to_list() == pytest.approx(found["weight"].to_list())
    page = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert page["products"] + sum(page["products_left_out"].values()) == 120
