"""Training: the same seed gives the same numbers, the planted taste is found, the best epoch is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnn.checkpoint import Checkpoint, EpochRecord
from gnn.config import HistoryConfig, NetworkConfig, SplitConfig
from gnn.evaluate import evaluate
from gnn.fit import FittedNetwork, Validate, fit_network, make_network
from gnn.hetero import hetero_data
from gnn.history import Weighing
from gnn.model import Content
from gnn.network_alone import NetworkAlone
from gnn.popularity import Popularity
from gnn.ranking import RelatedRecommender
from gnn.related import related_edges
from gnn.split import split_purchases
from gnn.task import Task, make_task
from kg.graph import Graph
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import base_of, graph_of

CPU = torch.device("cpu")
SMALL = NetworkConfig(
    dimension=16, learning_rate=0.01, identity_dropout=0.0, batch_users=64, evaluate_every=1, patience=2
)


def tasks(graph: Graph) -> tuple[Task, Task]:
    split = split_purchases(graph, SplitConfig(), seed=0)
    weighing = Weighing.of(HistoryConfig(), times_known=True)
    past = make_task(
        "validation", graph, known=split.past, later=split.validation, weighing=weighing,
        now=split.validation_from, min_buyers=3,
    )  # fmt: skip
    final = make_task(
        "test", graph, known=split.before_test, later=split.test, weighing=weighing, now=split.test_from, min_buyers=3
    )
    return past, final


def fit(
    graph: Graph,
    task: Task,
    *,
    epochs: int,
    seed: int = 0,
    validate: Validate | None = None,
    config: NetworkConfig = SMALL,
    records: list[EpochRecord] | None = None,
    checkpoint: Checkpoint | None = None,
) -> FittedNetwork:
    text = np.eye(len(graph.products), 8, dtype=np.float32)
    data = hetero_data(graph, past=task.known, products=task.products, text=text[task.products])
    kept = checkpoint or Checkpoint("test", record=(lambda _: None) if records is None else records.append)
    return fit_network(
        data, task.history, config=config, device=CPU, seed=seed, epochs=epochs, validate=validate, checkpoint=kept
    )


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_of(synthetic_shop(users=80, products=60, brands=8, purchases_per_user=15))


def test_the_same_seed_gives_the_same_vectors_bit_for_bit_and_another_seed_others(graph: Graph) -> None:
    past, _ = tasks(graph)
    first, again, other = (fit(graph, past, epochs=2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.queries, again.queries)
    assert np.array_equal(first.keys, again.keys)
    assert first.temperature == again.temperature
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert not np.array_equal(first.queries, other.queries)


def test_training_stops_after_enough_looks_without_a_rise_and_returns_the_best_epoch(graph: Graph) -> None:
    past, _ = tasks(graph)
    looks = iter([0.1, 0.4, 0.3, 0.4, 0.9])
    records: list[EpochRecord] = []
    stopped = fit(graph, past, epochs=5, validate=lambda *_: next(looks), records=records)
    # Best at epoch 2; epochs 3 and 4 are the two looks of patience, and as good is not better.
    assert [record.validation_ndcg for record in records] == [0.1, 0.4, 0.3, 0.4]
    assert stopped.epochs == 2
    plain = fit(graph, past, epochs=2)
    assert np.array_equal(stopped.queries, plain.queries)
    assert np.array_equal(stopped.keys, plain.keys)


def test_the_loss_falls(graph: Graph) -> None:
    records: list[EpochRecord] = []
    fit(graph, tasks(graph)[0], epochs=6, records=records)
    assert records[-1].loss < 0.9 * records[0].loss


def test_keys_have_unit_length(graph: Graph) -> None:
    found = fit(graph, tasks(graph)[0], epochs=1)
    assert np.linalg.norm(found.keys, axis=1) == pytest.approx(np.ones(len(found.keys)), abs=1e-5)


def test_the_planted_taste_is_found_by_the_network_alone_and_by_the_closed_form() -> None:
    graph = graph_of(synthetic_shop(groups=6))
    _, final = tasks(graph)
    network = fit(graph, final, epochs=12, config=replace(SMALL, dimension=32))
    related = related_edges(base_of(final, graph), per_product=50, factor=np.ones(len(final.products)))
    recommenders = (
        Popularity().fit(final, Content(graph, np.zeros((0, 0), np.float32), times_known=True, device=CPU), seed=0),
        NetworkAlone("network", final.history, network),
        RelatedRecommender("closed form", final.history, related.matrix(len(final.products))),
    )
    best_sellers, alone, ours = (evaluate(one, final).measures["NDCG@10"].value for one in recommenders)
    assert alone > 2 * best_sellers
    assert ours > 2 * best_sellers


def test_a_part_of_the_products_goes_without_its_id_in_training_and_none_afterwards(graph: Graph) -> None:
    past, _ = tasks(graph)
    text = np.eye(len(graph.products), 8, dtype=np.float32)
    data = hetero_data(graph, past=past.known, products=past.products, text=text[past.products])
    network = make_network(data, replace(SMALL, identity_dropout=0.5), device=CPU, seed=0)
    by_text = network.text @ network.projection
    with torch.no_grad():
        ids = network.train().start() - by_text
        kept = ids.abs().sum(1) > 1e-6
        assert 0.25 < kept.float().mean() < 0.75
        # Those that are kept count more, so that the mean over many steps is the id.
        assert torch.allclose(ids[kept], 2 * network.identity[kept], atol=1e-5)
        assert torch.allclose(network.eval().start(), network.identity + by_text)
