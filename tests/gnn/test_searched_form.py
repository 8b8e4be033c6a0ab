"""What is searched ranks as what is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gnn.cartograph import Cartograph
from gnn.config import RelatedConfig, SplitConfig
from gnn.history import Weighing
from gnn.split import split_purchases
from gnn.task import make_task
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import content_of, graph_of


@pytest.mark.parametrize("repeat", [False, True])
def test_the_searched_form_scores_as_the_closed_form_alone(repeat: bool) -> None:  # noqa: FBT001
    graph = graph_of(synthetic_shop())
    split = split_purchases(graph, SplitConfig(), seed=0)
    task = make_task(
        "validation", graph, known=split.past, later=split.validation, now=split.validation_from, min_buyers=5,
        weighing=Weighing(exponent=1.0, half_life=1e9), repeat=repeat,
    )  # fmt: skip
    few = RelatedConfig(per_product=9, own=3.0, trend=0.7)
    ours = replace(Cartograph(repeat=repeat), related=few).for_graph(graph, timed=True)
    content, users = content_of(graph), np.arange(len(graph.users))
    searched, used = (
        model.fit(task, content, seed=0).scores(users) for model in (ours.to_search, ours.closed_form_alone)
    )
    assert ours.to_search.space == ours.space
    assert ours.to_search.name == ours.closed_form_alone.name
    assert searched == pytest.approx(used, abs=1e-6)
