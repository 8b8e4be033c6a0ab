"""Checking a delivery: a sound one is whole, and each way to break it is told in its own sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gnn.columns import Kind, columns_of, with_types
from gnn.shard_files import ShardFormat
from gnn.verify import Known, faults, manifest_of
from kg.graph import RunRecord
from kg.schema import SHARES
from loaders.errors import InputError

BOUGHT = pl.DataFrame(
    [
        ("ann", "tea", 1, 2.0, 0.5, "bought", "pot", 0.75, False),
        ("ann", "cup", 2, 2.0, 0.5, None, None, None, False),
        ("ann", "jam", 3, None, None, None, None, None, True),
        ("bob", "tea", 1, -1.0, 0.0, None, None, None, False),
        ("dan", "cup", 1, None, None, None, None, None, True),
    ],
    schema=[
        "user_id", "product_id", "rank", "score", "probability", "reason_kind", "reason_via", "reason_share", "filled",
    ],
    orient="row",
).with_columns(run=pl.lit("first"), made_at=pl.lit("2026-01-01"))  # fmt: skip
RELATED = pl.DataFrame(
    [("cup", "jam", 1, 2.0), ("cup", "tea", 2, 1.0), ("tea", "cup", 1, 0.5)],
    schema=["product_id", "related_id", "rank", "weight"],
    orient="row",
).with_columns(
    *(pl.lit(0.0).alias(name) for name in SHARES[1:]),
    bought="weight", near=pl.lit(0.5), run=pl.lit("first"),
    made_at=pl.lit("2026-01-01"),
)  # fmt: skip
NOTE = {"file": "part-00000.csv", "sha256": "ab", "rows": 5, "owners": 3, "left_out": {}}
WRONG_NOTES = (
    ("file", "../part-00000.csv"), ("file", "/etc/passwd"), ("file", ".."), ("file", "a\0b"), ("file", 3),
    ("sha256", 3), ("rows", "5"), ("rows", True), ("owners", -1), ("left_out", []), ("left_out", {"none": None}),
)  # fmt: skip
PRODUCTS = pl.Series(["cup", "jam", "pot", "tea"])
RUN = RunRecord("first", "2026-01-01", now=5, half_life=1.0, exponent=1.0, learned_before=5)
KNOWN = Known(
    pl.Series(["ann", "bob", "cat", "dan"]),
    PRODUCTS,
    pl.DataFrame({"owner": ["ann", "bob"], "item": ["pot", "jam"]}),
    "abc",
    now=5,
    run=RUN,
)
OWN = Known(PRODUCTS, PRODUCTS, pl.DataFrame({"owner": PRODUCTS, "item": PRODUCTS}), "abc", now=5, run=RUN)


def write(folder: Path, *shards: pl.DataFrame, kind: Kind = "bought", boosted: bool = False) -> dict[str, Any]:
    """Write a delivery of these shards, its manifest true, and return that."""
    columns = columns_of(kind, boosted=boosted)
    form = ShardFormat(columns, "csv")
    called = "users" if kind == "bought" else "products"
    notes = []
    folder.mkdir(exist_ok=True)
    for number, shard in enumerate(shards):
        content = form.content(with_types(shard, columns))
        file = f"part-0000{number}.csv"
        (folder / file).write_bytes(content)
        owners = shard[columns[0].name].n_unique()
        sha256 = hashlib.sha256(content).hexdigest()
        left_out = {"none": 0 if number else 1}
        notes.append({"file": file, "sha256": sha256, "rows": len(shard), "owners": owners, "left_out": left_out})
    page = {
        "kind": kind, "run": "first", "made_at": "2026-01-01", "store": "ladybug:x", "graph": "abc", "now": 5,
        "repeat": False, "options": {"k": 3, "format": "csv", "bom": False},
        "columns": [asdict(column) for column in columns], "rows": sum(note["rows"] for note in notes),
        called: sum(note["owners"] for note in notes), f"{called}_left_out": {"none": 1}, "shards": notes,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(page))
    return page


def found_in(folder: Path, known: Known = KNOWN) -> list[str]:
    return list(faults(folder, manifest_of(folder), known))


def test_a_sound_delivery_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "bought", BOUGHT[:3], BOUGHT[3:])
    assert found_in(tmp_path / "bought") == []
    write(tmp_path / "related", RELATED[:2], RELATED[2:], kind="related")
    assert found_in(tmp_path / "related", OWN) == []


def changed(row: int, **values: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what puts these values into one row of a table."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        here = pl.int_range(pl.len()) == row
        return frame.with_columns(
            pl.when(here).then(pl.lit(value, frame.schema[name])).otherwise(name).alias(name)
            for name, value in values.items()
        )

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed(1, run="second"), "1 of 5 rows are of another run, first ann → cup (rank 2)"),
        (changed(1, run=None), "1 of 5 rows are of another run, first ann → cup (rank 2)"),
        (changed(1, filled=None), "1 of 5 rows lack what no row may lack, first ann → cup (rank 2)"),
        (changed(1, rank=None), "1 of 5 rows lack what no row may lack, first ann → cup"),
        (changed(0, reason_via="x"), "1 of 5 rows have a reason_via that is no product of the graph, first ann → tea"),
        (changed(0, reason_kind="x"), "1 of 5 rows have a reason_kind that is no share of a weight, first ann → tea"),
        (changed(1, probability=0.6), "1 of 5 rows have a probability above that of the row before, first ann → cup"),
        (changed(1, made_at="2025"), "1 of 5 rows are of another run, first ann → cup (rank 2)"),
        (changed(3, user_id="bea"), "1 of 5 rows have a user_id that the graph does not know, first bea → tea"),
        (changed(0, product_id="x"), "1 of 5 rows have a product_id that the graph does not know, first ann → x"),
        (changed(1, product_id="tea"), "2 of 5 rows stand twice, first ann → tea (rank 1)"),
        (changed(1, rank=3), "1 of 5 rows break the ranks 1, 2, 3 …, first ann → cup (rank 3)"),
        (changed(2, product_id="pot"), "1 of 5 rows have a product that she had bought, first ann → pot (rank 3)"),
        (changed(1, score=2.5), "1 of 5 rows have a score above that of the row before, first ann → cup (rank 2)"),
        (changed(1, score=float("nan")), "1 of 5 rows have a score that is no number, first ann → cup (rank 2)"),
        (changed(1, score=None), "1 of 5 rows have no score and fill nothing, first ann → cup (rank 2)"),
        (changed(2, score=1.0), "1 of 5 rows fill a list and have a score, a probability or a reason, first ann"),
        (changed(2, reason_via="pot"), "1 of 5 rows fill a list and have a score, a probability or a reason"),
        (
            changed(1, filled=True, score=None, probability=None),
            None,
        ),
        (changed(0, probability=1.5), "1 of 5 rows have a probability outside 0 to 1, first ann → tea (rank 1)"),
        (lambda frame: frame[[3, 0, 1, 2, 4]], "1 of 5 rows stand behind a later user_id, first ann → tea (rank 1)"),
        (
            lambda frame: pl.concat([frame[:2], changed(0, rank=3)(frame[1:2]), changed(2, rank=4)(frame)[2:]]),
            "1 of 6 rows have a rank above k, 3, first ann → jam (rank 4)",
        ),
        (
            lambda frame: changed(1, rank=3)(changed(2, rank=2)(frame))[[0, 2, 1, 3, 4]],
            "1 of 5 rows stand behind a row that only fills the list, first ann → cup (rank 3)",
        ),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told(
    tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], sentence: str | None
) -> None:
    write(tmp_path / "out", change(BOUGHT))
    told = found_in(tmp_path / "out")
    if sentence is None:
        assert told == []
    else:
        assert [each for each in told if each.startswith(f"part-00000.csv: {sentence}")], told
        assert all(each.startswith("part-00000.csv: ") for each in told)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (changed(0, related_id="cup"), "1 of 3 rows relate a product to itself, first cup → cup (rank 1)"),
        (changed(1, weight=3.0, bought=3.0), "1 of 3 rows have a weight above that of the row before, first cup → tea"),
        (changed(2, weight=0.0, bought=0.0), "1 of 3 rows have a weight that is not above 0, first tea → cup (rank 1)"),
        (changed(0, text=0.1), "1 of 3 rows have a weight that is not the sum of its shares, first cup → jam (rank 1)"),
    ],
)
def test_a_wrong_row_of_related_products_is_told(
    tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], sentence: str
) -> None:
    write(tmp_path / "out", change(RELATED), kind="related")
    told = found_in(tmp_path / "out", OWN)
    assert len(told) == 1
    assert told[0].startswith(f"part-00000.csv: {sentence}")


def test_what_may_be_bought_again_may_have_been_bought(tmp_path: Path) -> None:
    write(tmp_path / "out", changed(2, product_id="pot")(BOUGHT))
    assert found_in(tmp_path / "out", replace(KNOWN, bought=KNOWN.bought.clear())) == []


def test_the_order_of_a_boosted_list_is_by_the_boosted_score(tmp_path: Path) -> None:
    frame = changed(0, score=1.5)(BOUGHT).with_columns(boost=pl.Series([2.0, 1.0, 1.0, 1.0, 1.0]))
    write(tmp_path / "out", frame, boosted=True)
    assert found_in(tmp_path / "out") == []
    write(tmp_path / "out", frame.with_columns(boost=pl.lit(1.0)), boosted=True)
    assert len(found_in(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("rows", 6, "manifest.json says 6 rows of 3 users, and its shards have 5 of 3"),
        ("users", 4, "manifest.json says 5 rows of 4 users, and its shards have 5 of 3"),
        ("users_left_out", {}, "manifest.json says {} of users left out, and its shards say {'none': 1}"),
        ("run", "second", "part-00000.csv: 3 of 3 rows are of another run, first ann → tea (rank 1)"),
    ],
)
def test_a_manifest_that_lies_is_told(tmp_path: Path, name: str, value: object, sentence: str) -> None:
    page = write(tmp_path, BOUGHT[:3], BOUGHT[3:])
    (tmp_path / "manifest.json").write_text(json.dumps({**page, name: value}))
    assert found_in(tmp_path)[0].startswith(sentence)


def test_a_shard_that_lies_or_is_cut_short_or_exchanged_or_gone_or_too_many_is_told(tmp_path: Path) -> None:
    page = write(tmp_path, BOUGHT[:3], BOUGHT[3:])
    first, second = (tmp_path / f"part-0000{number}.csv" for number in (0, 1))
    whole = first.read_bytes()
    first.write_bytes(whole[:-1])
    another = "has another SHA-256 than the manifest says: it was cut short, changed or exchanged"
    assert found_in(tmp_path) == [f"part-00000.csv {another}"]
    first.write_bytes(whole[:90])
    assert found_in(tmp_path)[:2] == [
        f"part-00000.csv {another}",
        "part-00000.csv cannot be read as csv with the columns of the manifest (its columns are "
        "user_id, product_id, rank, score, probability, reason_kind, reason_via, reason_share, filled, run, m)",
    ]
    first.write_bytes(second.read_bytes())
    told = found_in(tmp_path)
    assert told[:2] == [
        f"part-00000.csv {another}",
        "part-00000.csv has 2 rows of 2 users, and the manifest says 3 of 1",
    ]
    assert "part-00001.csv begins with 'bob', which comes not after 'dan', the last of an earlier shard" in told
    first.unlink()
    assert found_in(tmp_path) == ["part-00000.csv is not there"]
    first.write_bytes(whole)
    (tmp_path / "part-00002.csv").write_bytes(whole)
    assert found_in(tmp_path) == ["part-00002.csv is in the folder and not in the manifest"]
    (tmp_path / "part-00002.csv").unlink()
    page["shards"][0]["rows"] = 4
    (tmp_path / "manifest.json").write_text(json.dumps(page))
    assert "part-00000.csv has 3 rows of 1 users, and the manifest says 4 of 1" in found_in(tmp_path)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (None, "is no delivery of ranked edges: it has no manifest.json that says so"),
        ("no json", "is no delivery of ranked edges: it has no manifest.json that says so"),
        ({"profiles": []}, "is no delivery of ranked edges"),
        (
            {"shards": []},
            "lacks columns, graph, kind, made_at, now, options, repeat, rows, run, store, so it is not of",
        ),
        ("[" * 100_000, "is no delivery of ranked edges: it has no manifest.json that says so"),
        ({"kind": "else"}, "has 'kind' that cannot be; delete the folder and export again with the same options"),
        ({"kind": ["bought"]}, "has 'kind' that cannot be"),
        ({"columns": [{"name": "x"}]}, "has 'columns' that cannot be"),
        ({"columns": [asdict(column) for column in columns_of("related")]}, "has 'columns' that cannot be"),
        ({"columns": None}, "has 'columns' that cannot be"),
        ({"options": {}}, "has 'options' that cannot be"),
        ({"options": {"k": 3, "format": "xml", "bom": False}}, "has 'options' that cannot be"),
        ({"options": {"k": 3, "format": ["csv"], "bom": False}}, "has 'options' that cannot be"),
        ({"options": {"k": 10**30, "format": "csv", "bom": False}}, "has 'options' that cannot be"),
        ({"shards": [{"file": "x"}]}, "has 'shards' that cannot be"),
        ({"shards": [3]}, "has 'shards' that cannot be"),
        ({"shards": {}}, "has 'shards' that cannot be"),
        *(({"shards": [{**NOTE, name: value}]}, "has 'shards' that cannot be") for name, value in WRONG_NOTES),
        ({"store": None}, "has 'store' that cannot be"),
        ({"run": "\ud800"}, "has 'run' that cannot be"),
        ({"now": 10**12}, "has 'now' that cannot be"),
        ({"now": 0}, "has 'now' that cannot be"),
        ({"now": True}, "has 'now' that cannot be"),
        ({"repeat": 1}, "has 'repeat' that cannot be"),
        ({"rows": "many"}, "has 'rows' that cannot be"),
        ({"users": "many"}, "has 'users' that cannot be"),
        ({"users_left_out": {"none": -1}}, "has 'users_left_out' that cannot be"),
    ],
)
def test_a_folder_that_is_no_delivery_is_refused(tmp_path: Path, page: Any, sentence: str) -> None:
    if page is not None:
        whole = write(tmp_path, BOUGHT)
        mixed = page if isinstance(page, str) or "profiles" in page or page == {"shards": []} else {**whole, **page}
        (tmp_path / "manifest.json").write_text(page if isinstance(page, str) else json.dumps(mixed))
    with pytest.raises(InputError, match=sentence):
        manifest_of(tmp_path)


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (replace(KNOWN, graph="abd"), "the graph has changed since the delivery was made: manifest.json has another"),
        (replace(KNOWN, now=6), "manifest.json says that now is 5, and the graph's purchases end before 6"),
        (replace(KNOWN, run=None), "manifest.json says that the run 'first' was made at 2026-01-01, and the graph's"),
        (
            replace(KNOWN, run=replace(RUN, made_at="2025")),
            "manifest.json says that the run 'first' was made at 2026-01-01, and the graph's store knows one made at",
        ),
        (
            replace(KNOWN, run=replace(RUN, repeat=True)),
            "manifest.json says that repeat is False, and the run in the graph's store True",
        ),
    ],
)
def test_a_delivery_of_another_graph_or_run_is_told(tmp_path: Path, known: Known, sentence: str) -> None:
    write(tmp_path, BOUGHT)
    told = found_in(tmp_path, known)
    assert len(told) == 1
    assert told[0].startswith(sentence)


def test_a_delivery_without_some_users_is_told_though_its_sums_agree(tmp_path: Path) -> None:
    write(tmp_path, BOUGHT[:3])
    assert found_in(tmp_path) == [
        "manifest.json tells of 2 users, with a list or left out, and the graph has 4",
    ]
