"""The offline importer, on a Neo4j of its own that it starts and stops; then the same database as one only to read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from kg import neo4j_load, neo4j_server
from kg.build import graph_tables
from kg.graph import GraphTables
from kg.load import load_graph
from kg.neo4j_bulk import imported_store
from kg.neo4j_java import REPOSITORY
from kg.neo4j_server import running_uri, start_server, stop_server
from kg.store import open_store
from loaders.errors import InputError
from tests.kg.neo4j_for_tests import HEAP, JARS, required, why_not
from tests.kg.small_shop import FIRST_RUN, PRODUCTS, RELATED, small_shop

NASTY = ["it's", 'say "hi", `then`', "back\\slash\\", "two\nlines\r\n, one 🍵", None]
SHOP = small_shop(
    products=PRODUCTS.with_columns(
        note=pl.Series(NASTY),
        ratio=pl.Series([float("inf"), -float("inf"), float("nan"), 5e-324, None]),
        whole=pl.Series([2**63 - 1, -(2**63), 0, None, 1]),
        organic=pl.Series([True, False, None, True, False]),
    )
)
TABLES = graph_tables(SHOP)


@dataclass(frozen=True)
class Imported:
    """What a bulk load left."""

    home: Path
    """The folder of the stopped Neo4j."""

    before: bool
    """Whether the graph counted as whole before the load that follows the importer."""

    written: int
    """Nodes and edges that this load wrote."""

    found: GraphTables
    """The graph read back after it."""


@pytest.fixture(scope="module")
def imported() -> Iterator[Imported]:
    """Return a Neo4j that the importer filled, in the folder of the repository, where its jars are kept."""
    if reason := why_not(needs_own=True):
        if required():
            pytest.fail(f"Neo4j has to be tested here, and cannot: {reason}")
        pytest.skip(f"Neo4j NOT TESTED: {reason}")
    home = Path(tempfile.mkdtemp(prefix="neo4j-bulk-"))
    written: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        patch.delenv("NEO4J_PASSWORD", raising=False)
        patch.setattr(neo4j_load, "write_nodes", lambda _write, _label, frame, **_: written.append(len(frame)))
        patch.setattr(neo4j_load, "write_edges", lambda _write, _relation, frame: written.append(len(frame)))
        with imported_store(TABLES, home=home, heap=HEAP) as store:
            before = store.layout() is not None
            assert load_graph(SHOP, store).written
            found = store.read_graph()
    yield Imported(home=home, before=before, written=sum(written), found=found)
    shutil.rmtree(home)


def test_the_importer_makes_the_very_graph_so_that_the_load_after_it_writes_nothing(imported: Imported) -> None:
    assert not imported.before
    assert imported.written == 0
    assert imported.found.fingerprint() == TABLES.fingerprint()
    assert running_uri(imported.home) is None


def test_a_database_that_may_only_be_read_is_read_and_a_write_to_it_ends_in_a_sentence(
    imported: Imported, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = f"{neo4j_server.SETTINGS}server.databases.default_to_read_only=true\n"
    monkeypatch.setattr(neo4j_server, "SETTINGS", read_only)
    try:
        server = start_server(imported.home, heap=HEAP, page_cache="128m", jars=JARS)
        with open_store(server.uri, password_file=str(server.password_file)) as store:
            assert store.read_graph().fingerprint() == TABLES.fingerprint()
            assert not load_graph(SHOP, store).written
            with pytest.raises(InputError, match=r"the database at .* can only be read; allow writing to it"):
                store.replace_graph(graph_tables(small_shop()))
            with pytest.raises(InputError, match="can only be read"):
                store.write_results("RELATED", RELATED, run=FIRST_RUN)
            assert store.read_graph().fingerprint() == TABLES.fingerprint()
    finally:
        stop_server(imported.home)
