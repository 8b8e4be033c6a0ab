"""Cold on purpose: what is hidden is gone from all that is known, and all of it has to be found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gnn.cold import Among, cold_products, cold_users
from gnn.config import SplitConfig
from gnn.content_baselines import PopularityInCategory
from gnn.evaluate import evaluate
from gnn.history import Weighing
from gnn.split import split_purchases
from gnn.task import Task, make_task
from kg.graph import Graph
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import content_of, graph_of, purchases, shop_of

WEIGHING = Weighing(exponent=0.5, half_life=1e30)


def planted_task(*, repeat: bool = False) -> tuple[Graph, Task]:
    graph = graph_of(synthetic_shop(users=60, products=40, brands=8, purchases_per_user=14))
    split = split_purchases(graph, SplitConfig(), seed=0)
    task = make_task(
        "test", graph, known=split.before_test, later=split.test, weighing=WEIGHING, now=split.test_from,
        min_buyers=1, repeat=repeat,
    )  # fmt: skip
    return graph, task


def task_of(known: pl.DataFrame, later: pl.DataFrame, *, repeat: bool = False) -> Task:
    """Return a task of two users and five products; 9 days are known."""
    rows = [(f"u{user}", f"p{product}", 0) for user in range(2) for product in range(5)]
    return make_task(
        "test", graph_of(shop_of(*rows)), known=known, later=later, weighing=WEIGHING, now=10 * 86_400, min_buyers=0,
        repeat=repeat,
    )  # fmt: skip


def pairs(task: Task) -> set[tuple[int, int]]:
    users, columns = task.relevant.nonzero()
    return set(zip(users.tolist(), task.products[columns].tolist(), strict=True))


@pytest.mark.parametrize("repeat", [False, True])
def test_a_cold_product_has_no_purchase_left_and_all_of_them_are_to_be_found(repeat: bool) -> None:  # noqa: FBT001
    _, task = planted_task(repeat=repeat)
    found = cold_products(task, seed=3)
    assert found.cold.sum() == 4
    cold = set(task.products[found.cold].tolist())
    assert np.array_equal(found.task.products, task.products)
    assert not set(found.task.known["product"]) & cold
    assert not found.task.history[:, found.cold].nnz
    assert not found.task.seen[:, found.cold].nnz
    before = set(task.known.select("user", "product").rows()) | pairs(task)
    assert pairs(found.task) == {pair for pair in before if pair[1] in cold}
    assert set(found.task.relevant.data) == {1.0}


def test_other_products_keep_their_purchases_and_weights() -> None:
    _, task = planted_task()
    found = cold_products(task)
    warm = ~found.cold
    assert np.array_equal(found.task.history[:, warm].toarray(), task.history[:, warm].toarray())
    kept = task.known.filter(pl.col("product").is_in(task.products[warm]))
    assert found.task.known.equals(kept)


def test_the_seed_alone_says_which_products_are_cold() -> None:
    _, task = planted_task()
    one, same, other = (cold_products(task, seed=seed).cold for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_among_the_cold_ones_only_they_are_ranked_in_the_same_order() -> None:
    graph, task = planted_task()
    found = cold_products(task, share=0.3)
    recommender = PopularityInCategory().fit(found.task, content_of(graph), seed=0)
    scores, among = recommender.scores(np.arange(5)), Among(recommender, found.cold).scores(np.arange(5))
    assert np.array_equal(among[:, found.cold], scores[:, found.cold])
    assert np.isneginf(among[:, ~found.cold]).all()


def test_among_the_cold_ones_the_planted_category_finds_far_more_than_chance() -> None:
    graph, task = planted_task()
    found = cold_products(task, share=0.5)
    recommender = PopularityInCategory().fit(found.task, content_of(graph), seed=0)
    measured = evaluate(Among(recommender, found.cold), found.task).measures
    # Of 20 cold products 10 are ranked, so chance finds half; a taste is 5 of them and nine purchases in ten.
    assert measured["Recall@10"].value > 0.8
    everywhere = evaluate(recommender, found.task).measures
    assert everywhere["Recall@10"].value < measured["Recall@10"].value


def test_one_product_cannot_be_cold_alone() -> None:
    task = make_task(
        "test", graph_of(shop_of(("u", "p", 0))), known=purchases((0, 0, 0)), later=purchases(), weighing=WEIGHING,
        now=86_400, min_buyers=0,
    )  # fmt: skip
    with pytest.raises(InputError, match="1 products can be ranked, and cold ones need others beside them"):
        cold_products(task)


# User 0 bought 3, then 1 (twice, days 2 and 6), then 4 and 0; user 1 bought too little to be cold.
KNOWN = purchases((0, 3, 1), (0, 1, 2), (0, 1, 6), (0, 4, 3), (0, 0, 5), (1, 2, 1))
LATER = purchases((0, 2, 11), (0, 1, 11), (1, 0, 11))


def test_a_cold_user_shows_her_first_purchases_and_all_others_are_to_be_found() -> None:
    tasks = cold_users(task_of(KNOWN, LATER), weighing=WEIGHING)
    assert list(tasks) == [1, 2, 3]
    known = {count: set(task.known.rows()) for count, task in tasks.items()}
    other = (1, 2, 1 * 86_400)
    assert known[1] == {(0, 3, 1 * 86_400), other}
    assert known[2] == known[1] | {(0, 1, 2 * 86_400)}
    assert known[3] == known[2] | {(0, 4, 3 * 86_400)}
    assert pairs(tasks[1]) == {(0, 0), (0, 1), (0, 2), (0, 4)}
    assert pairs(tasks[2]) == {(0, 0), (0, 2), (0, 4)}
    assert pairs(tasks[3]) == {(0, 0), (0, 2)}


def test_with_repeats_a_shown_product_that_she_buys_again_is_to_be_found() -> None:
    tasks = cold_users(task_of(KNOWN, LATER, repeat=True), weighing=WEIGHING)
    assert pairs(tasks[2]) == {(0, 0), (0, 1), (0, 2), (0, 4)}
    assert pairs(tasks[1]) == pairs(tasks[2])


def test_the_weight_of_a_shown_product_is_that_of_its_first_purchase_alone() -> None:
    task = task_of(KNOWN, LATER)
    shown = cold_users(task, weighing=WEIGHING)[3]
    assert task.history[0, 1] == pytest.approx(2**0.5)
    assert shown.history[0, 1] == 1
    assert shown.history[1].nnz == task.history[1].nnz == 1


def test_all_cold_tasks_have_the_same_users_and_nobody_elses_history_changes() -> None:
    _, task = planted_task()
    tasks = cold_users(task, weighing=WEIGHING, share=0.25, seed=1)
    cold = [np.flatnonzero(np.diff(each.relevant.indptr)) for each in tasks.values()]
    assert len(cold[0]) == 15
    assert all(np.array_equal(cold[0], each) for each in cold)
    others = np.setdiff1d(np.arange(60), cold[0])
    before = set(task.known.select("user", "product").rows()) | pairs(task)
    for count, each in tasks.items():
        assert np.array_equal(np.diff(each.history.indptr)[cold[0]], np.full(15, count))
        assert (each.history[others] - task.history[others]).nnz == 0
        shown = set(each.known.select("user", "product").rows())
        assert pairs(each) == {pair for pair in before if pair[0] in cold[0]} - shown


def test_without_times_chance_says_which_purchases_come_first_and_the_seed_says_it_again() -> None:
    known = KNOWN.with_columns(at=pl.lit(0, dtype=pl.Int64)).unique(maintain_order=True)
    first = {
        seed: set(cold_users(task_of(known, LATER), weighing=WEIGHING, seed=seed)[1].known.rows()) for seed in range(12)
    }
    assert first[0] == set(cold_users(task_of(known, LATER), weighing=WEIGHING, seed=0)[1].known.rows())
    assert len({frozenset(each) for each in first.values()}) > 1


def test_where_nobody_bought_enough_there_are_no_cold_users() -> None:
    task = task_of(purchases((0, 1, 1), (1, 2, 1)), LATER)
    with pytest.raises(InputError, match="no user bought more than 3 products before test; give more purchases"):
        cold_users(task, weighing=WEIGHING)
