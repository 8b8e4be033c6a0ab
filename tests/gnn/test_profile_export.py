"""Profiles of a run from end to end on the made-up shop: what is in the graph, delivered and measured."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gnn import profile_export
from gnn.config import ProfileConfig, TrainConfig
from gnn.preferences import user_preferences
from gnn.profile_evaluation import evaluate_profiles
from gnn.profile_export import TABLES, export_profiles
from gnn.run import RunFolder
from gnn.train import train
from kg.build import build_graph
from kg.store import open_store
from loaders.errors import InputError


def settings(place: Path) -> TrainConfig:
    return TrainConfig(
        shop="synthetic",
        runs=str(place / "runs"),
        store=f"ladybug:{place / 's.lbug'}",
        cache=str(place / "text"),
        networks="never",
        # Purchases of Music count nowhere.
        profiles=ProfileConfig(level=1, blocked=("Music*",)),
        k=5,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("profiles")
    train(settings(place))
    return RunFolder.open(str(place / "runs"), "synthetic")


def prefers(folder: RunFolder) -> pl.DataFrame:
    with open_store(folder.manifest().store, read_only=True) as store:
        return store.read_results("PREFERS", "synthetic")


def test_training_writes_what_users_prefer_without_what_is_blocked(folder: RunFolder) -> None:
    with open_store(folder.manifest().store, read_only=True) as store:
        graph = build_graph(store.read_graph())
        run = store.run_record("synthetic")
    assert run is not None
    wanted = user_preferences(graph, now=run.now, config=folder.config().profiles)
    assert_frame_equal(prefers(folder), wanted.sort("source", "target", "kind"))
    assert not prefers(folder)["target"].str.contains("Music").any()
    assert prefers(folder)["target"].str.contains("Garden").any()


def test_the_settings_of_profiles_are_read_back(folder: RunFolder) -> None:
    assert folder.config().profiles == ProfileConfig(level=1, blocked=("Music*",))


def test_a_delivery_lists_its_files_with_their_hashes(folder: RunFolder) -> None:
    told = export_profiles(folder, out=None, to_graph=True, password_file=None)
    place = folder.path / "profiles"
    page = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    assert {each["file"] for each in page["profiles"]} == {f"{name}.parquet" for name in (*TABLES, "vectors")}
    assert {file.name for file in place.iterdir()} == {"manifest.json", *(each["file"] for each in page["profiles"])}
    for each in page["profiles"]:
        assert hashlib.sha256((place / each["file"]).read_bytes()).hexdigest() == each["sha256"]
        assert len(pl.read_parquet(place / each["file"])) == each["rows"]
    users = pl.read_parquet(place / "users.parquet")
    assert f"{len(users)} profiles (" in told
    assert "Music" not in users.write_csv()
    vectors = pl.read_parquet(place / "vectors.parquet")
    assert vectors["user"].to_list() == users["user"].to_list()
    start, stop = page["vector_parts"]["embedding"]
    lengths = np.linalg.norm(vectors["vector"].to_numpy()[:, start:stop], axis=1)
    assert lengths[lengths > 0] == pytest.approx(1.0)
    exported = pl.read_parquet(place / "preferences.parquet").sort("source", "target", "kind")
    assert_frame_equal(prefers(folder), exported.select(prefers(folder).columns))


def test_the_same_run_delivers_the_same_files(folder: RunFolder, tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        export_profiles(folder, out=str(tmp_path / name), to_graph=False, password_file=None)
        page = json.loads((tmp_path / name / "manifest.json").read_text(encoding="utf-8"))
        pages.append({each["file"]: each["sha256"] for each in page["profiles"]})
    assert pages[0] == pages[1]


def test_a_folder_of_something_else_is_not_replaced(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(
        InputError, match="is there and is no delivery of profiles, so it is not replaced; give another --out"
    ):
        export_profiles(folder, out=str(tmp_path), to_graph=False, password_file=None)
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_profiles_of_another_run_and_files_of_a_person_are_not_replaced(folder: RunFolder, tmp_path: Path) -> None:
    place = tmp_path / "profiles"
    export_profiles(folder, out=str(place), to_graph=False, password_file=None)
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds what is not of its delivery \('notes.txt', 1 in all\), so it is not"):
        export_profiles(folder, out=str(place), to_graph=False, password_file=None)
    assert (place / "notes.txt").read_text() == "mine"
    (place / "notes.txt").unlink()
    page = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    (place / "manifest.json").write_text(json.dumps({**page, "run": "another"}))
    with pytest.raises(InputError, match="whose run is 'another' and not 'synthetic', so it is not replaced"):
        export_profiles(folder, out=str(place), to_graph=False, password_file=None)


def test_a_delivery_that_fails_leaves_the_old_one(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "profiles"
    export_profiles(folder, out=str(place), to_graph=False, password_file=None)
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    write = profile_export._write_table

    def full_disk(frame: pl.DataFrame, file: Path) -> dict[str, object]:
        if file.name == "segments.parquet":
            raise OSError(28, "No space left on device", str(file))
        return write(frame, file)

    monkeypatch.setattr(profile_export, "_write_table", full_disk)
    with pytest.raises(OSError, match="No space left"):
        export_profiles(folder, out=str(place), to_graph=False, password_file=None)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
    assert [file.name for file in tmp_path.iterdir()] == ["profiles"]


def test_profiles_foretell_planted_tastes_better_than_the_population(folder: RunFolder) -> None:
    page = evaluate_profiles(folder, password_file=None)
    found = json.loads((folder.path / "profile_report.json").read_text(encoding="utf-8"))
    rows = {(row["about"], row["measure"], row["predictor"]): row for row in found["shares"]}
    for about in ("brand shares", "category shares"):
        against = rows[about, "log-loss", "population"]["ours_less_it"]
        assert against["interval"]["high"] < 0
    tastes = {row["predictor"]: row for row in found["properties"] if row["about"] == "taste"}
    assert tastes["embedding"]["mean"] > tastes["majority class"]["mean"] + 0.3
    assert (folder.path / "profile_report.md").read_text(encoding="utf-8") == page
    assert "| brand shares | log-loss | profile |" in page
