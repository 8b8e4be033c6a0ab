"""What is searched ranks as what is used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gnn.searched_form
from gnn.base import fit_base
from gnn.cartograph import Cartograph
from gnn.config import RelatedConfig, SplitConfig
from gnn.history import Weighing
from gnn.related import Base
from gnn.split import split_purchases
from gnn.task import Task, make_task
from gnn.tuned import with_settings
from kg.graph import Graph
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import content_of, graph_of


def small_task(graph: Graph, *, repeat: bool) -> Task:
    split = split_purchases(graph, SplitConfig(), seed=0)
    return make_task(
        "validation", graph, known=split.past, later=split.validation, now=split.validation_from, min_buyers=5,
        weighing=Weighing(exponent=1.0, half_life=1e9), repeat=repeat,
    )  # fmt: skip


@pytest.mark.parametrize("repeat", [False, True])
def test_the_searched_form_scores_as_the_closed_form_alone(repeat: bool) -> None:  # noqa: FBT001
    graph = graph_of(synthetic_shop())
    task = small_task(graph, repeat=repeat)
    few = RelatedConfig(per_product=9, own=3.0, trend=0.7)
    ours = replace(Cartograph(repeat=repeat), related=few).for_graph(graph, timed=True)
    content, users = content_of(graph), np.arange(len(graph.users))
    searched, used = (
        model.fit(task, content, seed=0).scores(users) for model in (ours.to_search, ours.closed_form_alone)
    )
    assert ours.to_search.space == ours.space
    assert ours.to_search.name == ours.closed_form_alone.name
    assert searched == pytest.approx(used, abs=1e-6)


def test_a_step_in_what_is_applied_to_the_edges_gives_what_a_fit_of_its_own_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = graph_of(synthetic_shop())
    task, users, kept = small_task(graph, repeat=True), np.arange(len(graph.users)), content_of(graph)
    first = (
        replace(Cartograph(repeat=True), related=RelatedConfig(per_product=9)).for_graph(graph, timed=True).to_search
    )
    (fitted, after), fits = first.parts, []
    assert {*fitted, *after} == {*first.space}
    assert {*after} == {
        "history.exponent", "history.half_life_days", "related.own", "related.trend", "related.trend_shrink",
        "related.trend_half_life_days",
    }  # fmt: skip

    def counted(*given: Any, **named: Any) -> Base:
        fits.append(1)
        return fit_base(*given, **named)

    monkeypatch.setattr(gnn.searched_form, "fit_base", counted)
    for changes, count in (
        ({}, 1),
        (dict.fromkeys(after, 0.75), 1),
        ({"closed_form.ridge": 9.0, "related.trend": 1.2}, 2),
        ({"related.trend": 0.3}, 2),
    ):
        model = with_settings(first, changes)
        found = model.fit(task, kept, seed=0).scores(users)
        assert len(fits) == count
        monkeypatch.undo()
        assert found == pytest.approx(model.fit(task, content_of(graph), seed=0).scores(users), abs=1e-6)
        monkeypatch.setattr(gnn.searched_form, "fit_base", counted)
