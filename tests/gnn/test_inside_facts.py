"""What single messages got, added up by hand: by relation, by fact, and of the users who bought both."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import torch

from gnn.inside_facts import Fact, RelationMass, messages_of
from gnn.inside_messages import Masked, Neighbourhood
from kg.graph import Graph
from loaders.tables import check_shop
from tests.gnn.shops import graph_of

BRAND, TO_BRAND = ("brand", "rev_has_brand", "product"), ("product", "has_brand", "brand")
BOUGHT, LINKED = ("user", "bought", "product"), ("product", "rev_viewed", "product")


def small_graph() -> Graph:
    """Return the products jam, mug and pot (0, 1 and 2), of which the last two have a brand."""
    products = pl.DataFrame(
        {"product_id": ["jam", "mug", "pot"], "name": ["Jam", "Mug", None], "brand": [None, "Clay", "Clay"]}
    )
    bought = pl.DataFrame({"user_id": ["a"], "product_id": ["jam"], "at": [1]})
    return graph_of(check_shop("small", products=products, purchases=bought))


# The network ranks mug and pot alone: rows 0 and 1. Users 4 and 6 bought both, 5 only the mug.
AROUND = Neighbourhood(
    nodes={"product": torch.tensor([0, 1]), "brand": torch.tensor([0]), "user": torch.tensor([4, 5, 6])},
    edges={
        BRAND: torch.tensor([[0, 0], [0, 1]]),
        TO_BRAND: torch.tensor([[0], [0]]),
        BOUGHT: torch.tensor([[0, 0, 1, 2, 2], [0, 1, 0, 0, 1]]),
        LINKED: torch.tensor([[0], [1]]),
    },
    ends=(0, 1),
)
MASKED = Masked(
    cosine=0.9,
    without=0.2,
    kept=None,
    mask={
        BRAND: torch.tensor([0.25, 0.125]),
        TO_BRAND: torch.tensor([0.0625]),
        BOUGHT: torch.tensor([0.125, -0.25, 0.5, 0.0, -0.25]),
        LINKED: torch.tensor([-0.03125]),
    },
)


def test_masses_by_hand() -> None:
    graph = small_graph()
    found = messages_of(MASKED, AROUND, graph=graph, products=torch.tensor([1, 2]).numpy(), explainer="ig")
    assert found.relations == (
        RelationMass("has_brand", 3, 0.4375), RelationMass("bought", 5, 0.125), RelationMass("viewed", 1, -0.03125),
    )  # fmt: skip
    assert found.facts == (
        Fact("mug", "Mug", "bought", None, 3, 0.625),
        Fact("pot", None, "bought", None, 2, -0.5),
        Fact("mug", "Mug", "has_brand", "Clay", 2, 0.3125),
        Fact("pot", None, "has_brand", "Clay", 1, 0.125),
        # The message goes from the mug to the pot, against the link from the pot to the mug.
        Fact("pot", None, "viewed", "mug", 1, -0.03125),
    )
    assert (found.co_buyers, found.co_buyers_mass) == (2, 0.125 - 0.25 - 0.25)
    assert found.missing == pytest.approx(0.9 - 0.2 - 0.53125)


def test_a_mask_that_is_no_part_of_the_cosine_has_nothing_missing_and_no_message_is_no_fact() -> None:
    graph, products = small_graph(), torch.tensor([1, 2]).numpy()
    found = messages_of(replace(MASKED, kept=0.8), AROUND, graph=graph, products=products, explainer="gnn")
    assert (found.missing, found.kept) == (None, 0.8)
    nothing = messages_of(replace(MASKED, mask={}), AROUND, graph=graph, products=products, explainer="ig")
    assert (nothing.relations, nothing.facts, nothing.co_buyers) == ((), (), 0)
