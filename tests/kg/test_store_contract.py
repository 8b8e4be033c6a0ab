"""What every graph store must do, run on each store in ``conftest.FACTORIES``."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kg import schema
from kg.build import graph_tables
from kg.graph import GraphLayout, GraphTables
from kg.recommend import recommend
from kg.store import GraphStore
from loaders.errors import InputError
from loaders.tables import Shop, check_shop
from tests.kg.conftest import Factory
from tests.kg.small_shop import DAY, FIRST_RUN, PRODUCTS, PURCHASES, RELATED, run_record, small_shop

NASTY = [
    "it's",
    'say "hi"',
    "back`tick`",
    "a\\",
    "'}) DETACH DELETE u //",
    "$user",
    "{id: 1}",
    "茶🍵",
    "two\nlines\r\n",
    "tab\t",
    "a,b;c",
    "NULL",
    "é",
    "e\u0301",
]
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
IDS = TEXTS.filter(lambda text: bool(text.strip()))
NAMES = st.one_of(st.none(), IDS)
EXTRAS = {
    "order": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    "note": NAMES,
    "weight": st.one_of(st.none(), st.floats(allow_nan=False)),
    "organic": st.one_of(st.none(), st.booleans()),
}
EXTRA_TYPES = {"order": pl.Int64, "note": pl.String, "weight": pl.Float64, "organic": pl.Boolean}

OWN = ("source", "target", "weight", "bought", "network")
"""The columns of RELATED that these edges fill in."""


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    users = draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    products = draw(st.lists(IDS, min_size=1, max_size=5, unique=True))
    columns = {
        "name": draw(st.lists(NAMES, min_size=len(products), max_size=len(products))),
        "brand": draw(st.lists(NAMES, min_size=len(products), max_size=len(products))),
        "price": draw(
            st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=len(products), max_size=len(products))
        ),
        **{
            name: draw(st.lists(values, min_size=len(products), max_size=len(products)))
            for name, values in EXTRAS.items()
        },
    }
    money = st.one_of(st.none(), st.just(0.0), st.floats(0, 1e9))
    bought = draw(
        st.lists(
            st.tuples(st.sampled_from(users), st.sampled_from(products), st.integers(0, 10**10), money, money),
            min_size=1,
            max_size=8,
        )
    )
    return check_shop(
        draw(IDS),
        products=pl.DataFrame(
            {"product_id": products, **columns},
            schema={"product_id": pl.String, "name": pl.String, "brand": pl.String, "price": pl.Float64, **EXTRA_TYPES},
        ),
        purchases=pl.DataFrame(
            bought,
            schema=["user_id", "product_id", "at", ("discount", pl.Float64), ("coupon", pl.Float64)],
            orient="row",
        ),
        users=pl.DataFrame({"user_id": users, "TABLE": users}),
        links=pl.DataFrame({"source_id": products, "relation": "MATCH", "target_id": products[::-1]}),
        test_from=draw(st.one_of(st.none(), st.integers(0, 10**10))),
    )


def same(found: GraphTables, wanted: GraphTables) -> None:
    assert (found.shop, found.validation_from, found.test_from) == (
        wanted.shop,
        wanted.validation_from,
        wanted.test_from,
    )
    assert list(found.nodes) == list(wanted.nodes)
    assert list(found.edges) == list(wanted.edges)
    for kind, frame in [*wanted.nodes.items(), *wanted.edges.items()]:
        assert_frame_equal({**found.nodes, **found.edges}[kind], frame, check_exact=True)
    assert found.fingerprint() == wanted.fingerprint()


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shop=shops())
def test_a_graph_read_back_is_the_graph_that_was_written(factory: Factory, shop: Shop) -> None:
    tables = graph_tables(shop)
    with tempfile.TemporaryDirectory() as folder, factory(Path(folder)) as store:
        store.replace_graph(tables)
        same(store.read_graph(), tables)
        assert store.layout() == GraphLayout.of(tables)
        # The ids of users are in one order here and in the store, whatever is in them.
        users, bought = tables.nodes["User"]["id"], tables.edges["BOUGHT"]
        assert store.last_purchase() == bought["at"].max()
        parts = [store.read_edges("BOUGHT", users[start : start + 2], properties=("at", "coupon")) for start in (0, 2)]
        wanted = bought.select("source", "target", "at", "coupon").sort(pl.all())
        assert_frame_equal(pl.concat(parts), wanted, check_exact=True)


def test_a_graph_is_read_without_purchases(store: GraphStore) -> None:
    ids = ["ann", "bob", "cat", "dan", "eve"]
    users = pl.DataFrame({"user_id": ids, "age": ["35", None, "50", None, "35"]})
    tables = graph_tables(replace(small_shop(), users=users))
    store.replace_graph(tables)
    found = store.read_graph(purchases=False)
    assert found.nodes["User"].to_dict(as_series=False) == {"id": ids}
    assert found.edges["BOUGHT"].is_empty()
    same(
        replace(
            found,
            nodes={**found.nodes, "User": tables.nodes["User"]},
            edges={**found.edges, "BOUGHT": tables.edges["BOUGHT"]},
        ),
        tables,
    )
    assert store.fingerprint() == tables.fingerprint()


def test_edges_of_some_nodes_are_theirs_alone(loaded: GraphStore) -> None:
    bought = loaded.read_edges("BOUGHT", pl.Series(["dan", "ann"]), properties=("at",))
    assert bought.schema == {"source": pl.String, "target": pl.String, "at": pl.Int64}
    assert bought.rows() == sorted(PURCHASES.filter(pl.col("user_id").is_in(["ann", "dan"])).rows())
    links = loaded.read_edges("ALSO_VIEWED", pl.Series(["pot", "tea"]), properties=())
    assert links.rows() == [("tea", "pot")]
    for nobody in (pl.Series(["eve"]), pl.Series([], dtype=pl.String)):
        assert loaded.read_edges("BOUGHT", nobody, properties=("at",)).equals(bought.clear())


def test_values_arrive_as_they_left(store: GraphStore) -> None:
    products = PRODUCTS.with_columns(
        text=pl.Series(["x" * 1_000_000, "`'\"\\", "$user }) DETACH DELETE n //", "🍵\u0000", None]),
        note=pl.Series([float("nan"), None, -0.0, float("inf"), 5e-324]),
    )
    tables = graph_tables(small_shop(products=products))
    store.replace_graph(tables)
    same(store.read_graph(), tables)


def test_a_discount_of_nothing_and_an_unknown_one_stay_apart(store: GraphStore) -> None:
    purchases = PURCHASES.head(3).with_columns(
        discount=pl.Series([0.0, None, 1.5]), coupon=pl.Series([None, 0.0, 0.25])
    )
    tables = graph_tables(small_shop(purchases=purchases))
    store.replace_graph(tables)
    same(store.read_graph(), tables)
    text = (
        "MATCH (u:User)-[b:BOUGHT]->(:Product) RETURN b.at AS at, b.discount AS discount, b.coupon AS coupon "
        "ORDER BY at LIMIT 9"
    )
    rows = [(7 * DAY, 1.5, 0.25), (8 * DAY, 0.0, None), (9 * DAY, None, 0.0)]
    assert store.query(text, {}).rows() == rows


def test_an_empty_store_has_no_layout(store: GraphStore) -> None:
    assert store.layout() is None


def test_an_empty_store_cannot_be_read(store: GraphStore) -> None:
    with pytest.raises(InputError, match=r"holds no graph; load one with python -m kg\.load"):
        store.read_graph()
    with pytest.raises(InputError, match="holds no graph"):
        store.run_record()
    for ask in (store.fingerprint, store.last_purchase):
        with pytest.raises(InputError, match="holds no graph"):
            ask()
    with pytest.raises(InputError, match="holds no graph"):
        store.write_results("RELATED", RELATED, run=FIRST_RUN)


def test_replacing_twice_is_replacing_once(loaded: GraphStore) -> None:
    tables = graph_tables(small_shop())
    loaded.replace_graph(tables)
    same(loaded.read_graph(), tables)
    assert loaded.layout() == GraphLayout.of(tables)


def test_a_changed_shop_takes_the_place_of_the_old_and_results_stay_between_what_survives(loaded: GraphStore) -> None:
    recommended = pl.DataFrame(
        {"source": ["ann", "dan"], "target": ["mug", "jam"], "rank": [1, 1], "score": [2.0, 1.0]}
    ).with_columns(reason_kind=pl.lit("bought"), reason_via=pl.lit("tea"), reason_share=0.75)
    loaded.write_results("RECOMMENDED", recommended, run=FIRST_RUN)
    # The mug gets another brand, the jam and the user dan are gone.
    products = PRODUCTS.filter(pl.col("product_id") != "jam").with_columns(
        brand=pl.when(pl.col("product_id") == "mug").then(pl.lit("Kiln")).otherwise("brand")
    )
    purchases = PURCHASES.filter(pl.col("product_id") != "jam", pl.col("user_id") != "dan")
    changed = graph_tables(small_shop(products=products, purchases=purchases))
    loaded.replace_graph(changed)

    same(loaded.read_graph(), changed)
    brands = loaded.read_graph().edges["HAS_BRAND"].rows()
    assert brands == [("mug", "Kiln"), ("pot", "Clay"), ("tea", "Leaf")]
    kept = loaded.read_results("RELATED", "first").select(*OWN).rows()
    assert kept == [
        ("pot", "mug", 0.4, 0.4, 0.0),
        ("tea", "cup", -0.2, -0.3, 0.1),
        ("tea", "mug", 0.8, 0.6, 0.2),
        ("tea", "pot", 0.9, 0.9, 0.0),
    ]
    assert loaded.read_results("RECOMMENDED", "first").rows() == [("ann", "mug", 1, 2.0, "bought", "tea", 0.75)]
    assert loaded.run_record() == FIRST_RUN


def test_the_results_of_runs_are_no_part_of_the_graph(loaded: GraphStore) -> None:
    same(loaded.read_graph(), graph_tables(small_shop()))


def test_results_replace_those_of_their_own_run_only(loaded: GraphStore) -> None:
    second = run_record("second", made_at="2024-01-02T00:00:00+00:00")
    loaded.write_results("RELATED", RELATED.head(2), run=second)
    loaded.write_results("RELATED", RELATED.slice(1, 1), run=second)
    assert loaded.read_results("RELATED", "second").select(*OWN).rows() == [("pot", "mug", 0.4, 0.4, 0.0)]
    assert_frame_equal(loaded.read_results("RELATED", "first"), RELATED.sort("source", "target"))
    assert loaded.read_results("RELATED", "third").is_empty()


def test_results_of_some_nodes_are_theirs_alone(loaded: GraphStore) -> None:
    whole = loaded.read_results("RELATED", "first")
    for ids in (["jam", "tea"], ["pot"], ["mug"], []):
        found = loaded.read_results("RELATED", "first", sources=pl.Series(ids, dtype=pl.String))
        assert_frame_equal(found, whole.filter(pl.col("source").is_in(ids)))
    assert loaded.read_results("RELATED", "second", sources=pl.Series(["tea"])).is_empty()


def test_results_for_a_product_that_does_not_exist_are_refused_and_change_nothing(loaded: GraphStore) -> None:
    with pytest.raises(InputError, match="nowhere"):
        loaded.write_results("RELATED", RELATED.with_columns(target=pl.lit("nowhere")), run=FIRST_RUN)
    assert_frame_equal(loaded.read_results("RELATED", "first"), RELATED.sort("source", "target"))


def test_a_run_is_found_by_name_and_by_default_the_one_made_last(loaded: GraphStore) -> None:
    older = run_record("zz", made_at="2023-01-01T00:00:00+00:00", exponent=1.0)
    loaded.write_results("RELATED", RELATED, run=older)
    assert loaded.run_record() == FIRST_RUN
    assert loaded.run_record("zz") == older
    assert loaded.run_record("other") is None
    newer = run_record("zz", made_at="2025-01-01T00:00:00+00:00", exponent=0.75)
    loaded.write_results("RELATED", RELATED, run=newer)
    assert loaded.run_record() == loaded.run_record("zz") == newer


def test_a_graph_without_runs_has_no_run(store: GraphStore) -> None:
    store.replace_graph(graph_tables(small_shop()))
    assert store.run_record() is None


def test_a_query_refuses_a_parameter_that_is_missing_or_unknown(loaded: GraphStore) -> None:
    text = "MATCH (u:User {id: $user}) RETURN u.id AS id ORDER BY id LIMIT 1"
    assert loaded.query(text, {"user": "ann"}).rows() == [("ann",)]
    with pytest.raises(InputError, match="needs the parameter 'user'"):
        loaded.query(text, {})
    with pytest.raises(InputError, match="has no parameter 'usr'"):
        loaded.query(text, {"user": "ann", "usr": "ann"})


def test_a_query_that_is_no_cypher_is_refused(loaded: GraphStore) -> None:
    with pytest.raises(InputError, match="cannot answer"):
        loaded.query("SELECT 1", {})


def test_a_value_is_never_read_as_cypher(loaded: GraphStore) -> None:
    text = "MATCH (u:User {id: $user}) RETURN u.id AS id ORDER BY id LIMIT 1"
    assert [value for value in NASTY if len(loaded.query(text, {"user": value}))] == []
    assert loaded.read_graph().nodes["User"]["id"].to_list() == ["ann", "bob", "cat", "dan"]


def test_a_list_of_texts_is_a_value_too(loaded: GraphStore) -> None:
    # In the order they were given, twice where they are given twice, and never read as Cypher.
    text = "UNWIND $ids AS id RETURN id, id IN $ids AS known, size($ids) AS many ORDER BY id LIMIT 100"
    rows = loaded.query(text, {"ids": [*NASTY, NASTY[0]]}).rows()
    assert sorted(id_ for id_, _, _ in rows) == sorted([*NASTY, NASTY[0]])
    assert {(known, many) for _, known, many in rows} == {(True, len(NASTY) + 1)}


def test_the_schema_of_results_is_kept(loaded: GraphStore) -> None:
    for relation in schema.RESULTS:
        found = loaded.read_results(relation, "first")
        wanted = {name: kind for name, kind in schema.RESULTS[relation].items() if name != "run"}
        assert dict(found.schema) == {**schema.key_columns(relation), **wanted}


def test_an_edge_without_a_reason_has_none_when_it_is_read_back(loaded: GraphStore) -> None:
    kinds = {name: kind for name, kind in schema.RESULTS["RECOMMENDED"].items() if name != "run"}
    rows = [("ann", "cup", 2, -0.5, "text", "tea", None), ("ann", "mug", 1, 1.5, None, None, None)]
    edges = pl.DataFrame(rows, schema={"source": pl.String, "target": pl.String, **kinds}, orient="row")
    loaded.write_results("RECOMMENDED", edges, run=FIRST_RUN)
    assert_frame_equal(loaded.read_results("RECOMMENDED", "first"), edges)


def test_a_purchase_of_a_second_ago_changes_the_list_as_the_sum_says(loaded: GraphStore) -> None:
    before = recommend(loaded, user="dan", run=FIRST_RUN, limit=10)
    # Tea alone, 9 days old, with an exponent of a half: 0.5 ^ 4.5.
    tea = 0.5**4.5
    assert dict(before.select("product", "score").rows()) == pytest.approx(
        {"pot": 0.9 * tea, "mug": 0.8 * tea, "cup": -0.2 * tea}
    )
    tables = loaded.read_graph()
    one = pl.DataFrame({"source": ["dan"], "target": ["pot"], "at": [FIRST_RUN.now - 1]})
    bought = pl.concat([tables.edges["BOUGHT"], one], how="diagonal").sort(pl.all())
    loaded.replace_graph(replace(tables, edges={**tables.edges, "BOUGHT": bought}))

    after = recommend(loaded, user="dan", run=FIRST_RUN, limit=10)
    pot = 0.5 ** (0.5 / DAY)
    # She has the pot now, and the mug and the jam are the better for it.
    assert after["product"].to_list() == ["jam", "mug", "cup"]
    assert after["score"].to_list() == pytest.approx([0.5 * pot, 0.8 * tea + 0.4 * pot, -0.2 * tea], rel=1e-12)


def test_a_purchase_after_the_run_counts_once_the_moment_is_later(loaded: GraphStore) -> None:
    # Dan's mug of day 12: the run, made on day 10, does not know of it.
    assert "mug" in recommend(loaded, user="dan", run=FIRST_RUN, limit=10)["product"]
    later = replace(FIRST_RUN, now=13 * DAY)
    found = recommend(loaded, user="dan", run=later, limit=10)
    assert found["product"].to_list() == ["pot", "cup"]
    assert found["score"].to_list() == pytest.approx([0.9 * 0.5**6, -0.2 * 0.5**6], rel=1e-12)


# In the shop of this test a brand and a category have one id, so that only the kind tells them apart.
PREFERS = pl.DataFrame(
    [
        ("ann", "Home", "Brand", 0.5, 2.0, 3, 9 * DAY),
        ("ann", "Home", "Category", 0.25, 1.5, 2, 8 * DAY),
        ("bob", "Leaf", "Brand", 0.75, 3.0, 1, 5 * DAY),
    ],
    schema={
        "source": pl.String,
        "target": pl.String,
        "kind": pl.String,
        "weight": pl.Float64,
        "lift": pl.Float64,
        "purchases": pl.Int64,
        "last_at": pl.Int64,
    },
    orient="row",
)
WHAT_SHE_PREFERS = (
    "MATCH (u:User {id: $user})-[r:PREFERS {run: $run}]->(x) "
    "RETURN x.id AS id, x.level AS level, r.weight AS weight, r.purchases AS purchases ORDER BY weight DESC, id LIMIT 9"
)


@pytest.fixture
def preferring(store: GraphStore) -> GraphStore:
    """Return a store with what two users prefer, by the run ``first``."""
    products = PRODUCTS.with_columns(pl.col("brand").replace("Clay", "Home"))
    store.replace_graph(graph_tables(small_shop(products=products)))
    store.write_results("PREFERS", PREFERS, run=FIRST_RUN)
    return store


def test_preferences_are_read_back_each_with_its_kind(preferring: GraphStore) -> None:
    assert_frame_equal(preferring.read_results("PREFERS", "first"), PREFERS.sort("source", "target", "kind"))
    assert preferring.read_results("PREFERS", "second").is_empty()
    assert preferring.read_results("PREFERS", "second").columns == PREFERS.columns
    assert preferring.read_results("RELATED", "first").is_empty()


def test_one_query_without_labels_finds_preferred_brands_and_categories(preferring: GraphStore) -> None:
    found = preferring.query(WHAT_SHE_PREFERS, {"user": "ann", "run": "first"})
    assert found.rows() == [("Home", None, 0.5, 3), ("Home", 1, 0.25, 2)]
    assert preferring.query(WHAT_SHE_PREFERS, {"user": "ann", "run": "second"}).is_empty()


def test_preferences_replace_those_of_their_own_run_only(preferring: GraphStore) -> None:
    second = run_record("second", made_at="2024-01-02T00:00:00+00:00")
    preferring.write_results("PREFERS", PREFERS.head(2), run=second)
    preferring.write_results("PREFERS", PREFERS.tail(1), run=second)
    assert_frame_equal(preferring.read_results("PREFERS", "second"), PREFERS.tail(1))
    assert len(preferring.read_results("PREFERS", "first")) == 3
    preferring.write_results("PREFERS", PREFERS.clear(), run=second)
    assert preferring.read_results("PREFERS", "second").is_empty()
    assert preferring.query(WHAT_SHE_PREFERS, {"user": "bob", "run": "second"}).is_empty()


def test_preferences_stay_where_both_ends_survive_a_new_graph(preferring: GraphStore) -> None:
    # The brand Home is gone, the category of the same id is not.
    preferring.replace_graph(graph_tables(small_shop()))
    found = preferring.read_results("PREFERS", "first")
    assert found.select("source", "target", "kind").rows() == [("ann", "Home", "Category"), ("bob", "Leaf", "Brand")]


def test_a_preference_for_what_does_not_exist_or_is_of_no_kind_is_refused(preferring: GraphStore) -> None:
    for column, value in (("target", "nowhere"), ("kind", "Shelf")):
        with pytest.raises(InputError, match=value):
            preferring.write_results("PREFERS", PREFERS.with_columns(pl.lit(value).alias(column)), run=FIRST_RUN)
    assert len(preferring.read_results("PREFERS", "first")) == 3
