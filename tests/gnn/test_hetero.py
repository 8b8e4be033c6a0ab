"""The network's input on a shop small enough to write down every edge."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from torch_geometric.data import HeteroData

from gnn.hetero import hetero_data
from kg.graph import Graph
from loaders.tables import check_shop
from tests.gnn.shops import graph_of, purchases

PRODUCTS = pl.DataFrame(
    [
        ("cup", "Clay", "Home > Kitchen"),
        ("jam", "Leaf", "Food > Spreads"),
        ("pot", "Clay", "Home > Kitchen"),
        ("tea", None, "Food"),
    ],
    schema=["product_id", "brand", "category"],
    orient="row",
)
LINKS = pl.DataFrame(
    [("pot", "ALSO_VIEWED", "cup"), ("tea", "ALSO_VIEWED", "pot"), ("jam", "SEEN_WITH", "tea")],
    schema=["source_id", "relation", "target_id"],
    orient="row",
)
BOUGHT = pl.DataFrame([("ann", "cup", 1), ("bob", "tea", 2)], schema=["user_id", "product_id", "at"], orient="row")
# Positions are the order of the ids. Users: ann 0, bob 1. Products: cup 0, jam 1, pot 2, tea 3. Brands: Clay 0, Leaf 1.
# Categories: Food 0, Food > Spreads 1, Home 2, Home > Kitchen 3.
PAST = purchases((0, 0, 1), (0, 0, 2), (0, 3, 1), (1, 2, 1), (1, 1, 1))
TEXT = np.arange(8, dtype=np.float32).reshape(4, 2)


@pytest.fixture
def graph() -> Graph:
    return graph_of(check_shop("hand", products=PRODUCTS, purchases=BOUGHT, links=LINKS))


def edges(data: HeteroData) -> dict[str, set[tuple[int, int]]]:
    """Return the pairs of each relation, by its name."""
    return {
        relation: set(zip(*data[source, relation, target].edge_index.tolist(), strict=True))
        for source, relation, target in data.edge_types
    }


def test_the_edges_are_those_of_the_past_and_of_the_products_asked_for(graph: Graph) -> None:
    # Without the jam: cup is row 0, pot row 1, tea row 2.
    rows = np.array([0, 2, 3])
    data = hetero_data(graph, past=PAST, products=rows, text=TEXT[rows])
    forward = {name: pairs for name, pairs in edges(data).items() if not name.startswith("rev_")}
    assert forward == {
        "bought": {(0, 0), (0, 2), (1, 1)},
        "has_brand": {(0, 0), (1, 0)},
        "in_category_1": {(0, 2), (1, 2), (2, 0)},
        "in_category_2": {(0, 3), (1, 3)},
        "also_viewed": {(1, 0), (2, 1)},
    }
    assert data["product"].x.tolist() == [[0, 1], [4, 5], [6, 7]]
    counts = [data[label].num_nodes for label in ("user", "product", "brand", "category")]
    assert counts == [2, 3, 2, 4]


def test_every_relation_has_its_reverse(graph: Graph) -> None:
    data = hetero_data(graph, past=PAST, products=np.arange(4), text=TEXT)
    found = edges(data)
    forward = {name for name in found if not name.startswith("rev_")}
    assert set(found) == forward | {f"rev_{name}" for name in forward}
    for name in forward:
        assert found[f"rev_{name}"] == {(target, source) for source, target in found[name]}


def test_a_pair_bought_twice_is_one_edge(graph: Graph) -> None:
    data = hetero_data(graph, past=PAST, products=np.arange(4), text=TEXT)
    assert data["user", "bought", "product"].edge_index.tolist() == [[0, 0, 1, 1], [0, 3, 1, 2]]


def test_a_relation_without_edges_is_left_out(graph: Graph) -> None:
    # Of jam and pot alone, no link joins two, and no purchase is in the past.
    rows = np.array([1, 2])
    data = hetero_data(graph, past=PAST.head(0), products=rows, text=TEXT[rows])
    assert {name for name in edges(data) if not name.startswith("rev_")} == {
        "has_brand",
        "in_category_1",
        "in_category_2",
    }
