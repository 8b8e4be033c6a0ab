"""The measures of explanations: against hand-worked shops, properties, a second library and planted answers."""

from __future__ import annotations

import doctest
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn.explained_pairs import Pairs, Scores, pairs_of, rescored
from gnn.explanation_measures import (
    LEAST,
    OURS,
    PATHS,
    RANDOM,
    coverage,
    distinct_reasons,
    entropy,
    explanations,
    first_named,
    jaccard,
    part_counts,
    tie_counts,
    truth,
)
from gnn.graph_paths import product_graph, steps_between
from gnn.judges import lime, rank_correlation, rescan, shapley
from gnn.ranking import RelatedRecommender, rank
from kg.schema import SHARES
from tests.gnn.shops import graph_of, matrix
from tests.kg.small_shop import DAY, small_shop


def scores_by_hand(history: list[list[float]], related: list[list[float]]) -> Scores:
    """Return scores of products that stand in the order of their columns; purchases are of days 1, 2, … by column."""
    weights = matrix(history)
    days = np.arange(1.0, weights.shape[1] + 1) * DAY
    return Scores(
        products=np.arange(weights.shape[1]),
        history=weights,
        related=matrix(related),
        seen=matrix((np.array(history) > 0).astype(float).tolist()),
        last_at=sparse.csr_array((days[weights.indices], weights.indices, weights.indptr), shape=weights.shape),
    )


# One user has bought products 0 to 4, each with weight 1; product 5 scores 1.1 for her, product 6 scores 0.35.
TO_5, TO_6 = [0.5, 0.3, 0.2, 0.1, 0.0], [0.0, 0.0, 0.0, 0.05, 0.3]
SHOP = scores_by_hand(
    [[1.0, 1, 1, 1, 1, 0, 0]],
    [[0.0] * 5 + [five, six] for five, six in zip(TO_5, TO_6, strict=True)] + [[0.0] * 7] * 2,
)
PAIR = pairs_of(SHOP, np.array([0]), np.array([5]))
NO_PATH = np.full(5, np.inf)


def named_by(pairs: Pairs, *, steps: np.ndarray = NO_PATH, seed: int = 0) -> dict[str, list[int]]:
    ways = explanations(pairs, steps=steps, rng=np.random.default_rng(seed))
    return {way: pairs.bought[named].tolist() for way, named in ways.items()}


def test_contributions_are_weight_times_related() -> None:
    assert PAIR.contribution.tolist() == TO_5
    assert PAIR.bought.tolist() == [0, 1, 2, 3, 4]


def test_each_way_to_explain_names_three_purchases() -> None:
    # Products 1 and 4 are two steps away, and of the others, four steps away, product 3 was bought last.
    named = named_by(PAIR, steps=np.array([4.0, 2.0, 4.0, 4.0, 2.0]))
    assert named[OURS] == [0, 1, 2]
    assert named[LEAST] == [2, 3, 4]
    assert named[PATHS] == [1, 3, 4]
    assert len(named[RANDOM]) == 3
    assert {tuple(named_by(PAIR, seed=seed)[RANDOM]) for seed in range(20)} > {tuple(named[RANDOM])}


def test_without_the_named_purchases_the_score_drops_and_the_product_falls() -> None:
    ours = truth(OURS, first_named(PAIR, -PAIR.contribution), scores=SHOP, pairs=PAIR)
    # 0.1 of 1.1 is left, below the 0.35 of product 6; alone the three make 1.0 and nothing else has a score.
    assert ours.drop.value == pytest.approx(1.0 / 1.1)
    assert (ours.rank_loss.value, ours.falls_out.value) == (1.0, 0.0)
    assert ours.kept.value == pytest.approx(1.0 / 1.1)
    assert ours.stays_in.value == 1.0
    least = truth(LEAST, first_named(PAIR, np.abs(PAIR.contribution)), scores=SHOP, pairs=PAIR)
    # 0.2 + 0.1 + 0 are gone; alone they are 0.3, below the 0.35 that products 3 and 4 give product 6.
    assert least.drop.value == pytest.approx(0.3 / 1.1)
    assert (least.rank_loss.value, least.stays_in.value) == (0.0, 1.0)
    assert least.kept.value == pytest.approx(0.3 / 1.1)


def test_a_product_that_nothing_leads_to_is_in_no_place() -> None:
    everything = truth("all", np.ones(5, dtype=bool), scores=SHOP, pairs=PAIR)
    assert (everything.drop.value, everything.falls_out.value) == (1.0, 1.0)
    nothing = truth("none", np.zeros(5, dtype=bool), scores=SHOP, pairs=PAIR)
    assert (nothing.drop.value, nothing.kept.value, nothing.stays_in.value) == (0.0, 0.0, 0.0)


@st.composite
def shops(draw: st.DrawFn) -> Scores:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    users, products = draw(st.integers(1, 5)), draw(st.integers(3, 9))
    history = rng.random((users, products)) * (rng.random((users, products)) < 0.6)
    # Every user has bought the first product and never the last.
    history[:, 0], history[:, -1] = 1.0, 0.0
    # Tenths, so that some scores are equal; no edge weighs 0, so that every product has a score.
    related = rng.choice([-1, 1], (products, products)) * rng.integers(1, 10, (products, products)) / 10
    return scores_by_hand(history.tolist(), related.tolist())


@settings(max_examples=40)
@given(shops())
def test_scores_and_ranks_are_those_of_the_ranking(scores: Scores) -> None:
    users = np.arange(scores.history.shape[0])
    last = scores.history.shape[1] - 1
    pairs = pairs_of(scores, users, np.full(len(users), last))
    found = rescored(scores, pairs, np.ones(len(pairs.bought), dtype=bool))
    ranked = rank(RelatedRecommender("ours", scores.history, scores.related), seen=scores.seen, k=last + 1)
    for user in users:
        place = ranked.products[user].tolist().index(last)
        assert found.rank[user] == place + 1
        assert found.score[user] == pytest.approx(ranked.scores[user, place], abs=1e-12)
        stretch = list(pairs.stretches())[user]
        assert pairs.contribution[stretch].sum() == pytest.approx(found.score[user], abs=1e-12)


@settings(max_examples=40)
@given(shops(), st.integers(0, 1000))
def test_no_three_purchases_take_more_of_the_score_than_ours(scores: Scores, seed: int) -> None:
    users = np.arange(scores.history.shape[0])
    pairs = pairs_of(scores, users, np.full(len(users), scores.history.shape[1] - 1))
    ways = explanations(pairs, steps=np.zeros(len(pairs.bought)), rng=np.random.default_rng(seed))
    whole = rescored(scores, pairs, np.ones(len(pairs.bought), dtype=bool)).score
    left = {way: rescored(scores, pairs, ~named).score for way, named in ways.items()}
    for way in ways:
        assert (whole - left[OURS] >= whole - left[way] - 1e-12).all()


@settings(max_examples=20)
@given(shops())
def test_without_any_purchase_the_score_is_nothing(scores: Scores) -> None:
    users = np.arange(scores.history.shape[0])
    pairs = pairs_of(scores, users, np.full(len(users), scores.history.shape[1] - 1))
    found = rescored(scores, pairs, np.zeros(len(pairs.bought), dtype=bool))
    assert (found.score == 0).all()
    assert not found.led_to.any()


def test_coverage_counts_pairs_that_a_purchase_speaks_for() -> None:
    scores = scores_by_hand([[1.0, 1, 0, 0], [0, 1, 0, 0]], [[0, 0, 1.0, -1], [0, 0, -5, -1], [0] * 4, [0] * 4])
    # User 0: product 2 has 1 for and 5 against it, product 3 has both against it; user 1 has only what is against.
    users, products = np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3])
    assert coverage(scores, users, products) == 0.25
    assert np.isnan(coverage(scores, users[:0], products[:0]))


def test_entropy_is_in_bits() -> None:
    assert entropy({"brand": 4, "text": 0}) == 0.0
    assert entropy({"brand": 3, "text": 3}) == 1.0
    assert entropy(dict.fromkeys("abcdefgh", 2)) == pytest.approx(3.0)


def test_the_best_reason_is_of_the_kind_of_its_largest_share_and_of_the_closest_tie() -> None:
    shares = dict.fromkeys(SHARES, 0.0)
    edges = pl.DataFrame([{"source": 0, "target": 5, **shares, "bought": 0.2, "text": 0.3}])
    counts = part_counts(PAIR, edges, SHOP.products)
    assert {kind: count for kind, count in counts.items() if count} == {"text": 1}
    brand, department = matrix([[1.0]] + [[0]] * 6), matrix([[1.0], [0], [0], [0], [0], [1], [0]])
    ties = {"same brand": brand, "same department": department}
    assert tie_counts(PAIR, ties) == {"same brand": 0, "same department": 1, "none": 0}
    assert tie_counts(PAIR, {"same brand": department, "same department": department})["same brand"] == 1
    assert tie_counts(PAIR, {"same brand": brand})["none"] == 1
    assert distinct_reasons(PAIR) == 1.0
    # What adds nothing is no reason.
    assert distinct_reasons(replace(PAIR, contribution=-np.abs(PAIR.contribution))) == 0.0


def test_stability_is_what_both_name_over_what_one_of_them_names() -> None:
    other = scores_by_hand(
        [[1.0, 1, 1, 1, 1, 0, 0]], [[0.0] * 5 + [value, 0] for value in (0.1, 0.2, 0, 0.9, -1)] + [[0.0] * 7] * 2
    )
    second = pairs_of(other, np.array([0]), np.array([5]))
    named = [first_named(pairs, -pairs.contribution) for pairs in (PAIR, second)]
    # 0, 1, 2 here; 3, 1, 0 there.
    assert jaccard(PAIR, named[0], second, named[1]).tolist() == [0.5]
    assert jaccard(PAIR, named[0], PAIR, named[0]).tolist() == [1.0]


def test_steps_go_by_brand_category_and_buyers_before_now() -> None:
    graph = graph_of(small_shop())
    ids = graph.products["id"].to_list()
    joined = product_graph(graph, products=np.arange(len(ids)), now=10 * DAY)
    steps = dict(zip(ids, steps_between(joined, np.array([ids.index("mug")]))[0], strict=True))
    # Pot and cup are in the mug's category, bob bought tea too, jam has the brand of tea and no buyer before day 10.
    assert steps == {"mug": 0.0, "pot": 2.0, "cup": 2.0, "tea": 2.0, "jam": 4.0}


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_steps_are_those_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    joined = sparse.csr_array((rng.random((7, 5)) < 0.25).astype(float))
    graph = nx.Graph()
    graph.add_nodes_from(range(12))
    graph.add_edges_from((row, 7 + column) for row, column in zip(*joined.nonzero(), strict=True))
    for row, target in zip(steps_between(joined, np.arange(7)), range(7), strict=True):
        known = nx.single_source_shortest_path_length(graph, target)
        assert row.tolist() == [known.get(product, np.inf) for product in range(7)]


def test_shapley_of_a_sum_is_its_terms_and_has_no_error() -> None:
    terms = np.array([3.0, -1.0, 0.0, 2.5])
    found = shapley(lambda present: present @ terms, 4, permutations=3, rng=np.random.default_rng(0))
    assert found.estimate == pytest.approx(terms, abs=1e-12)
    assert found.error == pytest.approx(0.0, abs=1e-12)


def test_shapley_shares_a_joint_gain_and_says_how_sure_it_is() -> None:
    def both(present: np.ndarray) -> np.ndarray:
        return (present[:, 0] & present[:, 1]).astype(float)

    found = shapley(both, 3, permutations=400, rng=np.random.default_rng(0))
    assert found.estimate == pytest.approx([0.5, 0.5, 0.0], abs=0.1)
    # A gain of 0 or 1 with even chances: 0.5 / sqrt(400) for two of the three.
    assert found.error == pytest.approx(0.025 * (2 / 3) ** 0.5, rel=0.05)


def test_lime_finds_the_order_of_a_sum() -> None:
    terms = np.array([3.0, -1.0, 0.0, 2.5, 1.0])
    found = lime(lambda present: present @ terms, 5, samples=400, rng=np.random.default_rng(0))
    assert np.argsort(found.estimate).tolist() == np.argsort(terms).tolist()
    assert found.estimate == pytest.approx(terms, abs=0.3)


def test_the_black_box_scores_the_whole_list_anew() -> None:
    present = np.array([[True] * 5, [False] * 5, [True, False, False, True, True]])
    assert rescan(SHOP, PAIR, 0)(present) == pytest.approx([1.1, 0.0, 0.6])
    # Only product 6 is a rival: 0.35 with all, 0.35 with products 0, 3 and 4.
    assert rescan(SHOP, PAIR, 0, places=1)(present) == pytest.approx([0.75, 0.0, 0.25])


@settings(max_examples=20)
@given(shops())
def test_shapley_of_the_rescanned_score_is_our_contributions(scores: Scores) -> None:
    pairs = pairs_of(scores, np.array([0]), np.array([scores.history.shape[1] - 1]))
    found = shapley(rescan(scores, pairs, 0), len(pairs.bought), permutations=2, rng=np.random.default_rng(0))
    assert found.estimate == pytest.approx(pairs.contribution, abs=1e-9)


def test_rank_correlation_takes_equal_numbers_for_equal() -> None:
    ours = np.array([0.5, 0.3, 0.0, 0.0])
    assert rank_correlation(ours + np.array([0, 0, 1e-17, -1e-17]), ours) == pytest.approx(1.0)
    assert rank_correlation(-ours, ours) == pytest.approx(-1.0)
    assert np.isnan(rank_correlation(np.zeros(4), ours))
    assert np.isnan(rank_correlation(ours[:1], ours[:1]))


def test_every_example_on_the_page_of_explanations_gives_what_it_shows() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanations.md"
    tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (tried.failed, tried.attempted) == (0, 7)
