"""What some users bought, out of memory and out of each store: the same rows, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gnn.purchases import Purchases, PurchasesInMemory, PurchasesInStore, in_parts
from kg.build import build_graph, graph_tables
from kg.store import GraphStore
from loaders.errors import InputError
from tests.kg.conftest import FACTORIES
from tests.kg.small_shop import DAY, PURCHASES, small_shop

NOW = 10 * DAY
# Users by id: ann, bob, cat, dan; products by id: cup, jam, mug, pot, tea. The jam of day 10 and what is later are out.
ANN = {(0, 3, 7 * DAY), (0, 4, 8 * DAY), (0, 4, 9 * DAY)}
BOB = {(0, 2, 6 * DAY), (0, 4, 5 * DAY)}
CAT = {(0, 2, 5 * DAY), (0, 3, 5 * DAY), (0, 4, 5 * DAY)}
DAN = {(0, 4, 1 * DAY)}


def moved(rows: set[tuple[int, int, int]], *, by: int) -> set[tuple[int, int, int]]:
    return {(user + by, product, at) for user, product, at in rows}


def in_store(store: GraphStore) -> PurchasesInStore:
    graph = build_graph(store.read_graph(purchases=False))
    return PurchasesInStore(store, graph, fingerprint=store.fingerprint(), now=NOW)


@pytest.fixture(params=["memory", *FACTORIES])
def purchases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Purchases]:
    """Return the purchases of the small shop before the tenth day, out of memory and out of each store."""
    tables = graph_tables(small_shop())
    if request.param == "memory":
        yield PurchasesInMemory.of(build_graph(tables).bought.sort("at", descending=True), now=NOW)
        return
    if request.param == "neo4j":
        request.getfixturevalue("neo4j_server")
    with FACTORIES[request.param](tmp_path) as store:
        store.replace_graph(tables)
        yield in_store(store)


def test_some_users_have_what_they_bought_before_the_moment_and_count_from_0(purchases: Purchases) -> None:
    for start, stop, wanted in (
        (0, 1, ANN),
        (1, 3, BOB | moved(CAT, by=1)),
        (3, 4, DAN),
        (0, 4, ANN | moved(BOB, by=1) | moved(CAT, by=2) | moved(DAN, by=3)),
        (2, 2, set()),
    ):
        found = purchases.of_users(start, stop)
        assert found.schema == {"user": pl.Int64, "product": pl.Int64, "at": pl.Int64}
        assert found["user"].is_sorted()
        assert sorted(found.rows()) == sorted(wanted)
    assert purchases.now == NOW


def test_parts_hold_all_purchases_those_of_a_user_in_one(purchases: Purchases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnn.purchases.USERS_AT_ONCE", 3)
    parts = [set(part.rows()) for part in in_parts(purchases, num_users=4)]
    assert parts == [ANN | moved(BOB, by=1) | moved(CAT, by=2), DAN]


def test_a_graph_that_is_loaded_anew_meanwhile_is_told(loaded: GraphStore) -> None:
    purchases = in_store(loaded)
    loaded.replace_graph(graph_tables(small_shop(purchases=PURCHASES.head(9))))
    with pytest.raises(InputError, match=r"was loaded anew while it was read; give the command again"):
        purchases.of_users(0, 1)
    assert replace(purchases, fingerprint=loaded.fingerprint()).of_users(3, 4).is_empty()
