"""What only a shared server has: passwords, failures, half-done work and several processes; on a real Neo4j."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import neo4j
import polars as pl
import pytest
from neo4j.exceptions import ClientError, ServiceUnavailable

from kg import neo4j_lock, neo4j_store
from kg.build import graph_tables
from kg.cypher import parameters_of, query_names, read_query
from kg.explain import explain, explanation_text
from kg.graph import GraphTables
from kg.load import load_graph
from kg.neo4j_connection import Statement, place_of, require_version, why
from kg.neo4j_store import Neo4jStore
from kg.schema import VERSION
from kg.store import GraphStore, open_store
from loaders.errors import InputError
from tests.kg.neo4j_for_tests import Server
from tests.kg.small_shop import FIRST_RUN, LINKS, PRODUCTS, PURCHASES, RELATED, run_record, small_shop
from tests.kg.test_queries import VALUES

NO_BRANDS = PRODUCTS.drop("brand")


@pytest.fixture
def ask(empty_server: Server) -> Callable[..., list[list[object]]]:
    """Return a way to ask the server without our store."""

    def run(text: str, **parameters: object) -> list[list[object]]:
        with neo4j.GraphDatabase.driver(empty_server.uri, auth=("neo4j", empty_server.password)) as driver:
            return [list(record.values()) for record in driver.execute_query(text, parameters).records]

    return run


@pytest.fixture
def filled(empty_server: Server) -> Server:
    """Return a server that holds the small shop and the results of its first run."""
    with open_store(empty_server.uri) as store:
        store.replace_graph(graph_tables(small_shop()))
        store.write_results("RELATED", RELATED, run=FIRST_RUN)
    return empty_server


def equal(store: GraphStore, tables: GraphTables) -> bool:
    return store.read_graph().fingerprint() == tables.fingerprint()


# Addresses and passwords.


@pytest.mark.parametrize("scheme", ["neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc"])
def test_an_address_names_a_server_and_perhaps_a_database(scheme: str) -> None:
    assert place_of(f"{scheme}://host:7687").uri == f"{scheme}://host:7687"
    assert place_of(f"{scheme}://host:7687").database is None
    assert place_of(f"{scheme}://host/shop").database == "shop"


@pytest.mark.parametrize("address", ["neo4j://ann:s3cret@host:7687", "bolt://s3cret@host", "blot://ann:s3cret@host"])
def test_an_address_with_a_password_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(InputError) as raised:
        open_store(address)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("address", ["neo4j://", "neo4j://host/a/b", "neo4j://host:port", "neo4j://host?x=1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="give neo4j://host:7687/database"):
        open_store(address)


def test_a_password_comes_from_a_file_without_its_line_break(
    empty_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(f"{empty_server.password}\n")
    monkeypatch.delenv("NEO4J_PASSWORD")
    monkeypatch.setenv("NEO4J_PASSWORD_FILE", str(tmp_path / "password"))
    with open_store(empty_server.uri) as store:
        assert store.layout() is None
    monkeypatch.setenv("NEO4J_PASSWORD_FILE", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"password file .*nothing.* cannot be read"):
        open_store(empty_server.uri)
    # The option wins over both variables.
    monkeypatch.setenv("NEO4J_PASSWORD", "another")
    with open_store(empty_server.uri, password_file=str(tmp_path / "password")) as store:
        assert store.layout() is None
    monkeypatch.delenv("NEO4J_PASSWORD")
    monkeypatch.delenv("NEO4J_PASSWORD_FILE")
    with pytest.raises(InputError, match="give --password-file FILE, or set NEO4J_PASSWORD or NEO4J_PASSWORD_FILE"):
        open_store(empty_server.uri)


def test_wrong_passwords_are_refused_and_too_many_are_named_as_such(
    empty_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A user of its own: the server makes one with too many failures wait, and other tests need theirs.
    with neo4j.GraphDatabase.driver(empty_server.uri, auth=("neo4j", empty_server.password)) as driver:
        driver.execute_query("CREATE OR REPLACE USER clumsy SET PASSWORD 'right-pass'", database_="system")
    monkeypatch.setenv("NEO4J_USER", "clumsy")
    monkeypatch.setenv("NEO4J_PASSWORD", "wr0ng-pass")
    sentences = []
    for _ in range(4):
        with pytest.raises(InputError) as raised:
            open_store(empty_server.uri)
        sentences.append(str(raised.value))
    assert "does not know the user" in sentences[0]
    assert "too often; wait a minute" in sentences[-1]
    assert "wr0ng-pass" not in " ".join(sentences)


@pytest.mark.usefixtures("neo4j_server")
def test_without_a_server_the_way_to_start_one_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(InputError, match=r"no Neo4j answers at .*; start one with `make neo4j`"):
        open_store(f"bolt://127.0.0.1:{port}")


def test_a_database_that_does_not_exist_is_named(empty_server: Server) -> None:
    with pytest.raises(InputError, match=r"/nosuch.* has no such database"):
        open_store(f"{empty_server.uri}/nosuch")
    with open_store(f"{empty_server.uri}/neo4j") as store:
        assert store.layout() is None


def test_the_neo4j_scheme_finds_the_server_too(empty_server: Server) -> None:
    with open_store(empty_server.uri.replace("bolt://", "neo4j://")) as store:
        store.replace_graph(graph_tables(small_shop()))
        assert equal(store, graph_tables(small_shop()))


@pytest.mark.parametrize("agent", ["Neo4j/5.26.31", "Neo4j/2025.09.0", "Neo4j/2026.01.1"])
def test_known_versions_are_taken(agent: str) -> None:
    require_version(agent, address="neo4j://host")


@pytest.mark.parametrize("agent", ["Neo4j/4.4.40", "Neo4j/6.0.0", "Memgraph/3.0"])
def test_other_versions_are_refused(agent: str) -> None:
    with pytest.raises(InputError, match="works with Neo4j 5 and the versions from 2025 on"):
        require_version(agent, address="neo4j://host")


# Community has no users with fewer rights and no other clusters: these come as the driver reports them.
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("Neo.ClientError.Security.Forbidden", "user 'ann' of 'bolt://h' may not do this: no; give NEO4J_USER"),
        ("Neo.ClientError.General.ForbiddenOnReadOnlyDatabase", "can only be read; allow writing"),
        ("Neo.ClientError.Security.CredentialsExpired", "choose a new password first"),
    ],
)
def test_the_rights_of_a_user_are_named(code: str, sentence: str) -> None:
    error = ClientError._hydrate_neo4j(code=code, message="no")
    assert sentence in why(error, address="bolt://h", user="ann", was_there=True)


def test_a_server_that_went_away_is_named_as_such() -> None:
    assert "went away in the middle" in why(ServiceUnavailable("x"), address="bolt://h", user="ann", was_there=True)


def test_a_transaction_that_the_server_gives_up_for_a_deadlock_is_done_again(
    empty_server: Server, ask: Callable[..., list[list[object]]]
) -> None:
    ask("UNWIND ['one', 'two'] AS id CREATE (:Brand {id: id, times: 0})")
    count = "MATCH (b:Brand {id: $id}) SET b.times = b.times + 1"
    turns: list[float] = []
    with (
        neo4j.GraphDatabase.driver(empty_server.uri, auth=("neo4j", empty_server.password)) as driver,
        driver.session() as session,
        open_store(empty_server.uri) as store,
    ):
        assert isinstance(store, Neo4jStore)
        other = session.begin_transaction()
        other.run(count, id="two").consume()

        def go_on() -> None:
            other.run(count, id="one").consume()
            other.commit()

        thread = threading.Thread(target=go_on)

        class Crossing(list[Statement]):
            """Takes one; at the first turn, lets the other transaction wait for one; then takes two."""

            def __iter__(self) -> Iterator[Statement]:
                turns.append(time.monotonic())
                yield count, {"id": "one"}
                if len(turns) == 1:
                    thread.start()
                    time.sleep(1)
                yield count, {"id": "two"}

        store._connection.write(Crossing())
        thread.join()
    assert len(turns) > 1
    assert ask("MATCH (b:Brand) RETURN b.times") == [[2], [2]]


# What is in the database.


def test_data_that_break_a_rule_are_named(empty_server: Server, ask: Callable[..., object]) -> None:
    empty_server.drop_rules()
    ask("CREATE (:User {id: 'twin'}), (:User {id: 'twin'})")
    with (
        open_store(empty_server.uri) as store,
        pytest.raises(InputError, match=r"break a rule .* ids are unique.*User"),
    ):
        store.replace_graph(graph_tables(small_shop()))


@pytest.mark.parametrize("label", ["Lock", "Brand"])
def test_a_rule_that_a_killed_server_left_half_made_is_made_anew(
    empty_server: Server, ask: Callable[..., list[list[object]]], label: str
) -> None:
    # What such a server keeps: the index of the rule, without the rule.
    empty_server.drop_rules()
    ask(f"CREATE INDEX cartograph_{label.lower()} FOR (n:{label}) ON (n.id)")
    with open_store(empty_server.uri) as store:
        store.replace_graph(graph_tables(small_shop()))
        assert equal(store, graph_tables(small_shop()))
    assert ask("SHOW CONSTRAINTS YIELD name RETURN count(*)") == [[8]]


def test_the_nodes_of_another_program_are_not_deleted(empty_server: Server, ask: Callable[..., object]) -> None:
    ask("CREATE (:User {id: 'theirs'})")
    with open_store(empty_server.uri) as store, pytest.raises(InputError, match="User nodes that were not loaded by"):
        store.replace_graph(graph_tables(small_shop()))
    assert ask("MATCH (u:User) RETURN u.id") == [["theirs"]]


# Version 4 is from before purchases had discounts; its graph looks as that of a shop that tells of none.
@pytest.mark.parametrize("version", [0, 4])
def test_a_graph_of_an_older_schema_asks_to_be_loaded_anew(
    filled: Server, ask: Callable[..., object], version: int
) -> None:
    ask(
        "MATCH (g:Graph) SET g.layout = replace(g.layout, $now, $then)",
        now=f'"version": {VERSION}',
        then=f'"version": {version}',
    )
    with open_store(filled.uri) as store:
        for again in (store.read_graph, partial(load_graph, small_shop(), store)):
            with pytest.raises(InputError, match=rf"schema version {version} .* empty the database"):
                again()


def test_a_query_may_only_read(filled: Server) -> None:
    with open_store(filled.uri) as store, pytest.raises(InputError, match="may only read"):
        store.query("MATCH (n) DETACH DELETE n", {})


def test_a_query_that_takes_too_long_is_ended(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_store, "QUERY_SECONDS", 0.5)
    slow = "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b RETURN sum(a * b) AS total"
    with open_store(filled.uri) as store, pytest.raises(InputError, match="took longer than it may"):
        store.query(slow, {})


# Loading again.


def test_new_purchases_touch_only_what_is_new(filled: Server, ask: Callable[..., list[list[object]]]) -> None:
    before = ask("MATCH ()-[e]->() RETURN elementId(e) AS id ORDER BY id")
    more = pl.concat([PURCHASES, PURCHASES.head(1).with_columns(at=pl.lit(99).cast(pl.Int64))])
    tables = graph_tables(small_shop(purchases=more))
    with open_store(filled.uri) as store:
        assert load_graph(small_shop(purchases=more), store).written
        assert equal(store, tables)
        assert not load_graph(small_shop(purchases=more), store).written
    after = ask("MATCH ()-[e]->() RETURN elementId(e) AS id ORDER BY id")
    assert len(after) == len(before) + 1
    assert all(edge in after for edge in before)


def test_a_column_that_went_or_changed_its_type_leaves_nothing_behind(
    empty_server: Server, ask: Callable[..., object]
) -> None:
    extra = PRODUCTS.with_columns(size=pl.lit("big"), old=pl.lit(1).cast(pl.Int64))
    changed = PRODUCTS.with_columns(size=pl.Series([1, None, 2, 3, 4], dtype=pl.Int64))
    with open_store(empty_server.uri) as store:
        for products in (extra, changed, PRODUCTS):
            tables = graph_tables(small_shop(products=products))
            store.replace_graph(tables)
            assert equal(store, tables)
    assert ask("MATCH (p:Product) UNWIND keys(p) AS key RETURN DISTINCT key ORDER BY key") == [
        ["id"],
        ["name"],
        ["price"],
    ]


def test_edges_that_are_there_twice_or_hold_other_values_are_mended(
    filled: Server, ask: Callable[..., list[list[object]]]
) -> None:
    ask("MATCH (u)-[b:BOUGHT]->(p) WITH u, b, p LIMIT 3 CREATE (u)-[:BOUGHT {at: b.at, quantity: b.quantity}]->(p)")
    ask("MATCH ()-[b:BOUGHT]->() WITH b ORDER BY b.at LIMIT 2 SET b.spend = 77.0")
    ask("MATCH (:User {id: 'bob'})-[b:BOUGHT]->() DELETE b")
    ask("MATCH (p:Product {id: 'tea'})-[e:HAS_BRAND]->() DELETE e")
    ask("CREATE (:Product {id: 'ghost'})")
    ask("MATCH (g:Graph) SET g.loading = true")
    tables = graph_tables(small_shop())
    with open_store(filled.uri) as store:
        assert store.layout() is None
        with pytest.raises(InputError, match="is being loaded, or its load did not end"):
            store.read_graph()
        store.replace_graph(tables)
        assert equal(store, tables)


def test_a_link_of_the_shop_that_went_is_deleted(filled: Server, ask: Callable[..., list[list[object]]]) -> None:
    tables = graph_tables(small_shop())
    without = GraphTables(
        shop=tables.shop,
        nodes=tables.nodes,
        edges={name: frame for name, frame in tables.edges.items() if name != LINKS["relation"][0]},
        validation_from=None,
        test_from=None,
    )
    with open_store(filled.uri) as store:
        store.replace_graph(without)
        assert equal(store, without)
    assert ask("MATCH ()-[e:ALSO_VIEWED]->() RETURN count(e)") == [[0]]


LOADER = """
import sys
from kg import neo4j_connection
from kg.build import graph_tables
from kg.store import open_store
from loaders.errors import run_command
from loaders.shops import load_shop
# Less patience with a server that is gone, for the sake of the test's time.
neo4j_connection.RETRY_SECONDS = 2.0
tables = graph_tables(load_shop("synthetic"))
print("ready", flush=True)

def main():
    with open_store(sys.argv[1]) as store:
        store.replace_graph(tables)
    print("done", flush=True)

run_command(main)
"""


def start_loader(uri: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LOADER, uri], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def synthetic() -> GraphTables:
    from loaders.shops import load_shop  # noqa: PLC0415

    return graph_tables(load_shop("synthetic"))


@pytest.mark.parametrize("seed", range(10))
def test_a_load_that_was_killed_is_mended_by_the_next(
    empty_server: Server, synthetic: GraphTables, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # The killed process has a lease of 15 s; this one need not wait for it to see that the graph gets whole.
    monkeypatch.setattr(neo4j_lock, "ASK", neo4j_lock.ASK.replace("lock.until <", "true OR lock.until <"))
    process = start_loader(empty_server.uri)
    time.sleep(random.Random(seed).uniform(0.1, 1.2))  # noqa: S311
    process.kill()
    process.communicate()
    with open_store(empty_server.uri) as store:
        if store.layout() is not None:
            assert equal(store, synthetic)
        store.replace_graph(synthetic)
        assert equal(store, synthetic)


def test_a_killed_writer_keeps_the_next_waiting_for_its_lease_only(
    empty_server: Server, ask: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("CREATE (:Lock {id: 'write', owner: 'killed', until: timestamp() + 2000})")
    start = time.monotonic()
    with open_store(empty_server.uri) as store:
        store.replace_graph(graph_tables(small_shop()))
    assert time.monotonic() - start > 1.5
    ask("MATCH (l:Lock) SET l.owner = 'other', l.until = timestamp() + 100000")
    monkeypatch.setattr(neo4j_lock, "WAIT_SECONDS", 0.5)
    with (
        open_store(empty_server.uri) as store,
        pytest.raises(InputError, match=r"another process has been writing .* wait until it has ended"),
    ):
        store.write_results("RELATED", RELATED, run=FIRST_RUN)


def test_a_writer_whose_lease_was_taken_writes_nothing_more(
    filled: Server, ask: Callable[..., list[list[object]]]
) -> None:
    with open_store(filled.uri) as store:
        assert isinstance(store, Neo4jStore)
        with neo4j_lock.WriteLock(store._connection) as lock:
            ask("MATCH (l:Lock) SET l.owner = 'other'")
            with pytest.raises(InputError, match="another process has taken over writing"):
                lock.write("CREATE (:Brand {id: 'late'})")
    assert ask("MATCH (b:Brand {id: 'late'}) RETURN b") == []


def test_two_loaders_at_once_end_with_one_graph(empty_server: Server, synthetic: GraphTables) -> None:
    processes = [start_loader(empty_server.uri) for _ in range(2)]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["done\n", "done\n"]
    with open_store(empty_server.uri) as store:
        assert equal(store, synthetic)


# A restart takes a quarter of a minute: as often as is asked for, ten times in .ci/run.
@pytest.mark.parametrize("seed", range(int(os.environ.get("CARTOGRAPH_SERVER_KILLS", "1"))))
def test_a_server_that_is_killed_in_the_middle_is_named_and_the_next_load_mends_the_graph(
    empty_server: Server, synthetic: GraphTables, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    if empty_server.home is None:
        pytest.skip("the server was given, and is not ours to kill")
    monkeypatch.setattr(neo4j_lock, "ASK", neo4j_lock.ASK.replace("lock.until <", "true OR lock.until <"))
    # Also while the rules are made, and not only of a database that has them.
    if seed % 2 == 0:
        empty_server.drop_rules()
    process = start_loader(empty_server.uri)
    time.sleep(random.Random(seed).uniform(0.1, 1.2))  # noqa: S311
    empty_server.kill()
    # The driver tries again for a while, its last pause as long again.
    said, error = process.communicate(timeout=180)
    if said != "done\n":
        assert process.returncode == 2
        assert re.fullmatch(r"error: (the Neo4j at .+ went away|no Neo4j answers at) [^\n]+\n", error), error
    empty_server.restart()
    with open_store(empty_server.uri) as store:
        store.replace_graph(synthetic)
        assert equal(store, synthetic)


# Results.


def test_readers_see_the_old_results_whole_or_the_new_ones_whole(filled: Server) -> None:
    """A reader asks all the time while the same run is written again and again with other numbers."""
    seen: list[set[float]] = []
    sizes: set[int] = set()
    ended = threading.Event()

    def read() -> None:
        with open_store(filled.uri) as reader:
            while not ended.is_set():
                rows = reader.query(
                    "MATCH (:Product)-[r:RELATED {run: $run}]->(:Product) RETURN r.weight AS weight", {"run": "first"}
                )
                results = reader.read_results("RELATED", "first")
                seen.extend([set(rows["weight"]), set(results["weight"])])
                sizes.update([len(rows), len(results)])

    with open_store(filled.uri) as store:
        store.write_results("RELATED", RELATED.with_columns(weight=pl.lit(0.0)), run=FIRST_RUN)
        thread = threading.Thread(target=read)
        thread.start()
        for turn in range(1, 12):
            store.write_results("RELATED", RELATED.with_columns(weight=pl.lit(float(turn))), run=FIRST_RUN)
        ended.set()
        thread.join()
    assert sizes == {len(RELATED)}
    assert all(len(weights) == 1 for weights in seen)
    assert len({weight for weights in seen for weight in weights}) > 1


def test_a_write_back_that_was_killed_is_never_seen_and_is_cleaned_by_the_next(
    filled: Server, ask: Callable[..., list[list[object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_args: object) -> None:
        raise KeyboardInterrupt

    with open_store(filled.uri) as store:
        for run in (FIRST_RUN, run_record("second")):
            with monkeypatch.context() as patch:
                patch.setattr(neo4j_store, "SHOW", "RETURN 1 / 0")
                with pytest.raises(InputError):
                    store.write_results("RELATED", RELATED.head(3), run=run)
        assert ask("MATCH (:Product)-[r:RELATED]->() RETURN count(r)") == [[len(RELATED) + 3]]
        assert len(store.read_results("RELATED", "first")) == len(RELATED)
        assert store.read_results("RELATED", "second").is_empty()
        assert store.run_record("second") is None
        assert store.query(read_query("recommend"), {**recommend_values("second")}).is_empty()
        store.write_results("RELATED", RELATED.head(2), run=run_record("third"))
        assert ask("MATCH ()-[r:RELATED]->() RETURN r.run, count(r) ORDER BY r.run") == [
            ["first", len(RELATED)],
            ["third", 2],
        ]
        assert ask("MATCH (l:Leftover) RETURN l") == []


def recommend_values(run: str) -> dict[str, object]:
    return {"user": "ann", "run": run, "now": 1e12, "half_life": 86400.0, "exponent": 0.5, "repeat": False, "limit": 10}


def test_the_query_of_an_explanation_can_be_pasted_even_after_a_second_write(
    filled: Server, ask: Callable[..., list[list[object]]]
) -> None:
    with open_store(filled.uri) as store:
        store.write_results("RELATED", RELATED, run=FIRST_RUN)
        found = explain(store, user="ann", product="mug", run=FIRST_RUN, limit=5)
        pasted = explanation_text(found, (), limit=5).partition("to paste:")[2]
        assert [row[0] for row in ask(pasted)] == ["tea", "pot"]


@pytest.mark.parametrize("name", query_names())
def test_every_query_gives_row_for_row_the_same_on_both_stores(filled: Server, address: str, name: str) -> None:
    with open_store(filled.uri) as one, open_store(address, read_only=True) as other:
        text, other_text = read_query(name, dialect=one.dialect), read_query(name, dialect=other.dialect)
        for user in ("ann", "bob", "cat", "dan"):
            for product in PRODUCTS["product_id"]:
                given = VALUES | {"user": user, "product": product}
                values = {key: given[key] for key in parameters_of(text)}
                ours, theirs = one.query(text, values).rows(), other.query(other_text, values).rows()
                assert len(ours) == len(theirs)
                for row, wanted in zip(ours, theirs, strict=True):
                    assert row == pytest.approx(wanted, rel=1e-12) if row != wanted else True
