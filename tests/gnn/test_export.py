"""The export as a command: killed ten times, at a full disk, resumed, and what its columns say."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import gnn.diff
import gnn.export
import gnn.purchases
import gnn.verify
from gnn.export import ExportConfig, export_run
from gnn.program import program_commit, program_versions
from gnn.read_delivery import AGAIN, delivered_edges
from gnn.run import RunFolder
from kg.schema import SHARES
from kg.store import GraphStore, open_store
from loaders.errors import InputError, run_command
from tests.gnn.test_bad_input import limit, refused, run
from tests.gnn.trained import trained

ROOT = Path(__file__).parents[2]
K = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training without networks."""
    return trained(tmp_path_factory.mktemp("export"), k=K)


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


def test_purchases_read_shard_by_shard_leave_the_bytes_of_those_in_memory(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gnn.purchases, "USERS_AT_ONCE", 64)
    for name, to_graph in (("memory", True), ("store", False)):
        out = str(tmp_path / name / "out")
        export_run(run_of(place), ExportConfig(run="synthetic", k=K, per_shard=64, out=out, to_graph=to_graph))
    assert contents(tmp_path / "memory") == contents(tmp_path / "store")
    assert len(contents(tmp_path / "store")) == 5


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


def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *given: str
) -> tuple[int | str | None, str, str]:
    """Return how ``gnn.export`` with these words ends in this process, and what it says."""
    monkeypatch.setattr(sys, "argv", ["gnn.export", *given])
    capsys.readouterr()
    code: int | str | None = 0
    try:
        run_command(gnn.export.main)
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    return code, said.out, said.err


def test_what_the_commands_deliver_is_whole_and_a_broken_shard_is_found_and_made_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = str(place / "runs" / "synthetic" / "ranked_edges")
    assert told(capsys, monkeypatch, "--verify", trained)[:2] == (0, f"whole: 1600 rows in 1 shards in {trained}\n")
    for number, more in enumerate((["--format", "csv", "--bom"], ["--format", "jsonl", "--k", "150"], ["--k", "3"])):
        for edges in ("bought", "related"):
            out = tmp_path / f"{edges}{number}"
            own = ["--run", "synthetic", "--runs", str(place / "runs"), "--no-to-graph", "--out", str(out), *more]
            command = [*own, "--edges", edges, "--per-shard", "50"]
            code, said, _ = told(capsys, monkeypatch, *command)
            assert code == 0
            assert ("only" in said) == (number == 1)
            assert told(capsys, monkeypatch, "--verify", str(out))[0] == 0
    shard = out / "part-00001.parquet"
    whole_bytes = shard.read_bytes()
    shard.write_bytes(whole_bytes[:-20])
    code, said, error = told(capsys, monkeypatch, "--verify", str(out))
    assert code == 2
    assert said.startswith("part-00001.parquet has another SHA-256 than the manifest says: it was cut short")
    assert error == f"error: {str(out)!r} has 2 faults; {AGAIN}\n"
    assert told(capsys, monkeypatch, *command)[0] == 0
    assert shard.read_bytes() == whole_bytes
    assert told(capsys, monkeypatch, "--verify", str(out))[0] == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "nothing to export; give --run NAME, or --verify FOLDER to check what was exported"),
        (["--run", "x", "--per-shard", "0"], "per_shard is 0; give 1 or more"),
        (["--run", "x", "--bom"], "a byte order mark is for CSV files, and the format is parquet; leave out --bom"),
        (["--run", "x", "--out", ""], "--out is empty; give a name, or leave it out"),
        (["--verify", "a", "--diff", "b", "c"], "--verify makes no use of --diff; leave out the one or the other"),
        (["--verify", "a", "--k", "5"], "--verify makes no use of --k; leave out the one or the other"),
        (["--verify", "a", "--out", "b"], "--verify makes no use of --out; leave out the one or the other"),
        (
            ["--diff", "a", "b", "--run", "x", "--rules", "r", "--no-fill"],
            "--diff makes no use of --run and --rules and --no-fill; leave out the one or the other",
        ),
        (
            ["--run", "x", "--edges", "related", "--no-fill"],
            "--edges related makes no use of --no-fill; leave out the one or the other",
        ),
        (
            ["--run", "x", "--profiles", "--edges", "related", "--no-fill", "--per-shard", "5"],
            "--profiles makes no use of --edges and --no-fill and --per-shard; leave out the one or the other",
        ),
        (["--verify", "nowhere"], "'nowhere' is no delivery of ranked edges: it has no manifest.json that says so"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    given: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, error = told(capsys, monkeypatch, *given)
    assert (code, error) == (2, f"error: {sentence}\n")


RULES = """
block: {products: [p014], categories: [Music > Piano Book]}
price: {to: 12}
at_most: {brand: 2}
boost: {categories: {Garden: 100.0}}
"""


def test_rules_hold_in_files_and_graph_are_explained_and_stand_in_the_manifest(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    own = ["--run", "synthetic", "--runs", str(place / "runs"), "--rules", str(tmp_path / "rules.yaml"), "--k", "8"]
    # In the place of the training's delivery, and so in the graph; the same again without rules puts both back.
    code, _, error = told(capsys, monkeypatch, *own)
    assert (code, error) == (0, "")
    folder = place / "runs" / "synthetic" / "ranked_edges"
    assert told(capsys, monkeypatch, "--verify", str(folder))[0] == 0
    edges = pl.concat(delivered_edges(folder))
    with open_store(f"ladybug:{place / 's.lbug'}", read_only=True) as store:
        tables, stored = store.read_graph(), store.read_results("RECOMMENDED", "synthetic")
    pairs = edges.filter(~pl.col("filled")).select(source="user_id", target="product_id", rank="rank", score="score")
    assert_frame_equal(stored.select("source", "target", "rank", "score"), pairs.sort("source", "target"))
    nodes = tables.nodes["Product"].select(product_id="id", price="price")
    brands = tables.edges["HAS_BRAND"].select(product_id="source", brand="target")
    categories = tables.edges["IN_CATEGORY"].select(product_id="source", category="target")
    assert edges.filter(product_id="p014").is_empty()
    assert edges.join(nodes, on="product_id").filter(~(pl.col("price") <= 12)).is_empty()
    assert edges.join(categories, on="product_id").filter(category="Music > Piano Book").is_empty()
    assert edges.join(brands, on="product_id").group_by("user_id", "brand").len()["len"].max() == 2
    raised = edges.join(categories.filter(category="Garden"), on="product_id")["boost"]
    assert raised.unique().to_list() == [100.0]
    page = json.loads((folder / "manifest.json").read_text())
    assert page["rules"]["rules"]["price"] == {"to": 12}
    assert page["rules"]["sha256"] == hashlib.sha256(RULES.encode()).hexdigest()

    code, said, _ = told(capsys, monkeypatch, *own, "--explain-rules")
    assert code == 0
    counts = {line.rsplit(maxsplit=2)[0].strip(): int(line.split()[-2]) for line in said.splitlines()[1:]}
    assert counts["without rules"] == 1600
    assert all(counts[name] > 0 for name in ("block products", "block categories", "price", "at_most brand", "boost"))
    plain_config = ExportConfig(run="synthetic", k=K)
    export_run(run_of(place), plain_config)
    plain = pl.concat(delivered_edges(folder))
    gone = plain.join(edges, on=["user_id", "product_id"], how="anti")
    assert len(gone) == sum(counts.values()) - 1600


def test_rules_that_leave_no_list_deliver_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text("minimum_probability: 1.0\n")
    code, _, error = told(capsys, monkeypatch, *words(place, tmp_path / "out", "--rules", str(tmp_path / "rules.yaml")))
    assert code == 2
    assert error.startswith(f"error: the rules in {str(tmp_path / 'rules.yaml')!r} leave no list at all; take some of ")
    assert [file.name for file in tmp_path.iterdir()] == ["rules.yaml"]


def test_another_program_makes_all_shards_again(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ExportConfig(run="synthetic", k=3, per_shard=100, out=str(tmp_path / "out"), to_graph=False)
    assert [export_run(run_of(place), config).made for _ in range(2)] == [2, 0]
    page = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert page["program"] == {
        "commit": program_commit(),
        **{name: version(name) for name in ("polars", "numpy", "scipy")},
    }
    with monkeypatch.context() as patch:
        patch.setattr(gnn.export, "program_commit", lambda: "another")
        assert export_run(run_of(place), config).made == 2
    for name in ("polars", "numpy", "scipy"):
        with monkeypatch.context() as patch:
            patch.setattr(gnn.export, "program_versions", lambda name=name: {**program_versions(), name: "another"})
            assert export_run(run_of(place), config).made == 2


def test_some_users_alone_are_not_written_in_place_of_everybody(place: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("only_users: [u003, u150]\n")
    rules = str(tmp_path / "rules.yaml")
    address = f"ladybug:{place / 's.lbug'}"
    with open_store(address, read_only=True) as store:
        before = store.read_results("RECOMMENDED", "synthetic")
    with pytest.raises(
        InputError, match=r"are for 2 of 200 users, and RECOMMENDED in the graph .*; give --no-to-graph"
    ):
        export_run(run_of(place), ExportConfig(run="synthetic", k=3, out=str(tmp_path / "out"), rules=rules))
    with open_store(address, read_only=True) as store:
        assert_frame_equal(store.read_results("RECOMMENDED", "synthetic"), before)
    assert not (tmp_path / "out").exists()


def test_only_the_lists_of_the_users_of_the_rules_need_room(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.yaml").write_text("only_users: [u003, u150]\n")
    # Two lists of three rows of twelve bytes.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * 3 * 12))
    rules = str(tmp_path / "rules.yaml")
    config = ExportConfig(run="synthetic", k=3, out=str(tmp_path / "out"), to_graph=False, rules=rules)
    assert export_run(run_of(place), config).rows == 6


def test_only_these_users_get_lists(place: Path, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id\nu003\nu150\n")
    (tmp_path / "rules.yaml").write_text("only_users: users.csv\n")
    rules = str(tmp_path / "rules.yaml")
    config = ExportConfig(run="synthetic", k=3, out=str(tmp_path / "out"), to_graph=False, rules=rules, per_shard=64)
    delivery = export_run(run_of(place), config)
    assert (delivery.owners, delivery.left_out) == (2, {"not among the users of the rules": 198})
    export_run(run_of(place), ExportConfig(run="synthetic", k=3, out=str(tmp_path / "all"), to_graph=False))
    wanted = pl.concat(delivered_edges(tmp_path / "all")).filter(pl.col("user_id").is_in(["u003", "u150"]))
    assert_frame_equal(pl.concat(delivered_edges(tmp_path / "out")), wanted, check_exact=True)


def test_two_deliveries_are_compared_on_a_page_and_in_a_file(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, related = (str(tmp_path / name) for name in ("old", "new", "related"))
    for out, k, kind, edges in ((old, 4, "csv", "bought"), (new, 5, "jsonl", "bought"), (related, 4, "csv", "related")):
        own = ["--run", "synthetic", "--runs", str(place / "runs"), "--no-to-graph", "--k", str(k), "--format", kind]
        assert told(capsys, monkeypatch, *own, "--out", out, "--edges", edges)[0] == 0
    code, page, _ = told(capsys, monkeypatch, "--diff", old, new, "--out", str(tmp_path / "changes.parquet"))
    assert code == 0
    # One place more for each of 200 users, and nothing else.
    assert "| all | 200 | 0 | 0 | 0 | 800 |" in page
    changed = pl.read_parquet(tmp_path / "changes.parquet")
    assert changed["change"].value_counts().sort("change").rows() == [("entered", 200), ("same", 800)]
    assert changed.filter(change="entered")["new_rank"].unique().to_list() == [5]
    for pair, sentence in (
        ((old, related), "the old delivery is of bought edges and the new one of related; give two of one kind"),
        ((old, str(tmp_path)), "is no delivery of ranked edges: it has no manifest.json that says so"),
    ):
        code, _, error = told(capsys, monkeypatch, "--diff", *pair)
        assert code == 2
        assert sentence in error


@pytest.fixture
def lists(place: Path, tmp_path: Path) -> Path:
    """Return a delivery in two shards, in a folder whose name is a pattern to some libraries."""
    out = tmp_path / "a[b]*?" / "lists"
    config = ExportConfig(run="synthetic", k=3, out=str(out), to_graph=False, per_shard=100)
    export_run(run_of(place), config)
    return out


def tamper(folder: Path, **values: object) -> None:
    """Put these values into the manifest of a delivery."""
    page = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**page, **values}))


def test_no_password_goes_to_a_server_that_only_a_manifest_names(
    place: Path,
    lists: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []

    def open_noted(address: str, **_: object) -> GraphStore:
        opened.append(address)
        return open_store(f"ladybug:{place / 's.lbug'}", read_only=True)

    for opens in (gnn.verify, gnn.diff):
        monkeypatch.setattr(opens, "open_store", open_noted)
    evil, own = "neo4j://evil.example:7687", ["--runs", str(place / "runs")]
    tamper(lists, store=evil)
    for command in (["--verify", str(lists)], ["--diff", str(lists), str(lists)]):
        for name in ("synthetic", "nobody", "..", "../x"):
            tamper(lists, run=name)
            code, _, error = told(capsys, monkeypatch, *command, *own)
            assert code == 2
            assert error == (
                f"error: {str(lists / 'manifest.json')!r} names a server that no run {name!r} in {own[1]!r} has its "
                "graph in; give the graph's address as --store\n"
            )
        assert opened == []
        tamper(lists, run="synthetic")
        assert told(capsys, monkeypatch, *command, *own, "--store", "neo4j://mine")[0] == 0
        assert opened == ["neo4j://mine"]
        opened.clear()
    # A run in --runs that has its graph there vouches for the address.
    vouching = lists.parent / "runs" / "synthetic"
    vouching.mkdir(parents=True)
    page = json.loads((place / "runs" / "synthetic" / "manifest.json").read_text())
    (vouching / "manifest.json").write_text(json.dumps({**page, "store": evil}))
    assert told(capsys, monkeypatch, "--verify", str(lists), "--runs", str(vouching.parent))[0] == 0
    assert opened == [evil]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_folder_may_be_named_like_a_pattern(
    place: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "[a]*?" / "lists"
    assert told(capsys, monkeypatch, *words(place, out, "--format", kind))[0] == 0
    assert told(capsys, monkeypatch, "--verify", str(out))[0] == 0


def test_a_broken_delivery_is_not_compared(
    lists: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = lists / "part-00001.parquet"
    pl.read_parquet(shard, glob=False).head(5).write_parquet(shard)
    code, _, error = told(capsys, monkeypatch, "--diff", str(lists), str(lists))
    assert (code, error) == (
        2,
        f"error: {str(shard)!r} is not what its manifest says, by its SHA-256; "
        "python -m gnn.export --verify says more\n",
    )


@pytest.mark.parametrize("shards", [None, 3])
def test_a_folder_whose_manifest_lists_no_shards_is_not_replaced(
    place: Path, lists: Path, shards: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tamper(lists, shards=shards)
    before = contents(lists)
    own = ["--run", "synthetic", "--runs", str(place / "runs"), "--k", "3", "--per-shard", "100", "--no-to-graph"]
    code, _, error = told(capsys, monkeypatch, *own, "--out", str(lists))
    assert code == 2
    assert "is no delivery of ranked edges, so it is not replaced" in error
    assert contents(lists) == before


@pytest.mark.parametrize("shards", [[None], [{}], "first name", [{"file": []}]])
def test_of_a_manifest_that_cannot_be_nothing_is_kept(
    place: Path, lists: Path, shards: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(lists)
    page = json.loads(before["manifest.json"])
    if shards == "first name":
        shards = [{**page["shards"][0], "file": ["part-00000.parquet"]}, page["shards"][1]]
    tamper(lists, shards=shards)
    own = ["--run", "synthetic", "--runs", str(place / "runs"), "--k", "3", "--per-shard", "100", "--no-to-graph"]
    code, said, _ = told(capsys, monkeypatch, *own, "--out", str(lists))
    assert code == 0
    assert "as it was" not in said
    assert contents(lists) == before
