"""The offline importer, on a Neo4j of its own that it starts and stops."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from kg import neo4j_load
from kg.build import graph_tables
from kg.load import load_graph
from kg.neo4j_bulk import imported_store
from kg.neo4j_java import REPOSITORY
from kg.neo4j_server import running_uri
from tests.kg.neo4j_for_tests import HEAP, required, why_not
from tests.kg.small_shop import PRODUCTS, small_shop


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder for a Neo4j, in the folder of the repository, where its jars are kept."""
    if reason := why_not(needs_own=True):
        if required():
            pytest.fail(f"Neo4j has to be tested here, and cannot: {reason}")
        pytest.skip(f"Neo4j NOT TESTED: {reason}")
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.delenv("NEO4J_PASSWORD", raising=False)
    folder = Path(tempfile.mkdtemp(prefix="neo4j-bulk-"))
    yield folder
    shutil.rmtree(folder)


def test_the_importer_makes_the_very_graph_so_that_the_load_after_it_writes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty = ["it's", 'say "hi", `then`', "back\\slash\\", "two\nlines\r\n, one 🍵", None]
    shop = small_shop(
        products=PRODUCTS.with_columns(
            note=pl.Series(nasty),
            ratio=pl.Series([float("inf"), -float("inf"), float("nan"), 5e-324, None]),
            whole=pl.Series([2**63 - 1, -(2**63), 0, None, 1]),
            organic=pl.Series([True, False, None, True, False]),
        )
    )
    written: list[int] = []
    monkeypatch.setattr(neo4j_load, "write_nodes", lambda _write, _label, frame, **_: written.append(len(frame)))
    monkeypatch.setattr(neo4j_load, "write_edges", lambda _write, _relation, frame: written.append(len(frame)))
    tables = graph_tables(shop)
    with imported_store(tables, home=home, heap=HEAP) as store:
        assert store.layout() is None
        assert load_graph(shop, store).written
        assert sum(written) == 0
        assert store.read_graph().fingerprint() == tables.fingerprint()
    assert running_uri(home) is None
