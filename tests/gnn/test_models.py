"""The contract that every model keeps: its space names its settings, and it reads nothing but what its task knows."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from operator import attrgetter

import numpy as np
import polars as pl
import pytest
import torch

from gnn.baselines import baselines
from gnn.cartograph import Cartograph
from gnn.config import NetworkConfig
from gnn.ease import EASE, EASELinks, EASERelations
from gnn.factors import IALS, LightGCN
from gnn.history import Weighing
from gnn.model import Content, Model, Range, is_random
from gnn.neighbours import ItemKNN, RP3beta
from gnn.network_alone import GraphNetworkAlone
from gnn.popularity import PersonalFrequency, Popularity, PopularityLastWeeks
from gnn.ranking import Recommender
from gnn.task import Task, make_task
from gnn.tuned import with_settings
from kg.graph import Graph
from loaders.synthetic import START, WEEK, synthetic_shop
from loaders.tables import check_shop
from tests.gnn.shops import graph_of

CUTOFF = START + 40 * WEEK
MODELS: tuple[Model, ...] = (
    Popularity(),
    PopularityLastWeeks(weeks=4.0),
    PersonalFrequency(half_life_days=30.0),
    ItemKNN(neighbours=5),
    RP3beta(neighbours=5),
    IALS(factors=8, iterations=3),
    EASE(),
    EASERelations(),
    EASELinks(),
    LightGCN(dimension=8, epochs=2, batch_purchases=64),
    GraphNetworkAlone(NetworkConfig(kind="linear", dimension=8), epochs=2),
    GraphNetworkAlone(NetworkConfig(kind="sage", dimension=8), epochs=2),
    GraphNetworkAlone(NetworkConfig(kind="hgt", dimension=8), epochs=2),
)
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


def shop_graph() -> Graph:
    """Return a made-up shop in which the first user buys nothing before the cutoff, and nobody the first product."""
    shop = synthetic_shop(users=30, products=24, brands=4, purchases_per_user=12)
    first_user, first_product = shop.users["user_id"][0], shop.products["product_id"][0]
    silent = (pl.col("user_id") == first_user) | (pl.col("product_id") == first_product)
    bought = shop.purchases.filter((pl.col("at") >= CUTOFF) | ~silent)
    return graph_of(check_shop("small", products=shop.products, purchases=bought, users=shop.users, links=shop.links))


def task_of(graph: Graph, *, repeat: bool = False) -> Task:
    return make_task(
        "test",
        graph,
        known=graph.bought.filter(pl.col("at") < CUTOFF),
        later=graph.bought.filter(pl.col("at") >= CUTOFF),
        weighing=Weighing(exponent=0.5, half_life=10.0 * WEEK),
        now=CUTOFF,
        min_buyers=0,
        repeat=repeat,
    )


def content_of(graph: Graph) -> Content:
    text = np.eye(len(graph.products), 8, dtype=np.float32)
    return Content(graph, text, times_known=True, device=torch.device("cpu"))


GRAPH = shop_graph()
TASK, REPEATED = task_of(GRAPH), task_of(GRAPH, repeat=True)
CONTENT = content_of(GRAPH)
EVERYBODY = np.arange(len(GRAPH.users))


def scores(recommender: Recommender) -> np.ndarray:
    return recommender.scores(EVERYBODY)


@EVERY_MODEL
def test_a_model_is_frozen_settings_and_its_space_names_settings_it_has(model: Model) -> None:
    assert isinstance(model, Model)
    assert is_dataclass(model)
    own = {name: attrgetter(name)(model) for name in model.space}
    # A name of a group is a field of the group: what is set is read back, and nothing else changes.
    assert with_settings(model, own) == model
    for name, place in model.space.items():
        if isinstance(place, Range):
            assert place.low < place.high
            assert place.low > 0 or not place.log
            assert isinstance(own[name], int if place.whole else float)


@pytest.mark.parametrize("model", baselines(times_known=True, repeat=True, links=True), ids=lambda model: model.name)
def test_the_values_a_baseline_starts_with_lie_in_its_space(model: Model) -> None:
    for name, place in model.space.items():
        value = attrgetter(name)(model)
        assert place.low <= value <= place.high if isinstance(place, Range) else value in place


@EVERY_MODEL
@pytest.mark.parametrize("task", [TASK, REPEATED], ids=["new", "repeat"])
def test_scores_are_a_number_or_nothing_for_each_user_and_product_and_the_same_for_one_seed(
    model: Model, task: Task
) -> None:
    found = scores(model.fit(task, CONTENT, seed=3))
    assert found.shape == (len(EVERYBODY), len(task.products))
    assert found.dtype == np.float64
    assert (np.isfinite(found) | np.isneginf(found)).all()
    assert np.array_equal(found, scores(model.fit(task, CONTENT, seed=3)))


@EVERY_MODEL
def test_scores_do_not_depend_on_who_is_asked_beside_and_may_be_changed_by_who_asked(model: Model) -> None:
    recommender = model.fit(TASK, CONTENT, seed=0)
    whole = scores(recommender)
    some = np.array([7, 0, 21])
    assert recommender.scores(some) == pytest.approx(whole[some], rel=1e-5, abs=1e-6)
    recommender.scores(EVERYBODY)[:] = 9.0
    assert np.array_equal(scores(recommender), whole)


@EVERY_MODEL
def test_of_the_graphs_purchases_none_is_read(model: Model) -> None:
    bought = GRAPH.bought
    other = replace(GRAPH, bought=bought.with_columns(pl.col("product").reverse(), pl.col("at") + 7))
    found = model.fit(TASK, content_of(other), seed=0)
    assert np.array_equal(scores(found), scores(model.fit(TASK, CONTENT, seed=0)))


@EVERY_MODEL
def test_what_has_to_be_found_changes_nothing(model: Model) -> None:
    blind = replace(TASK, relevant=TASK.relevant * 0)
    assert np.array_equal(scores(model.fit(blind, CONTENT, seed=0)), scores(model.fit(TASK, CONTENT, seed=0)))


@EVERY_MODEL
def test_a_user_and_a_product_without_purchases_disturb_nobody(model: Model) -> None:
    assert TASK.bought[[0]].nnz == 0
    assert TASK.bought.sum(0)[0] == 0
    found = scores(model.fit(TASK, CONTENT, seed=0))
    # Somebody else has something to choose from.
    assert (np.isfinite(found).sum(1)[1:] >= 5).all()


@pytest.mark.parametrize("model", [*MODELS[3:9]], ids=lambda model: model.name)
def test_of_a_user_without_purchases_a_personal_model_says_nothing(model: Model) -> None:
    assert np.isneginf(scores(model.fit(TASK, CONTENT, seed=0))[0]).all()


@EVERY_MODEL
def test_another_seed_gives_other_scores_where_a_model_says_that_it_is_random_and_nowhere_else(model: Model) -> None:
    one, other = (scores(model.fit(TASK, CONTENT, seed=seed)) for seed in (0, 1))
    assert np.array_equal(one, other) == (not is_random(model))


def test_ours_is_random_by_its_networks_alone() -> None:
    ours = Cartograph()
    assert is_random(ours)
    assert not is_random(ours.closed_form_alone)


@EVERY_MODEL
def test_fitting_leaves_torchs_own_chance_and_the_task_as_they_were(model: Model) -> None:
    state, known, history = torch.get_rng_state(), TASK.known.clone(), TASK.history.copy()
    model.fit(TASK, CONTENT, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert TASK.known.equals(known)
    assert (TASK.history != history).nnz == 0


def test_no_two_baselines_share_a_name_and_each_needs_only_what_there_is() -> None:
    names = [model.name for model in baselines(times_known=True, repeat=True, links=True)]
    assert len(set(names)) == len(names) == 13
    fewer = {model.name for model in baselines(times_known=False, repeat=False, links=False)}
    assert set(names) - fewer == {
        "popularity, last 8 weeks",
        "personal frequency",
        "EASE + brand, category and links",
    }
