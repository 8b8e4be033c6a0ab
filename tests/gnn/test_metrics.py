"""The measures by hand, and against ir_measures (trec_eval), which others use too."""

from __future__ import annotations

from math import log2, nan, sqrt

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, P, Qrel, R, ScoredDoc, Success, nDCG
from scipy import sparse

from gnn.metrics import count_relevant, hit_rate, hits, mean, measure, mrr, ndcg, per_user, precision, recall
from gnn.ranking import NOBODY
from tests.gnn.shops import matrix

# Three users, five products. The first finds 2 of her 3 at ranks 1 and 3, the second none of her 1, the third has none.
RANKED = np.array([[4, 0, 2], [1, 2, 0], [0, 1, 2]])
RELEVANT = matrix([[0, 1, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
FOUND = hits(RANKED, RELEVANT)
COUNTS = count_relevant(RELEVANT)


def test_hits_are_the_ranked_products_that_are_relevant() -> None:
    assert FOUND.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert COUNTS.tolist() == [3, 1, 0]


def test_every_measure_is_as_worked_out_by_hand_and_nan_for_a_user_without_relevant_products() -> None:
    # DCG 1/log2(2) + 1/log2(4); the ideal list of three places has hits in all of them.
    by_hand = (1 + 1 / 2) / (1 + 1 / log2(3) + 1 / 2)
    same = {"nan_ok": True, "rel": 1e-12}
    assert ndcg(FOUND, COUNTS).tolist() == pytest.approx([by_hand, 0, nan], **same)
    assert recall(FOUND, COUNTS).tolist() == pytest.approx([2 / 3, 0, nan], **same)
    assert precision(FOUND, COUNTS).tolist() == pytest.approx([2 / 3, 0, nan], **same)
    assert hit_rate(FOUND, COUNTS).tolist() == pytest.approx([1, 0, nan], **same)
    assert mrr(FOUND, COUNTS).tolist() == pytest.approx([1, 0, nan], **same)


def test_the_ideal_list_has_no_more_hits_than_relevant_products() -> None:
    # One relevant product at rank 2 of 3: DCG 1/log2(3), ideal 1.
    found = hits(np.array([[0, 1, 2]]), matrix([[0, 1, 0]]))
    assert ndcg(found, np.array([1])).item() == pytest.approx(1 / log2(3), rel=1e-12)
    assert mrr(found, np.array([1])).item() == 0.5


def test_padding_is_a_miss_even_where_the_user_before_wants_the_last_product() -> None:
    relevant = matrix([[0, 0, 1], [1, 0, 0], [0, 0, 1]])
    found = hits(np.array([[2, NOBODY], [NOBODY, NOBODY], [NOBODY, 2]]), relevant)
    assert found.tolist() == [[True, False], [False, False], [False, True]]


def test_without_any_relevant_product_nothing_is_found_and_nothing_defined() -> None:
    measured = measure(np.array([[0, 1]]), sparse.csr_array((1, 3)), cutoffs=(1, 2))
    assert {value.users for value in measured.values()} == {0}
    assert all(np.isnan(value.value) for value in measured.values())


def test_the_mean_and_its_interval_leave_nan_out() -> None:
    # 0, 1 and 2: mean 1, sample variance (1 + 0 + 1) / 2 = 1.
    found = mean(np.array([0.0, nan, 1.0, 2.0, nan]))
    assert (found.value, found.users) == (1.0, 3)
    assert found.interval == pytest.approx(1.96 / sqrt(3), rel=1e-12)


def test_one_user_has_a_mean_and_no_interval() -> None:
    found = mean(np.array([nan, 0.25]))
    assert (found.value, found.users) == (0.25, 1)
    assert np.isnan(found.interval)


@settings(max_examples=40)
@given(st.data())
def test_all_measures_at_10_are_those_of_trec_eval(data: st.DataObject) -> None:
    num_users, num_products = data.draw(st.integers(1, 5)), data.draw(st.integers(10, 25))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    dense = rng.random((num_users, num_products)) < data.draw(st.sampled_from([0.03, 0.3, 0.9]))
    ranked = np.stack([rng.permutation(num_products) for _ in range(num_users)])
    # trec_eval leaves a user out who has nothing relevant, as our mean does.
    wanted = [(user, product) for user, product in zip(*np.nonzero(dense), strict=True)]
    qrels = [Qrel(f"u{user}", f"p{product}", 1) for user, product in wanted]
    run = [
        ScoredDoc(f"u{user}", f"p{product}", float(num_products - place))
        for user, products in enumerate(ranked)
        for place, product in enumerate(products)
    ]
    measured = measure(ranked, sparse.csr_array(dense.astype(float)), cutoffs=(10,))
    if not qrels:
        assert measured["NDCG@10"].users == 0
        return
    theirs = ir_measures.calc_aggregate([nDCG @ 10, P @ 10, R @ 10, RR @ 10, Success @ 10], qrels, run)
    pairs = {"NDCG": nDCG, "Precision": P, "Recall": R, "MRR": RR, "HitRate": Success}
    for name, other in pairs.items():
        assert measured[f"{name}@10"].value == pytest.approx(theirs[other @ 10], abs=1e-9), name


@settings(max_examples=60)
@given(st.data())
def test_each_users_numbers_are_those_of_trec_eval_also_for_lists_that_end_early(data: st.DataObject) -> None:
    num_users, num_products = data.draw(st.integers(1, 6)), data.draw(st.integers(3, 25))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    dense = rng.random((num_users, num_products)) < data.draw(st.sampled_from([0.03, 0.3, 0.9]))
    lengths = rng.integers(0, min(num_products, 10) + 1, size=num_users)
    ranked = np.full((num_users, 10), NOBODY)
    for user, length in enumerate(lengths):
        ranked[user, :length] = rng.permutation(num_products)[:length]
    found = per_user(ranked, sparse.csr_array(dense.astype(float)), cutoffs=(5, 10))
    qrels = [Qrel(f"u{user}", f"p{product}", 1) for user, product in zip(*np.nonzero(dense), strict=True)]
    run = [
        ScoredDoc(f"u{user}", f"p{product}", float(-place))
        for user, products in enumerate(ranked)
        for place, product in enumerate(products)
        if product != NOBODY
    ]
    pairs = {"NDCG": nDCG, "Precision": P, "Recall": R, "MRR": RR, "HitRate": Success}
    asked = {other @ k: f"{name}@{k}" for name, other in pairs.items() for k in (5, 10)}
    theirs = {name: np.full(num_users, nan) for name in asked.values()}
    for each in ir_measures.iter_calc(list(asked), qrels, run) if qrels else ():
        theirs[asked[each.measure]][int(each.query_id[1:])] = each.value
    for name, values in theirs.items():
        # trec_eval leaves out a user who got no list at all; with something to find that is a 0.
        assert np.isnan(found[name]).tolist() == (~dense.any(1)).tolist()
        assert found[name] == pytest.approx(np.where(dense.any(1), np.nan_to_num(values), nan), abs=1e-9, nan_ok=True)


def test_the_mean_of_each_users_numbers_is_the_measure() -> None:
    numbers = per_user(RANKED, RELEVANT, cutoffs=(1, 3))
    assert numbers["Recall@1"].tolist() == pytest.approx([1 / 3, 0, nan], nan_ok=True)
    assert measure(RANKED, RELEVANT, cutoffs=(1, 3)) == {name: mean(values) for name, values in numbers.items()}


def test_a_cutoff_beyond_the_lists_is_refused_instead_of_measured_on_fewer_places() -> None:
    with pytest.raises(ValueError, match="lists of 3 places have no measures at 5; rank more products"):
        per_user(RANKED, RELEVANT, cutoffs=(3, 5))
