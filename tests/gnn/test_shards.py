"""Deliveries made shard by shard: killed at any moment they go on, and end in the same bytes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gnn.columns import Column
from gnn.locks import only_process
from gnn.shard_files import ShardFormat
from gnn.shard_work import Shard
from gnn.shards import Delivery, deliver_shards
from loaders.errors import InputError

COLUMNS = (Column("user_id", "string", "who"), Column("rank", "int64", "place"))
PLAN = {"run": "first", "options": {"k": 2, "format": "csv", "bom": False}}


@dataclass(frozen=True)
class TenLists:
    """Ten users with a list of two, of whom every fifth has none."""

    made: list[int] = field(default_factory=list)
    """The first user of each shard that was asked for."""

    columns: tuple[Column, ...] = COLUMNS
    most_rows: int = 20
    owners: pl.Series = field(default_factory=lambda: pl.Series([f"u{number}" for number in range(10)]))
    items: pl.Series = field(default_factory=lambda: pl.Series(["tea", "pot", "cup"]))

    def part(self, start: int, stop: int) -> tuple[int, int]:
        return start, stop

    def without_owners(self) -> TenLists:
        return self

    def shard(self, part: tuple[int, int]) -> Shard:
        start, stop = part
        self.made.append(start)
        users = [user for user in range(start, stop) if user % 5]
        edges = pl.DataFrame(
            [(f"u{user}", rank) for user in users for rank in (1, 2)], ["user_id", "rank"], orient="row"
        )
        return Shard(edges, owners=len(users), left_out={"bought nothing": stop - start - len(users)})


def deliver(folder: Path, edges: TenLists | None = None, **plan: Any) -> Delivery:
    return deliver_shards(
        edges or TenLists(),
        folder,
        plan={**PLAN, **plan},
        form=ShardFormat(COLUMNS, "csv"),
        per_shard=3,
        called="users",
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """Return what an undisturbed delivery leaves."""
    deliver(tmp_path / "undisturbed" / "out")
    return contents(tmp_path / "undisturbed")


def test_a_delivery_is_its_shards_and_a_manifest_and_nothing_else(tmp_path: Path) -> None:
    found = deliver(tmp_path / "out")
    assert (found.rows, found.owners, found.left_out, found.made) == (16, 8, {"bought nothing": 2}, 4)
    assert sorted(contents(tmp_path)) == ["out/manifest.json", *(f"out/part-0000{number}.csv" for number in range(4))]
    page = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [shard["rows"] for shard in page["shards"]] == [4, 4, 6, 2][: len(page["shards"])]
    assert (page["rows"], page["users"], page["users_left_out"]) == (16, 8, {"bought nothing": 2})


class Killed(BaseException):
    """Ends the program as a kill does: nothing catches it."""


def moments(monkeypatch: pytest.MonkeyPatch, *, last: int | None) -> list[str]:
    """Have the program die before its ``last``-th change of the disk; the list names the changes as they are made."""
    done: list[str] = []

    def counted(name: str, change: Any) -> Any:
        def change_unless_killed(path: Path, *words: Any, **named: Any) -> Any:
            if len(done) == last:
                raise Killed
            done.append(f"{name} {path.name}")
            if name == "write_bytes" and len(done) == last:
                # The kill falls into the writing: half of it is there.
                path.write_text("half", encoding="utf-8")
                raise Killed
            return change(path, *words, **named)

        return change_unless_killed

    for name in ("write_bytes", "write_text", "replace", "rename", "unlink"):
        monkeypatch.setattr(Path, name, counted(name, getattr(Path, name)))
    return done


def test_killed_before_any_change_of_the_disk_it_goes_on_to_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        changes = moments(patch, last=None)
        deliver(tmp_path / "counted" / "out")
    assert len(changes) > 20
    for last in range(len(changes)):
        place = tmp_path / f"killed-{last}"
        with pytest.MonkeyPatch.context() as patch:
            moments(patch, last=last)
            with pytest.raises(Killed):
                deliver(place / "out")
        again = TenLists()
        deliver(place / "out", again)
        assert contents(place) == whole, changes[last]
        kept = sum(change.startswith("replace .part-") and change.endswith(".note.part") for change in changes[:last])
        assert len(again.made) == 4 - kept


def test_a_kill_while_a_delivery_is_replaced_ends_in_the_new_one(tmp_path: Path, whole: dict[str, bytes]) -> None:
    deliver(tmp_path / "old" / "out", made_at="earlier")
    with pytest.MonkeyPatch.context() as patch:
        shutil.copytree(tmp_path / "old", tmp_path / "counted")
        changes = moments(patch, last=None)
        deliver(tmp_path / "counted" / "out")
    for last in range(len(changes)):
        place = tmp_path / f"killed-{last}"
        shutil.copytree(tmp_path / "old", place)
        with pytest.MonkeyPatch.context() as patch:
            moments(patch, last=last)
            with pytest.raises(Killed):
                deliver(place / "out")
        deliver(place / "out")
        assert contents(place) == whole, changes[last]


def test_a_finished_delivery_of_the_same_plan_is_kept_as_it_is(tmp_path: Path) -> None:
    deliver(tmp_path / "out")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()}
    again = TenLists()
    assert deliver(tmp_path / "out", again).made == 0
    assert again.made == []
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("broken", ["cut short", "gone", "of another run"])
def test_a_broken_shard_is_made_again_alone(tmp_path: Path, whole: dict[str, bytes], broken: str) -> None:
    deliver(tmp_path / "here" / "out")
    shard = tmp_path / "here" / "out" / "part-00002.csv"
    if broken == "gone":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-3] if broken == "cut short" else b"user_id,rank\nu9,1\n")
    again = TenLists()
    assert deliver(tmp_path / "here" / "out", again).made == 1
    assert again.made == [6]
    assert contents(tmp_path / "here") == whole


@pytest.mark.parametrize(
    "change",
    [{"made_at": "later"}, {"program": {"numpy": "3"}}, {"options": {**PLAN["options"], "k": 3}}],  # type: ignore[dict-item]
    ids=["made_at", "program", "options"],
)
def test_shards_of_another_plan_are_never_mixed_in(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        moments(patch, last=12)
        with pytest.raises(Killed):
            deliver(tmp_path / "out", **change)
    assert list((tmp_path / ".out.part").glob("*.note"))
    again = TenLists()
    deliver(tmp_path / "out", again)
    assert again.made == [0, 3, 6, 9]
    after_that = TenLists()
    deliver(tmp_path / "out", after_that, **change)
    assert after_that.made == [0, 3, 6, 9]


@pytest.mark.parametrize("page", ["", "[]", "{", '{"shards": [1, {"file": "../x"}, {"file": 3}]}'])
def test_a_manifest_that_is_none_or_lies_does_not_stop_the_export(
    tmp_path: Path, whole: dict[str, bytes], page: str
) -> None:
    deliver(tmp_path / "here" / "out")
    manifest = tmp_path / "here" / "out" / "manifest.json"
    if page.startswith('{"'):
        manifest.write_text(json.dumps({**PLAN, **json.loads(page)}))
        deliver(tmp_path / "here" / "out")
        assert contents(tmp_path / "here") == whole
    else:
        manifest.write_text(page)
        with pytest.raises(InputError, match="is there and is no delivery of ranked edges, so it is not replaced"):
            deliver(tmp_path / "here" / "out")


@pytest.mark.parametrize("name", ["notes.txt", "part-00007.csv", "more/notes.txt"])
def test_a_file_of_a_person_in_a_delivery_is_never_deleted(tmp_path: Path, name: str) -> None:
    deliver(tmp_path / "out")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_text("mine")
    before = contents(tmp_path)
    first = name.split("/", maxsplit=1)[0]
    with pytest.raises(InputError, match=rf"holds what is not of its delivery \('{first}', 1 in all\), so it is not"):
        deliver(tmp_path / "out", made_at="later")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("change", [{"run": "second"}, {"kind": "related"}])
def test_a_delivery_of_another_run_or_kind_is_not_replaced(tmp_path: Path, change: dict[str, Any]) -> None:
    deliver(tmp_path / "out")
    before = contents(tmp_path)
    (key,) = change
    with pytest.raises(InputError, match=f"holds a delivery whose {key} is .*, so it is not replaced; give another"):
        deliver(tmp_path / "out", **change)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("page", ['["shards"]', '{"shards": 3}', '{"shards": {}}', "[" * 100_000])
def test_what_only_speaks_of_shards_is_no_delivery(tmp_path: Path, page: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(page)
    with pytest.raises(InputError, match="is there and is no delivery of ranked edges, so it is not replaced"):
        deliver(tmp_path / "out")


@pytest.mark.parametrize("known", [True, False])
def test_a_link_stays_and_the_folder_that_it_names_is_delivered(
    tmp_path: Path, whole: dict[str, bytes], *, known: bool
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "here").mkdir()
    if known:
        deliver(tmp_path / "disk" / "out", made_at="earlier")
    link = tmp_path / "here" / "link"
    link.symlink_to(tmp_path / "disk" / "out")
    deliver(link)
    assert link.is_symlink()
    assert contents(tmp_path / "disk") == whole
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["link"]


def test_the_folder_in_which_one_stands_can_be_delivered_to(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "out").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "out")
    assert deliver(Path()).folder == tmp_path / "here" / "out"
    monkeypatch.chdir(tmp_path)
    assert contents(tmp_path / "here") == whole


def test_a_place_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(InputError, match="'/' has no name of its own; give a folder below it"):
        deliver(Path("/"))
    with pytest.raises(InputError, match="is a link that leads round in a circle; give another folder"):
        deliver(tmp_path / "round")


def test_what_killed_commands_left_is_gone_also_where_nothing_is_to_be_made(tmp_path: Path) -> None:
    deliver(tmp_path / "out")
    before = contents(tmp_path)
    for left in (".out.part", ".out.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "plan.json").write_text("{}")
    assert deliver(tmp_path / "out").made == 0
    assert contents(tmp_path) == before
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_manifest_whose_counts_lie_is_put_right(tmp_path: Path, whole: dict[str, bytes]) -> None:
    deliver(tmp_path / "here" / "out")
    manifest = tmp_path / "here" / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 16', '"rows": 17'))
    deliver(tmp_path / "here" / "out")
    assert contents(tmp_path / "here") == whole


def test_two_exports_at_once_into_one_folder_are_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Meanwhile(TenLists):
        def shard(self, part: tuple[int, int]) -> Shard:
            # Locks of one process do not keep it out itself, so another one tries.
            done = in_another_process(tmp_path / "out")
            assert done == "another export writes to"
            return super().shard(part)

    deliver(tmp_path / "out", Meanwhile())
    assert in_another_process(tmp_path / "out") == "free"
    assert not (tmp_path / ".out.lock").exists()


def in_another_process(folder: Path) -> str:
    """Return what another process is told that wants the lock of ``folder``."""
    lines = (
        "import sys, pathlib",
        "from gnn.locks import only_process",
        "from loaders.errors import InputError",
        "try:",
        "    with only_process(pathlib.Path(sys.argv[1]), otherwise='another export writes to'): print('free')",
        "except InputError as error: print(error)",
    )
    words = [sys.executable, "-c", "\n".join(lines), str(folder.with_name(f".{folder.name}.lock"))]
    root = Path(__file__).parents[2]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def test_a_lock_whose_file_is_gone_is_taken_anew(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with only_process(file, otherwise="taken"):
        assert file.exists()
    assert not file.exists()
    with pytest.raises(ZeroDivisionError), only_process(file, otherwise="taken"):
        _ = 1 / 0
    assert not file.exists()


Usage = namedtuple("Usage", "total used free")


def test_a_disk_without_room_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 20 rows of at least two letters of a user, three of a product and two separators.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 20 * 7 - 1))
    edges = TenLists()
    with pytest.raises(InputError, match=r"the shards take 0.0 GB or more, and 0.0 GB are free at .*; make room"):
        deliver(tmp_path / "out", edges)
    assert edges.made == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, 20 * 7))
    assert deliver(tmp_path / "out", edges).made == 4


def test_a_disk_that_gets_full_keeps_the_whole_shards_and_no_half_ones(tmp_path: Path, whole: dict[str, bytes]) -> None:
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.startswith(".part-00002.csv."):
            written(path, content[:5])
            raise OSError(28, "No space left on device", str(path))
        return written(path, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            deliver(tmp_path / "here" / "out")
    left = {file.name for file in (tmp_path / "here" / ".out.part").iterdir()}
    assert left == {"plan.json", *(f"part-0000{n}.csv{end}" for n in range(2) for end in ("", ".note"))}
    again = TenLists()
    deliver(tmp_path / "here" / "out", again)
    assert again.made == [6, 9]
    assert contents(tmp_path / "here") == whole


@pytest.fixture(params=["parquet", "csv", "jsonl"])
def form(request: pytest.FixtureRequest) -> ShardFormat:
    columns = (
        Column("id", "string", "any text"),
        Column("rank", "int64", "a place"),
        Column("score", "float64", "a number"),
        Column("filled", "boolean", "a word"),
    )
    return ShardFormat(columns, request.param)


def test_every_format_gives_back_what_was_written(form: ShardFormat, tmp_path: Path) -> None:
    ids = ["=1+1", "'=x", "''@", "+1", "-1", "@me", "\ttab", "\rreturn", "it's", 'tea, "hot"\n', "grün", None]
    frame = pl.DataFrame(
        {
            "id": ids,
            "rank": list(range(len(ids))),
            "score": [-1.5, 1e-17, 0.1 + 0.2, *([None] * (len(ids) - 3))],
            "filled": [True, False, None] * 4,
        }
    )
    for bom in (False, True):
        here = replace(form, bom=bom)
        (tmp_path / "file").write_bytes(here.content(frame))
        assert here.read(tmp_path / "file").equals(frame, null_equal=True)
        (tmp_path / "none").write_bytes(here.content(frame.clear()))
        assert here.read(tmp_path / "none").equals(frame.clear())


def test_no_cell_of_a_csv_is_a_formula_to_a_spreadsheet() -> None:
    columns = (Column("id", "string", "any text"), Column("score", "float64", "a number"))
    frame = pl.DataFrame({"id": ["=1+1", "+1", "-1", "@me", "\ttab", "\rreturn", "tea"], "score": [-0.5] * 7})
    content = ShardFormat(columns, "csv", bom=True).content(frame)
    assert content.startswith("\N{ZERO WIDTH NO-BREAK SPACE}id,score\n".encode())
    assert content.decode("utf-8-sig").split("\n")[1:5] == ["'=1+1,-0.5", "'+1,-0.5", "'-1,-0.5", "'@me,-0.5"]
    cells = [row[0] for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))]
    assert cells[1:] == ["'=1+1", "'+1", "'-1", "'@me", "'\ttab", "'\rreturn", "tea"]
