"""What a model learns to predict is hidden from it: the latest purchases, or a part of each user's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.evaluate import evaluate
from gnn.history import FOREVER, Weighing
from gnn.measured import measure_lists
from gnn.metrics import mean
from gnn.ranking import RelatedRecommender
from gnn.task import Task, hide, make_task, only_rows, weigh
from tests.gnn.shops import DAY, graph_of, matrix, shop_of

PLAIN = Weighing(exponent=0.0, half_life=FOREVER)


def task_of(*rows: tuple[str, str, int | None], repeat: bool = False) -> Task:
    graph = graph_of(shop_of(*rows))
    later = graph.bought.head(0)
    return make_task(
        "validation", graph, known=graph.bought, later=later, weighing=PLAIN, now=99 * DAY, min_buyers=1, repeat=repeat
    )


def test_the_latest_purchases_are_hidden_where_times_are_known() -> None:
    task = task_of(("ann", "a", 1), ("bob", "b", 2), ("ann", "b", 3), ("bob", "a", 4), ("bob", "b", 4))
    hidden = hide(task, share=0.4, seed=0)
    assert (hidden.known["at"] // DAY).sort().to_list() == [1, 2, 3]
    assert hidden.now == 4 * DAY
    # Of bob's two on day 4 he had bought b before.
    assert hidden.relevant.toarray().tolist() == [[0, 0], [1, 0]]
    assert hidden.bought.toarray().tolist() == [[1, 1], [0, 1]]


def test_where_products_are_bought_again_they_are_to_be_found_again() -> None:
    task = task_of(("ann", "a", 1), ("bob", "b", 2), ("bob", "b", 4), repeat=True)
    hidden = hide(task, share=0.3, seed=0)
    assert hidden.relevant.toarray().tolist() == [[0, 0], [0, 1]]
    assert hidden.seen.nnz == 0
    assert hidden.bought.nnz == 2


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8)), min_size=2, unique=True), st.integers(0, 99))
def test_a_part_of_each_users_purchases_is_hidden_where_no_times_are_known(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    task = task_of(*((f"u{user}", f"p{product}", None) for user, product in pairs))
    hidden = hide(task, share=0.2, seed=seed)
    before = dict(task.known.group_by("user").len().rows())
    after = dict(hidden.known.group_by("user").len().rows())
    for user, count in before.items():
        # 0.2 n rounded to even, at least one of three.
        assert count - after.get(user, 0) == max(round(0.2 * count), int(count >= 3))
    assert hidden.relevant.sum() == len(task.known) - len(hidden.known)
    assert hidden.known.join(task.known, on=["user", "product"], how="anti").is_empty()
    assert (hidden.products == task.products).all()
    assert hide(task, share=0.2, seed=seed).known.equals(hidden.known)


def test_of_very_many_users_an_even_part_is_measured_and_it_is_the_same_for_all_measures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = graph_of(shop_of(*((f"u{user}", product, 1) for user in range(9) for product in "ab")))
    wanted = graph.bought.filter(pl.col("product") == 1)
    known = graph.bought.filter(pl.col("product") == 0)
    task = make_task("test", graph, known=known, later=wanted, weighing=PLAIN, now=99 * DAY, min_buyers=0)
    assert task.measured.tolist() == [*range(9)]
    # Only the first user's list has what is to be found; the last has nothing to find.
    task = replace(task, relevant=only_rows(task.relevant, np.arange(8)))
    ours = RelatedRecommender("ours", matrix([[1, 0]] + [[0, 0]] * 8), matrix([[0, 1], [0, 0]]))
    assert evaluate(ours, task).measures["NDCG@10"].value == pytest.approx(1 / 8)
    monkeypatch.setattr("gnn.task.MOST_MEASURED", 4)
    # Of the eight who have something to find: (0, 2⅓, 4⅔, 7).
    assert task.measured.tolist() == [0, 2, 5, 7]
    found = evaluate(ours, task).measures["NDCG@10"]
    assert (found.value, found.users) == (pytest.approx(1 / 4), 4)
    lists = measure_lists(ours, task)
    assert mean(lists.per_user["NDCG@10"]) == found
    # Of the buyers nothing is left out.
    assert lists.per_user["Popularity@10"][0] == task.bought.sum(0)[1]


def test_a_model_weighs_what_is_known_by_its_own_rule() -> None:
    task = task_of(("ann", "a", 97), ("ann", "a", 99))
    weights = weigh(task, Weighing(exponent=2.0, half_life=2.0 * DAY))
    # Ages 2 and 0 days: (0.5 + 1) ** 2.
    assert weights.toarray().tolist() == [[2.25]]
    assert task.known.select(pl.len()).item() == 2
