"""What each row of the ablation takes away is gone, and what it leaves is as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.ablate import ABLATIONS, shuffled, without_links, without_relations, without_text
from gnn.hetero import hetero_data
from gnn.model import Content
from gnn.similarity import product_features
from kg.graph import Graph
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import content_of, graph_of

GRAPH = graph_of(synthetic_shop(users=30, products=60, links_per_product=3))
RELATIONS = ("brand", "category", "ALSO_VIEWED")


def features(content: Content) -> dict[str, np.ndarray]:
    """Return how alike all products are by each feature."""
    found = product_features(content.graph, products=np.arange(len(content.graph.products)), text=content.text)
    return {name: np.asarray((each @ each.T) if name == "meaning" else (each @ each.T).toarray())
            for name, each in found.items()}  # fmt: skip


def edges(graph: Graph) -> dict[str, pl.DataFrame]:
    own = {name: getattr(graph, name) for name in ("has_brand", "in_category", "subcategory_of")}
    return {**own, **graph.links}


WHOLE = features(content_of(GRAPH))


@pytest.mark.parametrize(
    ("row", "left"),
    [
        ("no graph, no text", set()),
        ("no graph, text", {"words", "meaning"}),
        ("brand and category", {"brand", "category"}),
        ("brand, category, text", {"brand", "category", "words", "meaning"}),
        ("whole graph", {"brand", "category", "words", "meaning", "ALSO_VIEWED"}),
    ],
)
def test_a_row_leaves_what_it_says_and_takes_all_else_from_what_models_read(row: str, left: set[str]) -> None:
    found = features(ABLATIONS[row](content_of(GRAPH), 0))
    assert {name for name, alike in found.items() if alike.any()} == left
    for name in left:
        assert np.array_equal(found[name], WHOLE[name])


def test_shuffling_changes_every_relation_that_models_read_and_no_text() -> None:
    found = features(ABLATIONS["shuffled graph, text"](content_of(GRAPH), 0))
    for name in RELATIONS:
        assert found[name].any()
        assert not np.allclose(found[name], WHOLE[name])
    for name in ("words", "meaning"):
        assert np.array_equal(found[name], WHOLE[name])


def test_the_rows_are_always_the_same_and_in_one_order() -> None:
    assert list(ABLATIONS) == [
        "no graph, no text",
        "no graph, text",
        "shuffled graph, text",
        "brand and category",
        "brand, category, text",
        "whole graph",
    ]


def test_shuffling_keeps_every_nodes_number_of_edges_and_doubles_none() -> None:
    for name, found in edges(shuffled(GRAPH, seed=1)).items():
        was = edges(GRAPH)[name]
        assert len(found.unique()) == len(was)
        assert found.schema == was.schema
        for end in ("source", "target"):
            assert np.array_equal(np.bincount(found[end]), np.bincount(was[end]))


def test_shuffling_keeps_the_number_of_categories_of_each_level() -> None:
    levels = GRAPH.categories["level"]

    def of(graph: Graph) -> list[tuple[int, int]]:
        frame = graph.in_category.select("source", level=levels.gather(graph.in_category["target"]))
        return sorted(frame.rows())

    assert of(shuffled(GRAPH, seed=1)) == of(GRAPH)


def test_shuffling_leaves_only_as_many_edges_as_chance_does_and_makes_no_loop() -> None:
    was, found = GRAPH.links["ALSO_VIEWED"], shuffled(GRAPH, seed=1).links["ALSO_VIEWED"]
    stayed = len(was.join(found, on=["source", "target"]))
    # 180 edges among 60 products: chance puts about 180 · 3 / 60 = 9 where they were.
    assert stayed < 25
    assert not (found["source"] == found["target"]).any()


def test_the_seed_alone_says_how_it_is_shuffled() -> None:
    one, same, other = (edges(shuffled(GRAPH, seed=seed)) for seed in (0, 0, 1))
    assert all(one[name].equals(same[name]) for name in one)
    assert not one["ALSO_VIEWED"].equals(other["ALSO_VIEWED"])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), unique=True, max_size=30), st.integers(0, 99))
def test_any_graph_of_links_keeps_its_degrees_when_shuffled(pairs: list[tuple[int, int]], seed: int) -> None:
    links = pl.DataFrame(pairs, schema={"source": pl.Int64, "target": pl.Int64}, orient="row")
    found = shuffled(replace(GRAPH, links={"LINK": links}), seed=seed).links["LINK"]
    assert found.n_unique() == len(links)
    for end in ("source", "target"):
        assert np.array_equal(np.bincount(found[end], minlength=7), np.bincount(links[end], minlength=7))


def test_the_graph_given_comes_out_as_it_went_in_and_purchases_are_never_touched() -> None:
    before = {name: frame.clone() for name, frame in edges(GRAPH).items()}
    content = content_of(GRAPH)
    for ablate in ABLATIONS.values():
        assert ablate(content, 0).graph.bought.equals(GRAPH.bought)
    assert all(frame.equals(edges(GRAPH)[name]) for name, frame in before.items())
    assert content.text.any()


def test_the_network_reads_the_ablated_graph_too() -> None:
    def types(graph: Graph) -> set[str]:
        data = hetero_data(graph, past=graph.bought, products=np.arange(60), text=np.zeros((60, 2), dtype=np.float32))
        return {relation for _, relation, _ in data.edge_types if not relation.startswith("rev_")}

    assert types(GRAPH) == {"bought", "has_brand", "in_category_1", "in_category_2", "also_viewed"}
    assert types(without_links(GRAPH)) == types(GRAPH) - {"also_viewed"}
    assert types(without_relations(GRAPH)) == {"bought"}
    assert without_text(GRAPH).products["text"].null_count() == 60
