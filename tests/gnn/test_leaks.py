"""Nothing of the future leaks: whatever happens after a cutoff, what is learned before it is the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import torch

from gnn.cartograph import Cartograph, FittedCartograph
from gnn.config import EdgeConfig, HistoryConfig, NetworkConfig, SplitConfig
from gnn.hetero import hetero_data
from gnn.history import Weighing, trend
from gnn.model import Content
from gnn.related import related_edges
from gnn.split import Split, split_purchases
from gnn.task import Task, make_task
from kg.graph import Graph
from loaders.synthetic import synthetic_shop
from loaders.tables import Shop, check_shop
from tests.gnn.shops import base_of, graph_of

SHOP = synthetic_shop(users=40, products=32, brands=4, purchases_per_user=14)
MODEL = Cartograph(
    network=NetworkConfig(dimension=8, evaluate_every=1, batch_users=16, max_epochs=3),
    edges=EdgeConfig(by_base=10, by_network=5, passes=2),
)


@dataclass(frozen=True)
class Learned:
    """All that the main job makes of the past."""

    graph: Graph
    split: Split
    task: Task
    trend: np.ndarray
    model: FittedCartograph


def content_of(graph: Graph) -> Content:
    text = np.eye(len(graph.products), 8, dtype=np.float32)
    return Content(graph, text, times_known=True, device=torch.device("cpu"))


def learn(shop: Shop) -> Learned:
    """Do the first half of the main job, as gnn.train does."""
    graph = graph_of(shop)
    split = split_purchases(graph, SplitConfig(), seed=0)
    weighing = Weighing.of(HistoryConfig(), times_known=True)
    task = make_task(
        "validation", graph, known=split.past, later=split.validation, weighing=weighing,
        now=split.validation_from, min_buyers=2,
    )  # fmt: skip
    factor = trend(task.known, products=task.products, half_life_days=14.0, shrink=5.0, now=task.now)
    return Learned(graph, split, task, factor, MODEL.fit(task, content_of(graph), seed=0))


def with_later(purchases: pl.DataFrame, *, cutoff: int, how: str) -> pl.DataFrame:
    """Return the purchases with all those from ``cutoff`` on removed, moved among users and products, or doubled."""
    before, later = purchases.filter(pl.col("at") < cutoff), purchases.filter(pl.col("at") >= cutoff)
    moved = later.with_columns(
        pl.col("user_id").reverse(), pl.col("product_id").shift(3, fill_value="p00"), quantity=9.0, spend=0.5
    )
    more = later.with_columns(pl.col("product_id").reverse(), pl.col("at") + 1)
    return {"removed": before, "moved": pl.concat([before, moved]), "added": pl.concat([purchases, more])}[how]


def shop_with(purchases: pl.DataFrame) -> Shop:
    return check_shop(
        SHOP.name,
        products=SHOP.products,
        purchases=purchases,
        users=SHOP.users,
        links=SHOP.links,
        validation_from=SHOP.validation_from,
        test_from=SHOP.test_from,
    )


@pytest.fixture(scope="module")
def as_it_was() -> Learned:
    return learn(SHOP)


def same_matrix(one: object, other: object) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("indptr", "indices", "data"))


@pytest.mark.parametrize("how", ["moved", "added", "removed"])
def test_what_is_bought_from_the_cutoff_on_changes_nothing_of_the_past(as_it_was: Learned, how: str) -> None:
    assert SHOP.validation_from is not None
    later = with_later(SHOP.purchases, cutoff=SHOP.validation_from, how=how)
    if how == "removed":
        # One purchase has to be in the validation part, or there is no split.
        later = pl.concat([later, SHOP.purchases.filter(pl.col("at") >= SHOP.validation_from).sort("at").head(1)])
    graph = graph_of(shop_with(later))
    split = split_purchases(graph, SplitConfig(), seed=0)
    assert split.past.equals(as_it_was.split.past)
    task = make_task(
        "validation", graph, known=split.past, later=split.validation,
        weighing=Weighing.of(HistoryConfig(), times_known=True), now=split.validation_from, min_buyers=2,
    )  # fmt: skip
    assert np.array_equal(task.products, as_it_was.task.products)
    assert same_matrix(task.history, as_it_was.task.history)
    assert same_matrix(task.seen, as_it_was.task.seen)
    factor = trend(task.known, products=task.products, half_life_days=14.0, shrink=5.0, now=task.now)
    assert np.array_equal(factor, as_it_was.trend)
    text = np.eye(len(graph.products), 8, dtype=np.float32)
    ours, theirs = (
        related_edges(base_of(known, of), per_product=5, factor=factor)
        for of, known in ((graph, task), (as_it_was.graph, as_it_was.task))
    )
    assert same_matrix(ours.matrix(len(task.products)), theirs.matrix(len(task.products)))
    found, was = (
        hetero_data(of, past=known.known, products=known.products, text=text[known.products])
        for of, known in ((graph, task), (as_it_was.graph, as_it_was.task))
    )
    assert found.edge_types == was.edge_types
    for edge_type in was.edge_types:
        assert torch.equal(found[edge_type].edge_index, was[edge_type].edge_index)
    assert torch.equal(found["product"].x, was["product"].x)
    assert graph.products["text"].equals(as_it_was.graph.products["text"])


@pytest.mark.parametrize("how", ["removed", "moved", "added"])
def test_what_is_bought_in_the_test_part_changes_nothing_that_is_chosen(as_it_was: Learned, how: str) -> None:
    assert SHOP.test_from is not None
    changed = learn(shop_with(with_later(SHOP.purchases, cutoff=SHOP.test_from, how=how)))
    assert not changed.split.test.equals(as_it_was.split.test)
    assert same_matrix(changed.task.relevant, as_it_was.task.relevant)
    ours, theirs = changed.model, as_it_was.model
    assert ours.network is not None
    assert theirs.network is not None
    assert (ours.network.epochs, ours.network.temperature) == (theirs.network.epochs, theirs.network.temperature)
    assert np.array_equal(ours.network.queries, theirs.network.queries)
    assert np.array_equal(ours.network.keys, theirs.network.keys)
    size = len(changed.task.products)
    assert same_matrix(ours.related.matrix(size), theirs.related.matrix(size))


def test_a_product_bought_before_is_not_to_be_found_again_and_one_bought_twice_later_counts_once() -> None:
    graph = graph_of(SHOP)
    split = split_purchases(graph, SplitConfig(), seed=0)
    task = make_task(
        "test", graph, known=split.before_test, later=split.test,
        weighing=Weighing.of(HistoryConfig(), times_known=True), now=split.test_from, min_buyers=1,
    )  # fmt: skip
    before = set(split.before_test.select("user", "product").rows())
    expected = set(split.test.select("user", "product").rows()) - before
    ranked = set(task.products.tolist())
    users, columns = task.relevant.nonzero()
    assert set(zip(users.tolist(), task.products[columns].tolist(), strict=True)) == {
        pair for pair in expected if pair[1] in ranked
    }
    assert set(task.relevant.data) == {1.0}
