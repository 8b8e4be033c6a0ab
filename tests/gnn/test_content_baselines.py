"""The content baselines, worked out by hand."""

from __future__ import annotations

from math import inf

import numpy as np
import polars as pl
import pytest

from gnn.content_baselines import PopularityInCategory, TextOnly
from gnn.history import Weighing
from gnn.model import Model
from gnn.ranking import NOBODY, rank
from gnn.task import Task, make_task
from kg.graph import Graph
from loaders.tables import check_shop
from tests.gnn.shops import content_of, graph_of, purchases

PRODUCTS = pl.DataFrame(
    [("cup", "Home"), ("jar", "Home"), ("lid", "Home|Kitchen"), ("pen", "Desk"), ("raw", None)],
    schema=["product_id", "category"],
    orient="row",
)


def graph_and_task() -> tuple[Graph, Task]:
    """Return a shop where u0 bought the cup, u1 the cup and the lid, u2 the pen, and u3 nothing that is known."""
    bought = pl.DataFrame(
        [("u0", "cup"), ("u1", "cup"), ("u1", "lid"), ("u2", "pen"), ("u3", "raw")],
        schema=["user_id", "product_id"],
        orient="row",
    )
    graph = graph_of(check_shop("hand", products=PRODUCTS, purchases=bought))
    known = purchases((0, 0, 0), (1, 0, 0), (1, 2, 0), (2, 3, 0))
    task = make_task(
        "test", graph, known=known, later=purchases(), weighing=Weighing(exponent=1.0, half_life=1e30), now=1,
        min_buyers=0,
    )  # fmt: skip
    return graph, task


def test_both_are_models_with_nothing_to_search() -> None:
    for model in (TextOnly(), PopularityInCategory()):
        assert isinstance(model, Model)
        assert model.space == {}


def test_popularity_counts_within_the_categories_of_what_she_bought() -> None:
    graph, task = graph_and_task()
    found = PopularityInCategory().fit(task, content_of(graph), seed=0).scores(np.arange(4))
    # Home holds cup (2 buyers), jar (0) and lid (1): with one more each 3, 1 and 2 of 6. Kitchen holds the lid alone.
    assert found[0].tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6, -inf, -inf])
    # Of the categories of her two products, two are Home and one is Kitchen.
    assert found[1].tolist() == pytest.approx([2 / 3 * 3 / 6, 2 / 3 * 1 / 6, 2 / 3 * 2 / 6 + 1 / 3, -inf, -inf])
    assert found[2].tolist() == pytest.approx([-inf, -inf, -inf, 1, -inf])
    assert np.isneginf(found[3]).all()


def test_text_scores_are_cosines_with_the_mean_of_her_texts() -> None:
    graph, task = graph_and_task()
    # Together they are 0, so freeing them of their mean changes nothing; 'raw' has no text.
    text = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]], dtype=np.float32)
    recommender = TextOnly().fit(task, content_of(graph, text=text), seed=0)
    found = recommender.scores(np.arange(4))
    assert found[0].tolist() == pytest.approx([1, -1, 0, 0, -inf])
    assert found[1].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5), 0.5**0.5, -(0.5**0.5), -inf])
    assert np.isneginf(found[3]).all()
    lists = rank(recommender, seen=task.seen, k=4).products
    # The lid and the pen tie for the first user, and the first one comes first.
    assert lists[0].tolist() == [2, 3, 1, NOBODY]
    assert lists[3].tolist() == [NOBODY] * 4
