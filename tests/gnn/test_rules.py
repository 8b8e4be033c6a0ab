"""The rules of the shop: each by hand and against trying all lists, and a wrong file told in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.caps import NO_GROUP, Caps
from gnn.ranking import NOBODY
from gnn.ruled import removals, ruled_lists
from gnn.rules import Rules, _Loader, read_rules
from kg.graph import Graph
from loaders.errors import InputError
from loaders.tables import check_shop
from tests.gnn.shops import graph_of


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return a shop of six products, p0 … p5, all of them in two or three categories."""
    products = pl.DataFrame(
        {
            "product_id": [f"p{number}" for number in range(6)],
            "brand": ["Oasis", "Oasis", "Oasis", "River", "River", None],
            "category": [
                "Hair > Mask",
                "Hair > Oil",
                "Hair > Mask|Body > Oil",
                "Body > Oil",
                "Body > Soap",
                "Hair > Mask",
            ],
            "price": [1.0, 5.0, 10.0, 20.0, None, 2.0],
        }
    )
    bought = pl.DataFrame({"user_id": ["ann", "bob"], "product_id": ["p0", "p1"], "at": [1, 2]})
    return graph_of(check_shop("hand", products=products, purchases=bought))


def rules_of(text: str, graph: Graph, folder: Path, *, calibrated: bool = True) -> Rules:
    file = folder / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    return read_rules(file, graph, products=np.arange(6), calibrated=calibrated)


@pytest.mark.parametrize(
    ("text", "removed"),
    [
        ("block: {products: [p1, p4]}", {1, 4}),
        ("block: {brands: [Oasis]}", {0, 1, 2}),
        ("block: {categories: ['Hair > Mask']}", {0, 2, 5}),
        ("block: {categories: [Body]}", {2, 3, 4}),  # all below it too
        ("in_stock: stock.csv", {1, 2, 4, 5}),
        ("price: {from: 2, to: 10}", {0, 3, 4}),  # a price that nobody knows is in no band
        ("price: {to: 9.99}", {2, 3, 4}),
        ("at_most: {brand: 1}", set()),
    ],
)
def test_a_rule_on_the_catalogue_removes_these_products(
    graph: Graph, tmp_path: Path, text: str, removed: set[int]
) -> None:
    (tmp_path / "stock.csv").write_text("product_id,count\np0,3\np3,1\nnew,5\n")
    rules = rules_of(text, graph, tmp_path)
    assert set(np.flatnonzero(~rules.allowed).tolist()) == removed


def test_boosts_multiply_and_groups_are_those_of_brand_and_level(graph: Graph, tmp_path: Path) -> None:
    text = """
    boost:
      products: {p2: 3}
      brands: {Oasis: 2.0}
      categories: {Body: 0.5}
    at_most:
      brand: 2
      category: {level: 2, products: 1}
    only_users: [bob]
    """
    rules = rules_of(text, graph, tmp_path)
    assert rules.boost.tolist() == [2.0, 2.0, 3.0, 0.5, 0.5, 1.0]
    assert rules.users.tolist() == [False, True]
    assert rules.caps is not None
    assert rules.caps.kinds == ("at_most brand", "at_most category", "at_most category")
    brands, first, second = rules.caps.groups.T.tolist()
    assert brands == [0, 0, 0, 1, 1, NO_GROUP]
    # p2 is a mask and a body oil: it has the group of p0 and p5, and that of p3.
    assert first[0] == first[5] in (first[2], second[2])
    assert first[3] in (first[2], second[2])
    assert rules.caps.most.tolist() == [2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", ["has no rule in it"]),
        ("block: [", ["is no YAML"]),
        ("price: {to: 1}\nprice: {to: 2}", ["'price' stands twice"]),
        ("- block", ["the file is ['block']; give only_users, block, in_stock, price"]),
        ("blok: {}", ["the file has 'blok', which is none of only_users, block"]),
        ("block: {shops: [x]}", ["block has 'shops', which is none of products, brands, categories"]),
        ("block: {products: p1}", ["block.products is 'p1'; give a list of ids"]),
        ("block: {products: [7]}", ["block.products has 7, which is no text; put ids in quotes"]),
        (
            "block: {products: [x], brands: [Oais], categories: [Hair, Mask]}",
            [
                "block.products has 'x', and the graph knows no such product",
                "block.brands has 'Oais', and the graph knows no such brand",
                "block.categories has 'Mask', and the graph knows no such category",
            ],
        ),
        ("in_stock: nowhere.csv", ["in_stock is 'nowhere.csv'; give the path of a CSV, from the folder of rules.yaml"]),
        ("in_stock: users.csv", ["in_stock: 'users.csv' has no column product_id; it has user_id"]),
        ("only_users: [ann, eve]", ["only_users has 'eve', and the graph knows no such user"]),
        ("only_users: users.csv", ["only_users has 'eve', and the graph knows no such user"]),
        ("price: 3", ["price is 3; give from, to below it"]),
        ("price: {from: cheap}", ["price.from is 'cheap'; give a number from 0 on"]),
        ("price: {from: 5, to: 4}", ["price.from is 5 and price.to is 4; give the lower one first"]),
        ("minimum_probability: 2", ["minimum_probability is 2; give a number from 0 to 1"]),
        ("minimum_probability: true", ["minimum_probability is True; give a number from 0 to 1"]),
        ("boost: {brands: [Oasis]}", ["boost.brands is ['Oasis']; give ids and their factors below it"]),
        ("boost: {brands: {Oasis: 0}}", ["boost.brands.Oasis is 0; give a number from 0.001 to 1000"]),
        ("at_most: {brand: 0}", ["at_most.brand is 0; give a whole number from 1 on"]),
        ("at_most: {brand: 1.5}", ["at_most.brand is 1.5; give a whole number from 1 on"]),
        ("at_most: {category: {level: 3}}", [
            "at_most.category.products is None; give a whole number from 1 on",
            "at_most.category.level is 3, and the graph has no category of that level",
        ]),
        ("block: {categories: [Hair, Body]}", ["leaves none of the 6 ranked products; take some of its rules out"]),
        ("block: {products: [2024-13-01]}", ["(month must be in 1..12); put quotes around ids"]),
        ("block: {products: [2024-12-01]}", [
            "block.products has datetime.date(2024, 12, 1), which is no text; put ids in quotes"
        ]),
        ("block: {products: !!bool maybe}", ["put quotes around ids"]),
        ("block: " + "[" * 5000, ["has parts within parts beyond all measure"]),
        ("? [a]\n: 1", ["is no YAML (while constructing a mapping"]),
        ("price: {to: .inf}", ["price.to is inf; give a number from 0 on"]),
        ("price: {from: .nan}", ["price.from is nan; give a number from 0 on"]),
        ("price: {from: 1" + "0" * 400 + "}", ["; give a number from 0 on"]),
        ("boost: {brands: {Oasis: .inf}}", ["boost.brands.Oasis is inf; give a number from 0.001 to 1000"]),
        ("at_most: {brand: 10000000000000000000000}", ["give a whole number from 1 to 1000000000"]),
        ("at_most: {brand: 0x" + "f" * 5000 + "}", ["is a very long number; give a whole number from 1 to 1000000000"]),
        ("{}", ["has no rule in it"]),
        ("block: {}", ["block is empty; give products, brands, categories below it, or leave it out"]),
        ("block: {brands: []}", ["block.brands is empty; give ids, or leave it out"]),
        ("price: {}", ["price is empty; give from, to below it, or leave it out"]),
        ("boost: {brands: {}}", ["boost.brands is empty; give ids and their factors below it, or leave it out"]),
        ("at_most: {category: {}}", ["at_most.category is empty; give level, products below it, or leave it out"]),
        ("only_users: []", ["leaves no user; take only_users out, or give at least one"]),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_in_a_sentence_for_each_fault(
    graph: Graph, tmp_path: Path, text: str, sentences: list[str]
) -> None:
    (tmp_path / "users.csv").write_text("user_id\nann\neve\n")
    with pytest.raises(InputError) as told:
        rules_of(text, graph, tmp_path)
    lines = str(told.value).splitlines()
    assert len(lines[1:] or lines) == len(sentences)
    for sentence in sentences:
        assert sentence in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        f"block: {'x' * 100_000}",
        f"block: {{products: [{'x' * 100_000}]}}",
        f"{'x' * 900}: 1",
        f"price: {{to: [{'1, ' * 10_000}]}}",
        # An alias of aliases: written out it would have 10 ** 9 entries.
        "block: {brands: [&a0 [x]" + "".join(f", &a{n} [{f'*a{n - 1}, ' * 10}]" for n in range(1, 10)) + "]}",
    ],
)  # fmt: skip
def test_a_long_value_is_cut_where_it_is_told(graph: Graph, tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as told:
        rules_of(text, graph, tmp_path)
    assert max(len(line) for line in str(told.value).splitlines()) < 400


def test_many_keys_are_read_in_linear_time() -> None:
    class Counted(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    class Loader(_Loader):
        pass

    def counted(_: Loader, node: yaml.ScalarNode) -> Counted:
        return Counted(node.value)

    Loader.add_constructor("tag:yaml.org,2002:str", counted)
    found = yaml.load("{" + ", ".join(f"k{number}: 1" for number in range(300)) + "}", Loader=Loader)  # noqa: S506
    assert len(found) == 300
    assert Counted.compared < 3000


def test_a_least_probability_needs_probabilities(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minimum_probability needs probabilities, and this run has none"):
        rules_of("minimum_probability: 0.1", graph, tmp_path, calibrated=False)


def made_up(rng: np.random.Generator, *, users: int, products: int) -> tuple[np.ndarray, Rules]:
    """Return random scores, many of them equal, and random rules."""
    scores = rng.integers(-3, 8, (users, products)).astype(float)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    kinds = int(rng.integers(1, 4))
    groups = rng.integers(-1, 4, (products, kinds)) + 4 * np.arange(kinds)
    groups[groups % 4 == 3] = NO_GROUP
    groups[groups < 0] = NO_GROUP
    caps = Caps(groups, rng.integers(1, 4, 4 * kinds), tuple(f"cap {kind}" for kind in range(kinds)))
    rules = Rules(
        given={"rules": {}},
        users=np.ones(users, dtype=bool),
        removed_by=np.where(rng.random(products) < 0.3, rng.integers(0, 2, products), -1),
        catalog_rules=("first", "second"),
        minimum_probability=0.3 if rng.random() < 0.5 else None,
        boost=rng.choice([0.5, 1.0, 2.0], products),
        caps=caps if rng.random() < 0.7 else None,
    )
    return scores, rules


def probability(scores: np.ndarray) -> np.ndarray:
    return np.clip((scores + 3) / 10, 0, 1)


def by_trying(scores: np.ndarray, rules: Rules, *, k: int) -> tuple[list[int], dict[int, str]]:
    """Return one user's list, product by product, and why each product that is not in it is not."""
    why: dict[int, str] = {}
    order = []
    for product, score in enumerate(scores.tolist()):
        if rules.removed_by[product] >= 0:
            why[product] = rules.catalog_rules[rules.removed_by[product]]
        elif rules.minimum_probability is not None and probability(np.array([score]))[0] < rules.minimum_probability:
            why[product] = "minimum_probability"
        elif np.isfinite(score):
            factor = rules.boost[product]
            order.append((-(score * factor if score > 0 else score / factor), product))
    taken: list[int] = []
    for _, product in sorted(order):
        if len(taken) == k:
            why[product] = "boost"
            continue
        refusing = refusing_kinds(product, taken, rules.caps) if rules.caps else []
        if refusing:
            why[product] = refusing[0]
        else:
            taken.append(product)
    return taken, why


def refusing_kinds(product: int, taken: list[int], caps: Caps) -> list[str]:
    found = []
    for kind, group in enumerate(caps.groups[product].tolist()):
        same = sum(group in caps.groups[other].tolist() for other in taken)
        if group != NO_GROUP and same >= caps.most[group]:
            found.append(caps.kinds[kind])
    return found


@given(st.integers(0, 100_000))
@settings(max_examples=150)
def test_lists_by_rules_and_what_each_rule_takes_are_those_found_by_trying(seed: int) -> None:
    rng = np.random.default_rng(seed)
    products, k = int(rng.integers(1, 30)), int(rng.integers(1, 6))
    scores, rules = made_up(rng, users=4, products=products)
    before = scores.copy()
    found = ruled_lists(scores, rules, probability=probability, k=k)
    taken_out = removals(scores, found, rules, probability=probability, k=k)
    assert np.array_equal(scores, before)
    for user in range(4):
        wanted, why = by_trying(scores[user], rules, k=k)
        assert found.ranked.products[user].tolist() == wanted + [NOBODY] * (k - len(wanted))
        assert found.ranked.scores[user, : len(wanted)].tolist() == scores[user, wanted].tolist()
        plain = sorted((-score, product) for product, score in enumerate(scores[user]) if np.isfinite(score))[:k]
        causes = [why[product] for _, product in plain if product not in wanted]
        counted: dict[str, Any] = {name: int(places[user]) for name, places in taken_out.items()}
        assert {name: count for name, count in counted.items() if count} == {
            cause: causes.count(cause) for cause in causes
        }
