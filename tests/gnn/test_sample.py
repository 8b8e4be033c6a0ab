"""A sample of users is fixed by its seed, whole in what they bought, and a graph like any other."""

from __future__ import annotations

import polars as pl
import pytest

from gnn.sample import sample_users
from kg import schema
from kg.build import graph_tables
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from loaders.tables import check_shop
from tests.gnn.shops import shop_of

WHOLE = graph_tables(synthetic_shop(users=50, products=24, purchases_per_user=4))


def test_a_sample_has_its_share_of_users_and_all_that_they_bought_and_nothing_else() -> None:
    sample = sample_users(WHOLE, 0.2, seed=0)
    users = set(sample.nodes["User"]["id"])
    assert len(users) == 10
    own = WHOLE.edges["BOUGHT"].filter(pl.col("source").is_in(list(users)))
    assert sample.edges["BOUGHT"].equals(own)
    assert set(sample.nodes["Product"]["id"]) == set(own["target"])
    assert len(sample.nodes["Product"]) < len(WHOLE.nodes["Product"])


def test_every_edge_of_a_sample_joins_nodes_that_it_has() -> None:
    sample = sample_users(WHOLE, 0.2, seed=0)
    assert set(sample.edges) == set(WHOLE.edges)
    for relation, edges in sample.edges.items():
        for column, label in zip(("source", "target"), schema.endpoints(relation), strict=True):
            assert set(edges[column]) <= set(sample.nodes[label]["id"])
    assert sample.edges["HAS_BRAND"]["source"].to_list() == sorted(sample.nodes["Product"]["id"])


def test_the_same_seed_gives_the_same_sample_and_another_seed_another() -> None:
    prints = [sample_users(WHOLE, 0.2, seed=seed).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_all_users_are_the_shop_itself() -> None:
    assert sample_users(WHOLE, 1.0, seed=3) is WHOLE


def test_a_product_that_is_not_listed_stays_as_it_is_there_to_be_linked_to() -> None:
    shop = shop_of(("ann", "tea", 1), ("bob", "mug", 2))
    listed = shop.products.with_columns(listed=pl.Series([True, True]))
    extra = listed.clear(1).with_columns(product_id=pl.lit("old pot"), listed=pl.lit(value=False))
    tables = graph_tables(check_shop("hand", products=pl.concat([listed, extra]), purchases=shop.purchases))
    kept = sample_users(tables, 0.5, seed=0).nodes["Product"]["id"].to_list()
    assert len(kept) == 2
    assert "old pot" in kept


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"users_share is .*; give more than 0 and at most 1"):
        sample_users(WHOLE, share, seed=0)
