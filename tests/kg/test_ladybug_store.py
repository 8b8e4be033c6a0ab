"""What only the embedded store can get wrong: locks, crashes and leftover files."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kg import ladybug_connection, ladybug_store
from kg.build import graph_tables
from kg.ladybug_store import BESIDE, LadybugStore
from kg.load import load_graph
from kg.schema import VERSION
from kg.store import open_store
from loaders.errors import InputError
from loaders.tables import check_shop
from tests.kg.small_shop import FIRST_RUN, PURCHASES, RELATED, run_record, small_shop

ROOT = Path(__file__).parents[2]

# Kills its own process the moment the store is about to copy into the table that is named, or to end the transaction in
# which the new results take the old ones' place.
CRASH = """
import os, signal, sys
from kg.build import graph_tables
from kg.ladybug_connection import Connection
from kg.store import open_store
from tests.kg.small_shop import FIRST_RUN, PURCHASES, RELATED, run_record, small_shop

address, what, where = sys.argv[1:]
store = open_store(address)
copy, run, said = Connection.copy, Connection.run, []

def deadly_copy(self, table, frame, **options):
    if table == where:
        os.kill(os.getpid(), signal.SIGKILL)
    copy(self, table, frame, **options)

def deadly_run(self, text, parameters=None):
    said.append(text)
    if text == where and any("RENAME" in each for each in said):
        os.kill(os.getpid(), signal.SIGKILL)
    run(self, text, parameters)

Connection.copy, Connection.run = deadly_copy, deadly_run
if what == "graph":
    store.replace_graph(graph_tables(small_shop(purchases=PURCHASES.head(3))))
else:
    store.write_results("RELATED", RELATED.head(1), run=run_record("first", exponent=0.75))
"""

HOLD = """
import sys
from kg.store import open_store
with open_store(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


def path_of(address: str) -> Path:
    return Path(address.removeprefix("ladybug:"))


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("graph", "BOUGHT"),
        ("graph", "Graph"),
        ("results", f"RELATED{BESIDE}"),
        ("results", "Run"),
        ("results", "COMMIT"),
    ],
)
def test_a_killed_writer_leaves_the_old_graph_whole(address: str, what: str, where: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASH, address, what, where], cwd=ROOT, capture_output=True, check=False
    )
    assert ended.returncode == -9, ended.stderr
    tables = graph_tables(small_shop())
    # Read-only first: a reader must not need a writer to clean up.
    for read_only in (True, False):
        with open_store(address, read_only=read_only) as store:
            assert store.read_graph().fingerprint() == tables.fingerprint()
            assert_frame_equal(store.read_results("RELATED", "first"), RELATED.sort("source", "target"))
            assert store.run_record() == FIRST_RUN
    with open_store(address) as store:
        names = store.query("CALL show_tables() RETURN name AS name", {})["name"]
        assert not names.str.ends_with(BESIDE).any()
        changed = graph_tables(small_shop(purchases=PURCHASES.head(3)))
        store.replace_graph(changed)
        assert store.read_graph().fingerprint() == changed.fingerprint()
    assert [file.name for file in path_of(address).parent.iterdir()] == [path_of(address).name]


def test_a_second_writer_is_refused_and_a_reader_is_not(address: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, address], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(InputError, match="is open in another process; wait until that has ended"):
            open_store(address)
        # Ladybug locks writers out, not readers: these see what is committed.
        with open_store(address, read_only=True) as reader:
            assert reader.read_graph().fingerprint() == graph_tables(small_shop()).fingerprint()
        holder.communicate("")
    with open_store(address, read_only=True) as first, open_store(address, read_only=True) as second:
        assert first.layout() == second.layout() is not None


def test_a_missing_file_is_not_made_by_a_reader(tmp_path: Path) -> None:
    address = f"ladybug:{tmp_path / 'sub' / 'none.lbug'}"
    with pytest.raises(InputError, match=r"no graph store at 'ladybug:.*none.lbug'; make it with: python -m kg.load"):
        open_store(address, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "text.lbug"
    place.write_text("not a database, only text\n" * 500, encoding="utf-8")
    with pytest.raises(InputError, match="cannot be opened as a Ladybug store"):
        open_store(f"ladybug:{place}")


@pytest.mark.parametrize("address", ["", "ladybug:", "ladybug", "postgres:x", "data/shop.lbug"])
def test_an_address_of_no_store_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=f"no store has the address '{address}'; give ladybug:PATH"):
        open_store(address)


def test_a_graph_of_another_schema_version_is_refused(address: str) -> None:
    with LadybugStore(path_of(address)) as store:
        old = json.loads(store._connection.read("MATCH (g:Graph) RETURN g.layout AS layout").item()) | {"version": 0}
        # A field that this version does not know.
        store._connection.run("MATCH (g:Graph) SET g.layout = $layout", {"layout": json.dumps(old | {"era": "stone"})})
    with open_store(address) as store:
        with pytest.raises(
            InputError, match=f"has schema version 0 and this program reads version {VERSION}; delete the file"
        ):
            store.layout()
        with pytest.raises(InputError, match="schema version 0"):
            store.read_graph()


def test_a_graph_from_before_purchases_had_discounts_asks_to_be_loaded_anew(address: str) -> None:
    with LadybugStore(path_of(address)) as store:
        layout = json.loads(store._connection.read("MATCH (g:Graph) RETURN g.layout AS layout").item()) | {"version": 4}
        for column in ("discount", "coupon"):
            store._connection.run(f"ALTER TABLE BOUGHT DROP {column}")
        store._connection.run("MATCH (g:Graph) SET g.layout = $layout", {"layout": json.dumps(layout)})
    sentence = rf"has schema version 4 and this program reads version {VERSION}; delete the file and load it again"
    with open_store(address) as store:
        for ask in (store.read_graph, store.run_record, partial(load_graph, small_shop(), store)):
            with pytest.raises(InputError, match=sentence):
                ask()
    path_of(address).unlink()
    with open_store(address) as store:
        assert load_graph(small_shop(), store).written
        assert store.read_graph().fingerprint() == graph_tables(small_shop()).fingerprint()


def test_a_graph_that_is_written_and_read_in_parts_is_the_whole_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = graph_tables(small_shop())
    monkeypatch.setattr("kg.ladybug_connection.CELLS_PER_COPY", 16)
    monkeypatch.setattr("kg.ladybug_store.ROWS_AT_ONCE", 3)
    assert len(tables.nodes["User"]) > 2
    assert len(tables.edges["BOUGHT"]) > 2
    with LadybugStore(tmp_path / "parts.lbug") as store:
        store.replace_graph(tables)
        read = store.read_graph()
    assert read.fingerprint() == tables.fingerprint()
    assert_frame_equal(read.edges["BOUGHT"], tables.edges["BOUGHT"])


def test_a_half_written_new_file_is_ignored_and_replaced(address: str) -> None:
    beside = path_of(address).with_name(path_of(address).name + ".new")
    beside.write_bytes(b"half of something")
    beside.with_name(beside.name + ".wal").write_bytes(b"and its log")
    with open_store(address) as store:
        assert store.read_graph().fingerprint() == graph_tables(small_shop()).fingerprint()
        changed = graph_tables(small_shop(purchases=PURCHASES.head(3)))
        store.replace_graph(changed)
        assert store.read_graph().fingerprint() == changed.fingerprint()
    assert not beside.exists()


def test_a_graph_that_cannot_be_copied_leaves_the_old_one_open(address: str) -> None:
    tables = graph_tables(small_shop())
    broken = graph_tables(small_shop())
    broken.edges["BOUGHT"].replace_column(0, broken.edges["BOUGHT"]["source"].str.replace("ann", "nobody"))
    with open_store(address) as store:
        with pytest.raises(InputError, match="nobody"):
            store.replace_graph(broken)
        assert store.read_graph().fingerprint() == tables.fingerprint()


def test_results_may_need_more_memory_than_the_database_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 400
    many = pl.DataFrame({"product_id": [f"p{number:03d}" for number in range(count)]})
    shop = check_shop("many", products=many, purchases=many.head(1).with_columns(user_id=pl.lit("ann")))
    numbers = np.random.default_rng(0).random((count * count, 8))
    ends = {"source": np.repeat(many["product_id"], count), "target": np.tile(many["product_id"], count)}
    edges = pl.DataFrame(ends).with_columns(
        **{name: pl.Series(values) for name, values in zip(RELATED.columns[2:10], numbers.T, strict=True)},
        near=pl.lit(1.0),
    )
    # In one transaction the 160,000 edges, 28 MB in the file, need more than 48 MB.
    with monkeypatch.context() as small:
        small.setattr(ladybug_connection, "BUFFER_BYTES", 40 << 20)
        small.setattr(ladybug_store, "ROWS_PER_TRANSACTION", 50_000)
        small.setattr(ladybug_store, "CELLS_PER_TYPING", 300_000)
        with LadybugStore(tmp_path / "many.lbug") as store:
            store.replace_graph(graph_tables(shop))
            store.write_results("RELATED", edges, run=FIRST_RUN)
    monkeypatch.setattr(ladybug_store, "ROWS_AT_ONCE", 60_000)
    with LadybugStore(tmp_path / "many.lbug") as store:
        assert_frame_equal(store.read_results("RELATED", FIRST_RUN.name), edges, check_exact=True)
        # Those of another run, which are kept, are read in parts too.
        store.write_results("RELATED", edges.head(1), run=run_record("second"))
        assert_frame_equal(store.read_results("RELATED", FIRST_RUN.name), edges, check_exact=True)
