"""PyG's explainers of the score: the network is the score, Integrated Gradients are its terms, masks are unsigned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from gnn.explained_pairs import Scores, pairs_of
from gnn.pyg_explainers import (
    FASTER,
    FASTER_STEP,
    GNN_EXPLAINER,
    INTEGRATED_GRADIENTS,
    NO_ENTROPY,
    ScoreNetwork,
    explained_by_pyg,
    gnn_explainer,
    integrated_gradients,
    pair_graph,
)
from gnn.ranking import RelatedRecommender
from tests.gnn.test_explanation_measures import PAIR, SHOP, TO_5, scores_by_hand, shops


@settings(max_examples=30)
@given(shops())
def test_the_network_gives_the_score_and_integrated_gradients_its_terms(scores: Scores) -> None:
    users = np.arange(scores.history.shape[0])
    # The last product, which nobody bought, and the first, which everybody bought: an edge from it to itself counts.
    for product in (scores.history.shape[1] - 1, 0):
        pairs = pairs_of(scores, users, np.full(len(users), product))
        ranked = RelatedRecommender("ours", scores.history, scores.related).scores(users)[:, product]
        for pair, at in enumerate(pairs.stretches()):
            graph = pair_graph(scores, pairs, pair)
            found = ScoreNetwork()(graph.x, graph.bought, graph.weight, graph.related, graph.related_weight)
            assert float(found[graph.product, 0]) == pytest.approx(ranked[pair], abs=1e-12)
            # Masks are of single precision.
            assert integrated_gradients(graph) == pytest.approx(pairs.contribution[at], rel=1e-5, abs=1e-7)


def test_a_mask_is_large_where_the_score_comes_from_and_has_no_sign() -> None:
    shop = scores_by_hand(
        [[1.0, 1, 1, 1, 1, 0]], [[0.0] * 5 + [adds] for adds in (0.02, 0.5, 0.0, -0.3, 0.03)] + [[0.0] * 6]
    )
    graph = pair_graph(shop, pairs_of(shop, np.array([0]), np.array([5])), 0)
    mask = gnn_explainer(graph, step=FASTER_STEP, entropy=NO_ENTROPY, seed=0)
    assert ((mask >= 0) & (mask <= 1)).all()
    assert mask.argmax() == 1
    # No edge leads from product 2: it cannot matter.
    assert mask[2] == 0
    assert mask[3] > 0


def test_the_same_seed_gives_the_same_masks_and_leaves_the_global_chance_alone() -> None:
    graph = pair_graph(SHOP, PAIR, 0)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (gnn_explainer(graph, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.tolist() == two.tolist() != other.tolist()


def test_each_explainer_gives_a_number_to_each_purchase() -> None:
    found = explained_by_pyg(SHOP, PAIR, seed=0)
    assert list(found) == [GNN_EXPLAINER, FASTER, INTEGRATED_GRADIENTS]
    assert all(values.shape == PAIR.bought.shape for values in found.values())
    assert found[INTEGRATED_GRADIENTS] == pytest.approx(TO_5)
    assert found[GNN_EXPLAINER].tolist() != found[FASTER].tolist()


def test_where_nothing_leads_to_the_product_nothing_matters() -> None:
    alone = scores_by_hand([[1.0, 1, 0]], [[0.0] * 3] * 3)
    found = explained_by_pyg(alone, pairs_of(alone, np.array([0]), np.array([2])), seed=0)
    assert [values.tolist() for values in found.values()] == [[0.0, 0.0]] * 3
