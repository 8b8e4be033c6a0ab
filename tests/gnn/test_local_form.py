"""The local closed form against the other two where they overlap, and against numpy on each product's own support."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnn import local_form as module
from gnn.cartograph import Cartograph
from gnn.closed_form import Similarity, closed_form
from gnn.config import EdgeConfig, NetworkConfig, SplitConfig
from gnn.history import Weighing
from gnn.likeliest import Likely
from gnn.local_form import LocalForm, local_form
from gnn.related import related_edges
from gnn.split import split_purchases
from gnn.task import make_task
from kg.schema import SHARES
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import content_of, graph_of, histories, matrix


def similar(num_products: int, *, seed: int) -> list[Similarity]:
    """Return one relation of sparse features and two, of one share, of dense ones."""
    rng = np.random.default_rng(seed)
    brand = sparse.csr_array((rng.random((num_products, 3)) < 0.4).astype(np.float32))
    text = [rng.normal(size=(num_products, size)).astype(np.float32) for size in (2, 3)]
    return [Similarity("brand", brand, 0.7), Similarity("text", text[0], 0.4), Similarity("text", text[1], 0.2)]


def planted(*, users: int = 150, products: int = 60) -> sparse.csr_array:
    """Return a shop of three tastes, in which a product is bought with those of its own."""
    rng = np.random.default_rng(0)
    same = rng.integers(0, 3, users)[:, None] == rng.integers(0, 3, products)[None]
    return sparse.csr_array((rng.random((users, products)) < np.where(same, 0.3, 0.02)).astype(float))


def dense(form: LocalForm, rows: sparse.csr_array | None = None) -> np.ndarray:
    """Return all of B as its blocks have it, or other ``rows``, as a dense table."""
    blocks = [block.toarray() for _, block in form.blocks()]
    return np.concatenate(blocks) if rows is None else rows.toarray()


@settings(max_examples=30)
@given(histories(most_users=12, most_products=9), st.sampled_from([0.5, 3.0, 40.0]), st.integers(0, 999))
def test_all_three_forms_agree_where_the_support_is_all_products(
    bought: sparse.csr_array, ridge: float, seed: int
) -> None:
    num_products = bought.shape[1]
    similarities = similar(num_products, seed=seed)
    local = local_form(bought, similarities, ridge=ridge)
    for way in ("dense", "woodbury"):
        exact = closed_form(bought, similarities, ridge=ridge, way=way)  # type: ignore[arg-type]
        assert dense(local) == pytest.approx(exact.rows(0, num_products), abs=5e-5)
        assert local.symmetry == pytest.approx(exact.symmetry, rel=1e-3)
        others = exact.other_shares(0, num_products)
        for share, part in local.other_shares(0, num_products).items():
            assert dense(local, part) == pytest.approx(others.pop(share), abs=5e-5)
        assert not others


@settings(max_examples=20)
@given(st.integers(1, 20), st.integers(0, 999))
def test_a_column_is_the_regression_on_its_support_by_numpy_and_its_shares_add_up(support: int, seed: int) -> None:
    bought, similarities = planted(), similar(60, seed=seed)
    found = local_form(bought, similarities, ridge=2.0, support=support)
    x = bought.toarray()
    alike = [s.weight * np.asarray(sparse.csr_array(s.features @ s.features.T).toarray()) for s in similarities]
    grams = {"bought": x.T @ x, "brand": alike[0], "text": alike[1] + alike[2]}
    gram = sum(grams.values()) + 2.0 * np.eye(60)
    related = related_edges(found, per_product=60, factor=np.ones(60))
    tables = {name: sparse.csr_array((part, (related.source, related.target)), shape=(60, 60)).toarray()
              for name, part in related.shares.items()}  # fmt: skip
    for target in range(60):
        chosen = np.flatnonzero(dense(found)[:, target])
        assert len(chosen) == support
        assert target not in chosen
        for name, part in grams.items():
            expected = np.linalg.solve(gram[np.ix_(chosen, chosen)], part[chosen, target])
            assert tables[name][chosen, target] == pytest.approx(expected, abs=2e-4)
    whole = sum(tables[share] for share in SHARES)
    assert whole == pytest.approx(dense(found), abs=1e-6)


def test_two_products_by_hand() -> None:
    # XᵀX = [[2, 1], [1, 1]]; with a ridge of 1 each column is 1 / (the other's diagonal).
    found = local_form(matrix([[1, 1], [1, 0]]), [], ridge=1.0)
    assert dense(found) == pytest.approx(np.array([[0, 1 / 3], [1 / 2, 0]]), abs=1e-6)


def test_the_support_is_the_most_alike_and_the_most_bought_fill_it_up() -> None:
    # 0 and 1 are bought together twice, 2 and 3 once; 4 alone, three times; 5 by nobody.
    rows = [[1, 1, 0, 0, 0, 0]] * 2 + [[0, 0, 1, 1, 0, 0]] + [[0, 0, 0, 0, 1, 0]] * 3
    gram = module.Gram(*module.stacked(matrix(rows), []), 1.0)
    ((_, one),) = module._supports(gram, 1)
    ((_, two),) = module._supports(gram, 2)
    assert one.ravel().tolist() == [1, 0, 3, 2, 0, 4]
    assert two.tolist() == [[1, 4], [0, 4], [3, 4], [2, 4], [0, 1], [0, 4]]


def test_blocks_of_targets_and_rows_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bought, similarities = planted(), similar(60, seed=1)
    whole = local_form(bought, similarities, ridge=2.0, support=20)
    monkeypatch.setattr(module, "BLOCK_TARGETS", 7)
    monkeypatch.setattr(module, "BLOCK_ROWS", 25)
    found = local_form(bought, similarities, ridge=2.0, support=20)
    assert [start for start, _ in found.blocks()] == [0, 25, 50]
    assert dense(found) == pytest.approx(dense(whole), abs=1e-5)
    part = found.other_shares(25, 50)["text"]
    assert dense(found, part) == pytest.approx(dense(whole, whole.other_shares(0, 60)["text"])[25:50], abs=1e-5)


def test_systems_of_a_large_support_are_few_at_a_time() -> None:
    gram = module.Gram(*module.stacked(matrix([[1, 1] + [0] * 2998]), []), 1.0)
    of_large, of_small = (next(module._supports(gram, count))[1] for count in (2_000, 64))
    # 64 systems of 2,000 products would be a gigabyte.
    assert of_large.shape == (3, 2_000)
    assert of_small.shape == (64, 64)


def test_what_nearly_all_share_makes_no_support_and_stays_in_the_gram_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SHARED", 4)
    # The first user has bought all five; the others say what belongs together.
    bought = matrix([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
    gram = module.Gram(*module.stacked(bought, []), 1.0)
    ((_, found),) = module._supports(gram, 1)
    assert found.ravel()[:4].tolist() == [1, 0, 3, 2]
    assert gram.parts(np.array([[0, 1, 4]]))[0].tolist() == [[3, 2, 1], [2, 3, 1], [1, 1, 3]]


@pytest.mark.parametrize("support", [10, 59])
def test_the_recall_of_the_cut_is_counted_against_exact_rows(monkeypatch: pytest.MonkeyPatch, support: int) -> None:
    monkeypatch.setattr(module, "LARGEST_OF_ROW", 8)
    # Rows of P are solved in three lots.
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", 1_500)
    bought, similarities = planted(), similar(60, seed=3)
    found = local_form(bought, similarities, ridge=4.0, support=support)
    exact = np.abs(closed_form(bought, similarities, ridge=4.0, way="dense").rows(0, 60))
    best = np.argsort(-exact, axis=1)[:, :8]
    by_hand = np.take_along_axis(dense(found) != 0, best, axis=1).mean()
    # The local diagonal of P is nearly the exact one: one or two of 480 entries may change places.
    assert found.recall(np.arange(60)) == pytest.approx(by_hand, abs=0.02)
    assert found.recall(np.arange(60)) == 1.0 if support == 59 else 0.2 < by_hand < 0.9
    monkeypatch.undo()
    monkeypatch.setattr(module, "LARGEST_OF_ROW", 8)
    said = re.fullmatch(
        rf"local closed form, each of 60 products by the {support} most alike; recall of the cut ([\d.]+)% "
        r"\(of the 8 largest of 60 exact rows\)",
        found.way,
    )
    assert said
    assert float(said[1]) / 100 == pytest.approx(by_hand, abs=0.02)


@pytest.mark.parametrize(("numbers", "rows"), [(60 * 20, 20), (60 * 3, 16)])
def test_the_recall_of_a_large_shop_is_measured_on_fewer_rows(
    monkeypatch: pytest.MonkeyPatch, numbers: int, rows: int
) -> None:
    found = local_form(planted(), similar(60, seed=3), ridge=4.0, support=10)
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", numbers)
    assert found.way.endswith(f"(of the 59 largest of {rows} exact rows)")


def test_the_whole_model_of_a_large_shop_is_that_of_a_small_one_where_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = graph_of(synthetic_shop(users=40, products=32, brands=4, purchases_per_user=14))
    split = split_purchases(graph, SplitConfig(), seed=0)
    task = make_task(
        "validation", graph, known=split.past, later=split.validation, weighing=Weighing(0.5, 1e30),
        now=split.validation_from, min_buyers=2,
    )  # fmt: skip
    model = Cartograph(
        network=NetworkConfig(dimension=8, evaluate_every=1, batch_users=16, max_epochs=1),
        edges=EdgeConfig(by_base=10, by_network=5, passes=1),
    )
    small = model.fit(task, content_of(graph), seed=0)
    of_all = Likely.of
    monkeypatch.setattr("gnn.base.exact_way", lambda *_: None)
    monkeypatch.setattr("gnn.cartograph.Likely.of", lambda network: of_all(network, largest=0))
    large = model.fit(task, content_of(graph), seed=0)
    count = len(task.products)
    assert large.way == (
        f"local closed form, each of {count} products by the {count - 1} most alike; recall of the cut 100.0% (of the "
        f"{count - 1} largest of {count} exact rows); the network's candidates by faiss; recall 100.0% (of the 5 "
        f"likeliest of {count} products), log p off by 0.000 on average"
    )
    assert large.related.matrix(count).toarray() == pytest.approx(small.related.matrix(count).toarray(), abs=5e-3)


def test_a_local_system_that_cannot_be_solved_is_said() -> None:
    with pytest.raises(InputError, match="ridge of -10"):
        local_form(matrix([[1, 1, 1]]), [], ridge=-10.0)


@pytest.mark.parametrize("support", [1, 2])
def test_a_target_that_its_support_explains_whole_is_said_as_the_exact_form_says_it(support: int) -> None:
    # 0 and 1 have the same buyers: only the ridge tells them apart, and 32 bits lose it.
    with pytest.raises(InputError, match="ridge of 1e-09"):
        local_form(matrix([[1, 1, 0], [1, 1, 1], [1, 1, 1]]), [], ridge=1e-9, support=support)
