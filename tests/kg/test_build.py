"""A shop's tables become nodes and edges, and ids become positions."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.build import build_graph, edges_in_order, graph_tables
from loaders.synthetic import synthetic_shop
from loaders.tables import check_shop
from tests.kg.small_shop import DAY, PURCHASES, small_shop

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4).filter(lambda text: text.strip())


def test_every_prefix_of_every_path_is_a_category() -> None:
    nodes = graph_tables(small_shop()).nodes["Category"]
    assert nodes.rows() == [
        ("Food", "Food", 1),
        ("Food > Drinks", "Drinks", 2),
        ("Food > Drinks > Tea", "Tea", 3),
        ("Food > Spreads", "Spreads", 2),
        ("Gifts", "Gifts", 1),
        ("Home", "Home", 1),
        ("Home > Kitchen", "Kitchen", 2),
    ]


def test_a_product_is_in_all_prefixes_of_all_its_paths_once() -> None:
    products = pl.DataFrame(
        {
            "product_id": ["a", "b", "c"],
            "category": ["X > Y > Z | X>Y|X > Q", None, " X "],
        }
    )
    purchases = pl.DataFrame({"user_id": ["u"], "product_id": ["a"]})
    edges = graph_tables(check_shop("paths", products=products, purchases=purchases)).edges
    assert edges["IN_CATEGORY"].rows() == [
        ("a", "X"),
        ("a", "X > Q"),
        ("a", "X > Y"),
        ("a", "X > Y > Z"),
        ("c", "X"),
    ]
    assert edges["SUBCATEGORY_OF"].rows() == [("X > Q", "X"), ("X > Y", "X"), ("X > Y > Z", "X > Y")]


def test_brands_users_and_links_by_id() -> None:
    tables = graph_tables(small_shop())
    assert tables.nodes["Brand"].rows() == [("Clay", "Clay"), ("Leaf", "Leaf")]
    assert tables.nodes["User"]["id"].to_list() == ["ann", "bob", "cat", "dan"]
    assert tables.edges["HAS_BRAND"].rows() == [("jam", "Leaf"), ("mug", "Clay"), ("pot", "Clay"), ("tea", "Leaf")]
    assert tables.edges["ALSO_VIEWED"].rows() == [("tea", "pot")]


def test_a_position_is_the_row_of_an_id_in_the_order_of_ids() -> None:
    graph = build_graph(graph_tables(small_shop()))
    # ann, bob, cat, dan and cup, jam, mug, pot, tea.
    assert graph.products["id"].to_list() == ["cup", "jam", "mug", "pot", "tea"]
    assert graph.bought.select("user", "product", "at").head(3).rows() == [
        (0, 0, 11 * DAY),
        (0, 1, 10 * DAY),
        (0, 3, 7 * DAY),
    ]
    assert graph.has_brand.rows() == [(1, 1), (2, 0), (3, 0), (4, 1)]
    assert graph.subcategory_of.rows() == [(1, 0), (2, 1), (3, 0), (6, 5)]
    assert graph.links["ALSO_VIEWED"].rows() == [(4, 3)]


@settings(max_examples=30)
@given(
    pairs=st.lists(st.tuples(IDS, IDS, st.integers(0, 99)), min_size=1, max_size=12, unique=True),
)
def test_positions_lead_back_to_the_ids_they_came_from(pairs: list[tuple[str, str, int]]) -> None:
    shop = check_shop(
        "round",
        products=pl.DataFrame({"product_id": sorted({product for _, product, _ in pairs})}),
        purchases=pl.DataFrame(pairs, schema=["user_id", "product_id", "at"], orient="row"),
    )
    graph = build_graph(graph_tables(shop))
    users, products = graph.users["id"].to_list(), graph.products["id"].to_list()
    back = {(users[user], products[product], at) for user, product, at, *_ in graph.bought.rows()}
    assert back == set(pairs)
    assert products == sorted(products)


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3), st.sampled_from(["test", None])),
        max_size=9,
    ),
    keys=st.sampled_from([[], ["source", "target", "at"]]),
)
@settings(max_examples=200)
def test_edges_come_in_the_order_of_all_their_columns_whatever_order_they_were_in(
    rows: list[tuple[str, str, int, str | None]], keys: list[str]
) -> None:
    kinds = {"source": pl.String, "target": pl.String, "at": pl.Int64, "fold": pl.String}
    edges = pl.DataFrame(rows, schema=kinds, orient="row")
    edges = edges.sort(keys) if keys else edges
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kg.build.ROWS_AT_ONCE", 2)
        assert edges_in_order({"BOUGHT": edges})["BOUGHT"].equals(edges.sort(pl.all()))


def test_a_fingerprint_does_not_depend_on_how_many_rows_are_hashed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = graph_tables(small_shop()).fingerprint()
    monkeypatch.setattr("kg.graph.ROWS_AT_ONCE", 2)
    assert graph_tables(small_shop()).fingerprint() == whole


def test_the_order_of_the_raw_rows_is_not_part_of_the_fingerprint() -> None:
    shuffled = small_shop(purchases=PURCHASES.sample(fraction=1.0, shuffle=True, seed=1))
    assert graph_tables(shuffled).fingerprint() == graph_tables(small_shop()).fingerprint()
    later = small_shop(purchases=PURCHASES.with_columns(pl.col("at") + 1))
    assert graph_tables(later).fingerprint() != graph_tables(small_shop()).fingerprint()


def test_extra_columns_become_properties() -> None:
    tables = graph_tables(synthetic_shop(users=8, products=12))
    assert tables.nodes["User"].columns == ["id", "taste"]
    assert tables.nodes["Product"].columns == ["id", "name", "text", "price"]
