"""The stores that the contract is tested on: a new one passes it by one line in ``FACTORIES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kg.build import graph_tables
from kg.store import GraphStore, open_store
from tests.kg.neo4j_for_tests import Server, running_neo4j
from tests.kg.small_shop import FIRST_RUN, RELATED, small_shop


def empty_ladybug(folder: Path) -> GraphStore:
    return open_store(f"ladybug:{folder / 'shop.lbug'}")


def empty_neo4j(_folder: Path) -> GraphStore:
    server = _neo4j_of_the_session()
    server.empty()
    return open_store(server.uri)


Factory = Callable[[Path], AbstractContextManager[GraphStore]]
FACTORIES: dict[str, Factory] = {
    "ladybug": empty_ladybug,
    "neo4j": empty_neo4j,
}
_running: list[Server] = []


def _neo4j_of_the_session() -> Server:
    assert _running, "the test has to use the fixture `neo4j_server`"
    return _running[0]


@pytest.fixture(scope="session")
def neo4j_server() -> Iterator[Server]:
    """Return a real server for the whole session, with the variables that lead the program to it."""
    with running_neo4j() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEO4J_USER", "neo4j")
        patch.setenv("NEO4J_PASSWORD", server.password)
        _running.append(server)
        yield server
        _running.clear()


@pytest.fixture(params=FACTORIES)
def factory(request: pytest.FixtureRequest) -> Factory:
    """Return what makes an empty store of each kind."""
    if request.param == "neo4j":
        request.getfixturevalue("neo4j_server")
    return FACTORIES[request.param]


@pytest.fixture
def store(factory: Factory, tmp_path: Path) -> Iterator[GraphStore]:
    """Return an open, empty store."""
    with factory(tmp_path) as opened:
        yield opened


@pytest.fixture
def empty_server(neo4j_server: Server) -> Server:
    """Return a running Neo4j that holds nothing."""
    neo4j_server.empty()
    return neo4j_server


@pytest.fixture
def loaded(store: GraphStore) -> GraphStore:
    """Return a store that holds the small shop and the results of its first run."""
    store.replace_graph(graph_tables(small_shop()))
    store.write_results("RELATED", RELATED, run=FIRST_RUN)
    return store


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Return the address of a closed Ladybug file that holds the small shop and the results of its first run."""
    place = f"ladybug:{tmp_path / 'small.lbug'}"
    with open_store(place) as store:
        store.replace_graph(graph_tables(small_shop()))
        store.write_results("RELATED", RELATED, run=FIRST_RUN)
    return place
