"""The stores that the contract is tested on: a new one passes it by one line in ``FACTORIES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kg.build import graph_tables
from kg.store import GraphStore, open_store
from tests.kg.small_shop import FIRST_RUN, RELATED, small_shop


def empty_ladybug(folder: Path) -> GraphStore:
    return open_store(f"ladybug:{folder / 'shop.lbug'}")


FACTORIES: dict[str, Callable[[Path], AbstractContextManager[GraphStore]]] = {
    "ladybug": empty_ladybug,
}


@pytest.fixture(params=FACTORIES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GraphStore]:
    """Return an open, empty store."""
    with FACTORIES[request.param](tmp_path) as opened:
        yield opened


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
