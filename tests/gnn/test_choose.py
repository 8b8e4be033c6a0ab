"""Choices on validation: planted gains are kept, chance and what the tail pays for are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from gnn.cartograph import Cartograph, FittedCartograph
from gnn.checkpoint import Checkpoints
from gnn.choose import choose_closed_form, choose_networks, try_networks, verdict
from gnn.config import ClosedFormConfig, EdgeConfig, SplitConfig
from gnn.history import Weighing
from gnn.measured import Lists, measure_lists
from gnn.metrics import PerUser
from gnn.model import Content, Range
from gnn.ranking import Recommender
from gnn.simplify import simplified
from gnn.split import split_purchases
from gnn.task import Task, make_task
from gnn.tuned import NetworksFound
from kg.graph import Graph
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import content_of, graph_of

TAIL = "Recall@10, tail (at most 5 buyers)"
GRAPH = graph_of(synthetic_shop())


def numbers(ndcg: float, tail: float, *, seed: int, users: int = 400) -> dict[str, PerUser]:
    """Return made-up numbers of each user around these means; every other user has nothing of the tail to find."""
    rng = np.random.default_rng(seed)
    own = np.where(np.arange(users) % 2, tail + 0.05 * rng.normal(size=users), np.nan)
    return {"NDCG@10": ndcg + 0.05 * rng.normal(size=users), TAIL: own}


@pytest.mark.parametrize(
    ("ndcg", "tail", "helps"),
    [
        (0.12, 0.10, True),
        (0.12, 0.14, True),
        (0.12, 0.05, False),  # the tail pays
        (0.10, 0.14, False),  # only the tail gains
        (0.08, 0.10, False),
    ],
)
def test_networks_help_if_they_gain_more_than_chance_and_the_tail_does_not_pay(
    ndcg: float,
    tail: float,
    helps: bool,  # noqa: FBT001
) -> None:
    found = verdict(numbers(ndcg, tail, seed=1), numbers(0.1, 0.1, seed=2), seed=0)
    assert found.helps is helps
    assert str(found).startswith("kept: NDCG@10 " if helps else "left out: NDCG@10 ")


def test_a_gain_of_few_users_may_be_chance() -> None:
    assert not verdict(numbers(0.105, 0.1, seed=1, users=12), numbers(0.1, 0.1, seed=2, users=12), seed=0).helps


def test_a_shop_without_a_tail_is_judged_by_all_it_has() -> None:
    without = {"NDCG@10": numbers(0.1, 0.1, seed=2)["NDCG@10"], TAIL: np.full(400, np.nan)}
    found = verdict({**without, "NDCG@10": without["NDCG@10"] + 0.01}, without, seed=0)
    assert found.helps
    assert str(found) == "kept: NDCG@10 +1.00 (+1.00 to +1.00)"


def past(graph: Graph) -> Task:
    split = split_purchases(graph, SplitConfig(), seed=0)
    weighing = Weighing(exponent=0.35, half_life=70 * 86_400.0)
    return make_task(
        "validation", graph, known=split.past, later=split.validation, weighing=weighing,
        now=split.validation_from, min_buyers=5,
    )  # fmt: skip


def test_content_that_outweighs_all_purchases_is_taken_out_and_a_trend_that_helps_nobody() -> None:
    heavy = replace(Cartograph(), closed_form=ClosedFormConfig(brand=50.0, category=50.0, words=50.0, meaning=50.0))
    model, task, content = heavy.for_graph(GRAPH, timed=True), past(GRAPH), content_of(GRAPH)
    found = choose_closed_form(model, task, content, seed=0)
    assert found.taken_out == ("nine tenths of content", "trend", "weights of purchases in X")
    assert found.model.closed_form.brand == 5.0
    assert found.model.closed_form.links == {"ALSO_VIEWED": pytest.approx(0.03)}
    assert found.model.related.trend == 0.0
    assert found.in_words().startswith("by a few tries with the closed form (NDCG@10 % on validation): as given ")
    assert found.in_words().endswith(
        "no clear help, so taken out: nine tenths of content, trend, weights of purchases in X"
    )


def test_a_ridge_and_a_support_that_a_person_gave_are_the_only_ones() -> None:
    given = replace(Cartograph(), closed_form=ClosedFormConfig(ridge=7.0, support=16)).for_graph(GRAPH, timed=True)
    found = choose_closed_form(given, past(GRAPH), content_of(GRAPH), seed=0)
    assert list(found.tried) == ["as given", "row power 0"]
    assert (found.model.closed_form.ridge, found.model.closed_form.support) == (7.0, 16)
    # Also those that settings have at first.
    names = ("closed_form.ridge", "closed_form.support")
    first = choose_closed_form(
        Cartograph().for_graph(GRAPH, timed=True), past(GRAPH), content_of(GRAPH), given=names, seed=0
    )
    assert list(first.tried) == ["as given", "row power 0"]
    assert (first.model.closed_form.ridge, first.model.closed_form.support) == (6.0, 0)


def test_nothing_that_a_person_gave_is_taken_out() -> None:
    # Heavy content and a trend go if nobody asked for them (an earlier test).
    heavy = replace(Cartograph(), closed_form=ClosedFormConfig(brand=50.0, category=50.0, words=50.0, meaning=50.0))
    model = heavy.for_graph(GRAPH, timed=True)
    content = ("closed_form.brand", "closed_form.category", "closed_form.words", "closed_form.meaning")
    names = ("related.trend", "closed_form.exponent", "closed_form.links", *content)
    found = choose_closed_form(model, past(GRAPH), content_of(GRAPH), given=names, seed=0)
    form, first = found.model.closed_form, Cartograph().for_graph(GRAPH, timed=True)
    assert (form.brand, form.category, form.words, form.meaning) == (50.0, 50.0, 50.0, 50.0)
    assert (form.exponent, form.links) == (first.closed_form.exponent, first.closed_form.links)
    assert found.model.related.trend == first.related.trend


@dataclass(frozen=True)
class Planted:
    """A model of two parts: one doubles every user's number, of the other each user has by chance."""

    helpful: float = 1.0
    useless: float = 1.0
    name: str = "planted"

    space: ClassVar[Mapping[str, Range]] = {}
    simpler: ClassVar[Mapping[str, Mapping[str, float]]] = {"helpful": {"helpful": 0.0}, "useless": {"useless": 0.0}}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:  # noqa: ARG002
        rng = np.random.default_rng(0)
        wanted = task.relevant.toarray()
        # The helpful part shows half of what is wanted; the useless one only changes the order of all else.
        shown = wanted * (rng.random(wanted.shape) < 0.5) * self.helpful
        return Fixed(2.0 * shown + 0.1 * rng.random(wanted.shape) + 0.1 * self.useless * rng.random(wanted.shape))


@dataclass(frozen=True)
class Fixed:
    numbers: np.ndarray
    name: str = "fixed"

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.numbers[users]


def test_what_helps_stays_and_what_does_not_goes() -> None:
    model, taken_out = simplified(Planted(), past(GRAPH), content_of(GRAPH), seed=0)
    assert taken_out == ("useless",)
    assert model == Planted(useless=0.0)


@pytest.mark.parametrize(
    ("before", "taken_out", "model"),
    [
        ({"helpful": 0.0}, ("useless",), Planted(useless=0.0)),
        ({"useless": 0.0}, ("what the search changed",), Planted(useless=0.0)),
    ],
)
def test_what_a_search_changed_stays_only_if_it_is_better(
    before: dict[str, float], taken_out: tuple[str, ...], model: Planted
) -> None:
    assert simplified(Planted(), past(GRAPH), content_of(GRAPH), seed=0, before=before) == (model, taken_out)


def test_networks_are_trained_only_where_that_can_decide_something() -> None:
    task, content = past(GRAPH), content_of(GRAPH)
    small = replace(Cartograph(), edges=EdgeConfig(passes=1)).for_graph(GRAPH, timed=True)
    trained: list[str] = []

    def record(stage: str, _epoch: object) -> None:
        trained.append(stage)

    kept = Checkpoints(record=record)
    never = choose_networks(small, task, content, wanted="never", seed=0, checkpoints=kept)
    worse = NetworksFound(helps=False, why="it was worse", settings={"edges.tail_power": 0.15})
    known = choose_networks(small, task, content, wanted="auto", known=worse, seed=0, checkpoints=kept)
    assert not trained
    assert (never.why, known.why) == ("left out, as asked for", "found earlier: it was worse")
    assert never.model == known.model == small.closed_form_alone
    always = choose_networks(small, task, content, wanted="always", known=worse, seed=0, checkpoints=kept)
    weighed = "edge network, the tail weighed by 0.15, before validation"
    others = {"network on a part, before validation", "network on all, before validation"}
    assert set(trained) == {weighed, *others}
    # Only as was found the best, though it was not good enough.
    assert always.model == replace(small, edges=replace(small.edges, tail_power=0.15))
    assert trained.count(weighed) == 1
    assert always.why.startswith("kept, as asked for; else they were ")


PAYS, EVEN, GAINS = numbers(0.13, 0.05, seed=3), numbers(0.12, 0.10, seed=1), numbers(0.11, 0.14, seed=4)
LOSES = numbers(0.08, 0.14, seed=5)


@pytest.mark.parametrize(
    ("made", "tried", "used", "helps"),
    [
        # Head and tail both gain with the third, so the fourth is not tried.
        ({0.0: PAYS, 0.25: EVEN, 0.5: GAINS, 0.75: GAINS}, [0.0, 0.25, 0.5], 0.5, True),
        # The tail never gains: the first with which it does not pay.
        ({0.0: PAYS, 0.25: EVEN, 0.5: EVEN}, [0.0, 0.25, 0.5], 0.25, True),
        # The head no longer gains, and would not with more weight of the tail either.
        ({0.0: PAYS, 0.25: EVEN, 0.5: LOSES, 0.75: GAINS}, [0.0, 0.25, 0.5], 0.25, True),
        ({0.0: PAYS, 0.25: LOSES}, [0.0, 0.25], 0.25, False),
        ({0.0: PAYS}, [0.0], 0.0, False),
    ],
)
def test_the_first_weight_of_the_tail_with_which_both_gain_is_used_or_the_first_with_which_it_does_not_pay(
    made: dict[float, dict[str, PerUser]],
    tried: list[float],
    used: float,
    helps: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, content = past(GRAPH), content_of(GRAPH)
    small = replace(Cartograph(), edges=EdgeConfig(passes=1)).for_graph(GRAPH, timed=True)
    fitted: list[float] = []

    some = small.closed_form_alone.fit(task, content, seed=0)
    lists = measure_lists(some, task)

    def each(
        _self: Cartograph, _task: Task, _content: Content, ways: list[EdgeConfig], **_: object
    ) -> Iterator[FittedCartograph]:
        for way in ways:
            fitted.append(way.tail_power)
            yield replace(some, name=str(way.tail_power))

    def measured(each: FittedCartograph, _task: Task) -> Lists:
        return replace(lists, per_user=made[float(each.name)])

    monkeypatch.setattr(Cartograph, "fit_each", each)
    monkeypatch.setattr("gnn.choose.measure_lists", measured)
    found = try_networks(small, task, content, without=numbers(0.1, 0.1, seed=2), powers=tuple(made), seed=0)
    assert fitted == tried
    assert found.helps is helps
    assert found.model == replace(small, edges=replace(small.edges, tail_power=used))
    assert found.fitted.name == str(used)
    assert found.lists.per_user is made[used]
    assert f", the tail weighed by {used:g}" in found.in_words()
    assert found.in_words().count("; with ") == len(tried) - 1


def test_each_way_to_train_the_edge_network_gives_what_a_fit_of_its_own_gives() -> None:
    task, content = past(GRAPH), content_of(GRAPH)
    small = replace(Cartograph(), edges=EdgeConfig(passes=1)).for_graph(GRAPH, timed=True)
    ways = [replace(small.edges, tail_power=power) for power in (0.0, 0.5)]
    together = list(small.fit_each(task, content, ways, seed=0))
    for way, fitted in zip(ways, together, strict=True):
        alone = replace(small, edges=way).fit(task, content, seed=0)
        np.testing.assert_array_equal(fitted.related.weight, alone.related.weight)
        np.testing.assert_array_equal(fitted.related.target, alone.related.target)
    assert not np.array_equal(together[0].related.weight, together[1].related.weight)
