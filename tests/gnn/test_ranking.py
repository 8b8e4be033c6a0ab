"""Lists against a full sort; who has seen a product is never given it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from jaxtyping import Float, Int
from scipy import sparse

from gnn.ranking import BLOCK_USERS, NOBODY, RelatedRecommender, best_products, best_sums, rank, spread, without_seen
from tests.gnn.shops import matrix

# Few different values, so that most are tied.
VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5000001, 2.0]) | st.floats(-3, 3)
SCORES = arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=VALUES)


@dataclass(frozen=True)
class Fixed:
    """Scores that are given."""

    name: str
    table: Float[np.ndarray, "users products"]

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        return self.table[users]


@settings(max_examples=300)
@given(SCORES, st.integers(1, 15))
def test_the_best_products_are_the_head_of_a_full_sort(scores: np.ndarray, k: int) -> None:
    ranked = best_products(scores, k=k)
    for user, row in enumerate(scores):
        best = sorted((-score, column) for column, score in enumerate(row) if score > -np.inf)[:k]
        padding = k - len(best)
        assert ranked.products[user].tolist() == [column for _, column in best] + [NOBODY] * padding
        assert ranked.scores[user].tolist() == [-score for score, _ in best] + [-np.inf] * padding


def test_a_list_over_no_products_is_all_padding() -> None:
    ranked = best_products(np.zeros((2, 0)), k=3)
    assert ranked.products.tolist() == [[NOBODY] * 3] * 2


@settings(max_examples=100)
@given(SCORES, st.integers(1, 15), st.randoms(use_true_random=False))
def test_a_seen_product_is_never_ranked_and_every_unseen_one_with_a_score_is(
    scores: np.ndarray, k: int, chance: object
) -> None:
    seen = np.array([[chance.random() < 0.4 for _ in row] for row in scores])  # type: ignore[attr-defined]
    ranked = rank(Fixed("fixed", scores), seen=sparse.csr_array(seen.astype(float)), k=k)
    for user, products in enumerate(ranked.products):
        kept = products[products != NOBODY]
        assert not seen[user, kept].any()
        assert len(kept) == min(k, int((~seen[user] & np.isfinite(scores[user])).sum()))


def test_more_users_than_one_block_are_ranked_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    num_users = 2 * BLOCK_USERS + 7
    table = rng.integers(0, 4, (num_users, 9)).astype(float)
    seen = rng.random((num_users, 9)) < 0.3
    ranked = rank(Fixed("fixed", table), seen=sparse.csr_array(seen.astype(float)), k=4)
    alone = [best_products(np.where(seen[[user]], -np.inf, table[[user]]), k=4) for user in range(num_users)]
    assert np.array_equal(ranked.products, np.concatenate([one.products for one in alone]))
    assert np.array_equal(ranked.scores, np.concatenate([one.scores for one in alone]))


@pytest.mark.parametrize("products", [30, 3_000])
def test_sums_are_ranked_as_their_dense_scores_whether_few_products_have_one_or_many(products: int) -> None:
    rng = np.random.default_rng(products)
    history = sparse.random_array((400, products), density=0.01, rng=rng, format="csr")
    related = sparse.random_array((products, products), density=40 / products**1.5, rng=rng, format="csr")
    # Few different values, so that many are tied.
    history.data, related.data = np.ceil(2 * history.data), np.ceil(3 * related.data)
    by_sums = rank(RelatedRecommender("ours", history, related), seen=history, k=7)
    dense = np.where((history @ related).toarray() != 0, (history @ related).toarray(), -np.inf)
    by_scores = rank(Fixed("fixed", dense), seen=history, k=7)
    assert np.array_equal(by_sums.products, by_scores.products)
    assert by_sums.scores == pytest.approx(by_scores.scores)


def test_only_users_who_are_asked_for_get_a_list() -> None:
    table = np.array([[1.0, 2.0], [4.0, 3.0], [5.0, 6.0]])
    users = np.array([2, 0])
    ranked = rank(Fixed("fixed", table), seen=sparse.csr_array((3, 2)), k=2, users=users)
    assert ranked.products.tolist() == [[1, 0], [1, 0]]
    assert ranked.scores.tolist() == [[6.0, 5.0], [2.0, 1.0]]
    every = spread(ranked, users, num_users=3)
    assert every.products.tolist() == [[1, 0], [NOBODY, NOBODY], [1, 0]]
    assert every.scores.tolist() == [[2.0, 1.0], [-np.inf, -np.inf], [6.0, 5.0]]


def test_a_related_score_is_the_sum_over_purchases_and_nothing_where_no_edge_leads() -> None:
    # She bought 0 with weight 2 and 1 with weight 3; 0 leads to 2 (0.5), 1 leads to 2 (1) and 3 (-1), none to 4.
    history = matrix([[2, 3, 0, 0, 0], [0, 0, 0, 0, 0]])
    related = matrix([[0, 0, 0.5, 0, 0], [0, 0, 1, -1, 0]] + [[0] * 5] * 3)
    scores = RelatedRecommender("ours", history, related).scores(np.array([0, 1]))
    assert scores[0].tolist() == [-np.inf, -np.inf, 4.0, -3.0, -np.inf]
    assert np.isneginf(scores[1]).all()


@settings(max_examples=300)
@given(SCORES, st.integers(1, 15), st.randoms(use_true_random=False))
def test_of_sparse_sums_the_best_are_those_of_the_same_dense_scores(scores: np.ndarray, k: int, chance: object) -> None:
    seen = np.array([[chance.random() < 0.3 for _ in row] for row in scores])  # type: ignore[attr-defined]
    there = np.argwhere(np.isfinite(scores))
    # As scipy leaves a product: the columns of a row in any order, and a sum of 0 is there.
    order = list(range(len(there)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    there = there[order]
    there = there[np.argsort(there[:, 0], kind="stable")]
    starts = np.searchsorted(there[:, 0], np.arange(len(scores) + 1))
    sums = sparse.csr_array((scores[tuple(there.T)], there[:, 1], starts), shape=scores.shape)
    ranked = best_sums(sums, seen=sparse.csr_array(seen.astype(float)), k=k)
    dense = best_products(without_seen(scores.copy(), seen=sparse.csr_array(seen.astype(float))), k=k)
    assert ranked.products.tolist() == dense.products.tolist()
    assert ranked.scores.tolist() == dense.scores.tolist()
