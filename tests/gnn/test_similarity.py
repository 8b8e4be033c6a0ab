"""What makes products alike, worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from gnn import similarity
from gnn.base import fit_base, fit_content
from gnn.config import ClosedFormConfig, SplitConfig
from gnn.history import Weighing
from gnn.similarity import compressed, cosines, few_users, product_features
from gnn.split import split_purchases
from gnn.task import make_task
from kg.graph import Graph
from loaders.synthetic import synthetic_shop
from loaders.tables import check_shop
from tests.gnn.shops import graph_of

PRODUCTS = pl.DataFrame(
    [
        ("cup", "Clay", "Home", "red cup", True),
        ("jar", "Clay", "Home", "red jar", True),
        ("lid", None, "Home > Top", None, True),
        ("out", None, None, None, False),
    ],
    schema=["product_id", "brand", "category", "text", "listed"],
    orient="row",
)
LINKS = pl.DataFrame({"source_id": ["cup", "jar"], "relation": ["SEEN", "SEEN"], "target_id": ["out", "out"]})


def graph() -> Graph:
    bought = pl.DataFrame({"user_id": ["u", "u"], "product_id": ["cup", "jar"]})
    return graph_of(check_shop("hand", products=PRODUCTS, purchases=bought, links=LINKS))


def test_products_are_alike_by_what_they_share_and_rows_have_unit_length() -> None:
    text = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.float32)
    found = product_features(graph(), products=np.array([0, 1, 2]), text=text)
    assert list(found) == ["brand", "category", "words", "meaning", "SEEN"]
    alike = {name: np.asarray(matrix @ matrix.T) if name == "meaning" else (matrix @ matrix.T).toarray()
             for name, matrix in found.items()}  # fmt: skip
    assert alike["brand"] == pytest.approx(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]), abs=1e-6)
    # The lid is in Home too, and in a category of its own.
    assert alike["category"][0, 1] == pytest.approx(1)
    assert 0 < alike["category"][0, 2] < 1
    # 'red' is the one word that two products share.
    assert alike["words"] == pytest.approx(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]), abs=1e-6)
    # Without what both share, two vectors are opposite; a product without a text is like none.
    assert alike["meaning"] == pytest.approx(np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]]), abs=1e-6)
    # Both lead to the product outside, and each to itself.
    assert 0 < alike["SEEN"][0, 1] < 1
    assert not alike["SEEN"][2].any()


def test_a_shop_without_texts_brands_or_categories_has_no_such_similarity() -> None:
    bought = pl.DataFrame({"user_id": ["u", "u"], "product_id": ["cup", "jar"]})
    plain = graph_of(check_shop("plain", products=PRODUCTS.select("product_id"), purchases=bought))
    found = product_features(plain, products=np.arange(4), text=np.zeros((4, 2), dtype=np.float32))
    assert all(not np.asarray(matrix.sum()).any() for matrix in found.values())


def test_unlisted_products_are_not_ranked_but_lead_to_likeness() -> None:
    shop = graph()
    task = make_task(
        "test", shop, known=shop.bought, later=shop.bought, weighing=Weighing(exponent=1.0, half_life=1e30), now=1,
        min_buyers=0,
    )  # fmt: skip
    assert task.products.tolist() == [0, 1, 2]


def test_content_moves_weight_to_its_shares_also_in_a_shop_too_large_for_the_closed_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted = graph_of(synthetic_shop(users=60, products=30))
    split = split_purchases(planted, SplitConfig(), seed=0)
    task = make_task(
        "validation", planted, known=split.past, later=split.validation, weighing=Weighing(0.5, 1e30),
        now=split.validation_from, min_buyers=1,
    )  # fmt: skip
    text = np.eye(len(planted.products), 8, dtype=np.float32)
    features = product_features(planted, products=task.products, text=text[task.products])
    count = len(task.products)
    nothing = ClosedFormConfig(brand=0.0, category=0.0, words=0.0, meaning=0.0, link=0.0)
    for way in ("closed form", "local closed form"):
        for config, expected in ((nothing, set()), (ClosedFormConfig(), {"brand", "category", "text", "links"})):
            base = fit_base(task, features, config, times_known=True)
            assert base.way.startswith(way)
            assert set(base.other_shares(0, count)) == expected
        monkeypatch.setattr("gnn.base.exact_way", lambda *_: None)
    content = fit_content(task, features, ClosedFormConfig(), times_known=True)
    assert content is not None
    assert content.way.startswith("local closed form")
    assert fit_content(task, features, nothing, times_known=True) is None


def test_many_features_of_few_directions_are_compressed_without_loss_and_few_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    planted = sparse.csr_array((rng.normal(size=(900, 20)) @ rng.normal(size=(20, 700))).astype(np.float32))
    found = compressed(planted)
    assert found.shape == (900, 512)
    gram = (planted @ planted.T).toarray()
    assert found @ found.T == pytest.approx(gram, abs=1e-3 * float(np.abs(gram).max()))
    few = planted[:, :512]
    assert compressed(few) is few


@pytest.mark.parametrize(
    ("users", "products", "features", "few"),
    [
        (2_400, 23_000, (1_200, 1_700, 5_200, 384), True),  # 10,884 rows to invert; 4,320 of them compressed
        (2_400, 23_000, (1_200, 1_700, 384), False),  # 5,684 are few enough as they are
        (22_000, 12_000, (1_200, 30_000), False),  # the users alone are too many
        (100, 900, (600,), False),  # so few products are inverted in no time
    ],
)
def test_features_are_compressed_where_that_makes_woodbury_worth_it(
    users: int,
    products: int,
    features: tuple[int, ...],
    few: bool,  # noqa: FBT001
) -> None:
    given = {str(number): sparse.csr_array((products, size)) for number, size in enumerate(features)}
    assert few_users(users, given) is few


def test_a_cosine_is_taken_of_both_ends_whatever_their_length_and_is_0_without_a_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(similarity, "EDGES_AT_ONCE", 2)
    vectors = np.array([[3, 4], [0, 2], [0, 0], [-3, -4]], dtype=np.float32)
    source, target = np.array([0, 0, 0, 2, 1]), np.array([1, 2, 3, 2, 1])
    assert cosines(vectors, source=source, target=target) == pytest.approx([0.8, 0, -1, 0, 1])
