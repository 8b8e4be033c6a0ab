"""The best reason of a ranked edge: by hand, and against trying every purchase of random small shops one by one."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn import reasons
from gnn.edges_by_id import ranked_by_id
from gnn.ranking import NOBODY, Ranked, RelatedRecommender, rank
from gnn.reasons import best_reasons, largest_shares
from gnn.related import related_matrix
from kg.schema import SHARES
from tests.gnn.shops import graph_of, matrix, shop_of

# Two products bought, tea (0) and pot (1); five edges to what she has not: jam (2), mug (3), cup (4).
EDGES = pl.DataFrame(
    [
        (0, 2, 0.5, 0.25),  # 2 · 0.75 = 1.5
        (1, 2, 0.5, 2.5),  # 1 · 3 = 3, most of it text
        (0, 3, 1.0, 0.0),  # 2 · 1 = 2
        (1, 3, -3.0, -1.0),  # 1 · -4: the score is -2
        (0, 4, -1.0, 0.0),  # nothing speaks for it
    ],
    schema=["source", "target", "bought", "text"],
    orient="row",
).with_columns(*(pl.lit(0.0).alias(name) for name in SHARES if name not in {"bought", "text"}))
WEIGHED = EDGES.with_columns(weight=pl.sum_horizontal(SHARES), kind=largest_shares(EDGES))
PRODUCTS = np.arange(5)


def test_the_best_purchase_its_largest_share_and_what_it_adds_over_the_score() -> None:
    history = matrix([[2, 1, 0, 0, 0]])
    related = related_matrix(WEIGHED, PRODUCTS)
    ranked = rank(RelatedRecommender("ours", history, related), seen=history, k=4)
    assert ranked.products.tolist() == [[2, 3, 4, NOBODY]]
    assert ranked.scores[0, :3].tolist() == [4.5, -2.0, -2.0]
    found = best_reasons(
        ranked, history=history, related=related, kinds=related_matrix(WEIGHED, PRODUCTS, column="kind")
    )
    # Jam because of the pot; the mug, though its score is negative, because of the tea; the cup because of nothing.
    assert found.via.tolist() == [[1, 0, NOBODY, NOBODY]]
    assert found.kind.tolist() == [[SHARES.index("text"), SHARES.index("bought"), NOBODY, NOBODY]]
    assert found.share[0, 0] == pytest.approx(3 / 4.5)
    assert np.isnan(found.share[0, 1:]).all()

    graph = graph_of(shop_of(*(("ann", product, 1) for product in ("a", "b", "c", "d", "e"))))
    rows = ranked_by_id(ranked, found, users=graph.users["id"], products=graph.products["id"].gather(PRODUCTS))
    assert rows.select("product_id", "reason_kind", "reason_via", "reason_share").rows() == [
        ("c", "text", "b", pytest.approx(3 / 4.5)),
        ("d", "bought", "a", None),
        ("e", None, None, None),
    ]


def test_of_purchases_and_of_shares_that_are_equal_the_first_is_the_reason() -> None:
    even = EDGES[[1, 0]].with_columns(source=pl.Series([1, 0]), bought=pl.lit(0.5), text=pl.lit(0.5))
    assert largest_shares(even).to_list() == [SHARES.index("bought")] * 2
    history, related = matrix([[1, 1, 0]]), matrix([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    ranked = Ranked(products=np.array([[2]]), scores=np.array([[2.0]]))
    found = best_reasons(ranked, history=history, related=related, kinds=related)
    assert (found.via.tolist(), found.share.tolist()) == ([[0]], [[0.5]])


@st.composite
def small_shops(draw: st.DrawFn) -> tuple[sparse.csr_array, sparse.csr_array, bool]:
    """Draw a(u, j) and R; few values, so that purchases often add the same and sums are often 0."""
    num_users, num_products = draw(st.integers(1, 6)), draw(st.integers(2, 7))
    weights = st.sampled_from([0.0, 0.0, 1.0, 2.0, 0.5])
    values = st.sampled_from([0.0, 0.0, 1.0, 2.0, -1.0, 0.25])
    history = draw(st.lists(weights, min_size=num_users * num_products, max_size=num_users * num_products))
    related = draw(st.lists(values, min_size=num_products**2, max_size=num_products**2))
    return (
        sparse.csr_array(np.array(history).reshape(num_users, num_products)),
        sparse.csr_array(np.array(related).reshape(num_products, num_products)),
        draw(st.booleans()),
    )


@settings(max_examples=100)
@given(shop=small_shops(), k=st.integers(1, 7), most_steps=st.integers(1, 12))
def test_the_reason_is_the_one_that_trying_every_purchase_finds(
    shop: tuple[sparse.csr_array, sparse.csr_array, bool], k: int, most_steps: int
) -> None:
    history, related, again = shop
    seen = sparse.csr_array(history.shape) if again else history
    ranked = rank(RelatedRecommender("ours", history, related), seen=seen, k=k)
    # What kind an edge is does not matter here: its number, to see that the right edge's is given.
    kinds = related.copy()
    kinds.data = np.arange(related.nnz) + 10
    with patch.object(reasons, "MOST_STEPS", most_steps):
        found = best_reasons(ranked, history=history, related=related, kinds=kinds)
    weight, edge = history.toarray(), related.toarray()
    for user, products in enumerate(ranked.products):
        for place, product in enumerate(products):
            added = [(weight[user, j] * edge[j, product], -j) for j in range(len(edge))] if product != NOBODY else []
            most, first = max(added, default=(0.0, 0))
            got = found.via[user, place], found.kind[user, place]
            assert got == ((-first, kinds[-first, product]) if most > 0 else (NOBODY, NOBODY))
            score = ranked.scores[user, place]
            expected = most / score if most > 0 and score > 0 else np.nan
            assert found.share[user, place] == pytest.approx(expected, nan_ok=True)
