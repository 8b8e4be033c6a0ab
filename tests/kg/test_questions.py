"""The ten questions of docs/questions.md: each runs on both stores, and eight are worked out again from the tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kg.build import graph_tables
from kg.cypher import purpose, query_names, read_query
from kg.store import GraphStore, open_store
from loaders.synthetic import synthetic_shop
from tests.kg.neo4j_for_tests import Server
from tests.kg.small_shop import run_record

PAGE = Path(__file__).parents[2] / "docs" / "questions.md"
WHOLE = synthetic_shop()
# Two products lack something, and one lacks all, so that question 6 has an answer.
LACKS = {"p005": ("brand",), "p009": ("category", "text"), "p011": ("brand", "category", "text")}
SHOP = replace(
    WHOLE,
    products=WHOLE.products.with_columns(
        pl.when(pl.col("product_id").is_in([product for product, lacks in LACKS.items() if column in lacks]))
        .then(None)
        .otherwise(pl.col(column))
        .alias(column)
        for column in ("brand", "category", "text")
    ),
)
BOUGHT = SHOP.purchases.join(SHOP.products, on="product_id")
BUYERS = pl.col("user_id").n_unique()

Question = tuple[str, dict[str, Any]]


def questions() -> dict[str, Question]:
    """Return heading → Cypher and parameters, as Neo4j Browser reads them."""
    found = {}
    for heading, block in re.findall(
        r"^## (.+?)\n.*?^```cypher\n(.+?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    ):
        given = re.findall(r"^:param (\w+) => (.+)$", block, re.MULTILINE)
        values = {name: text.strip("'") if text.startswith("'") else int(text) for name, text in given}
        found[heading] = (re.sub(r"^:param .*\n", "", block, flags=re.MULTILINE), values)
    return found


QUESTIONS = questions()


def results() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return RELATED and RECOMMENDED edges that are enough to be asked for."""
    ids = SHOP.products["product_id"]
    related = pl.DataFrame(
        {"source": ["p000"] * 6, "target": ids[1:7], "weight": [float(n) for n in (3, 1, 2, 5, 4, 6)]}
    ).with_columns(
        bought=pl.col("weight") - 0.5, brand=0.5, category=0.0, text=0.0, links=0.0, network=0.0, repeat=0.0, near=0.0
    )
    users = SHOP.users["user_id"][:9]
    recommended = pl.DataFrame(
        [(user, ids[(at * step) % 30], at + 1, 1.0 - at / 50) for step, user in enumerate(users) for at in range(12)],
        schema=["source", "target", "rank", "score"],
        orient="row",
    ).unique(["source", "target"], keep="first", maintain_order=True)
    return related, recommended.with_columns(reason_kind=pl.lit("bought"), reason_via=pl.lit("p000"), reason_share=0.5)


def fill(store: GraphStore) -> None:
    store.replace_graph(graph_tables(SHOP))
    for relation, edges in zip(("RELATED", "RECOMMENDED"), results(), strict=True):
        store.write_results(relation, edges, run=run_record("synthetic"))


@pytest.fixture(scope="module")
def ladybug(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphStore]:
    with open_store(f"ladybug:{tmp_path_factory.mktemp('questions') / 's.lbug'}") as store:
        fill(store)
        yield store


@pytest.fixture(scope="module")
def neo4j_store(neo4j_server: Server) -> Iterator[GraphStore]:
    neo4j_server.empty()
    with open_store(neo4j_server.uri) as store:
        fill(store)
        yield store


def best_sellers(values: dict[str, Any]) -> pl.DataFrame:
    inside = pl.col("category").str.split(" > ").list.first() == values["category"]
    return (
        BOUGHT.filter(inside, pl.col("at") >= values["since"])
        .group_by("product_id", "name")
        .agg(BUYERS.alias("buyers"), pl.len().alias("purchases"))
        .sort("buyers", "purchases", "product_id", descending=[True, True, False])
    )


def not_bought_since(values: dict[str, Any]) -> pl.DataFrame:
    by_product = BOUGHT.group_by("product_id", "name").agg(pl.len().alias("purchases"), pl.col("at").max())
    return by_product.filter(pl.col("at") < values["since"]).sort("at", "product_id")


def losing_brands(values: dict[str, Any]) -> pl.DataFrame:
    def buyers(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        return frame.group_by("brand").agg(BUYERS.alias(name))

    late = pl.col("at") >= values["since"]
    recent = BOUGHT.filter(pl.col("at") >= values["before"]).drop_nulls("brand")
    both = buyers(recent.filter(late), "now").join(
        buyers(recent.filter(~late), "earlier"), on="brand", how="full", coalesce=True
    )
    change = pl.col("now").cast(pl.Int64) - pl.col("earlier").cast(pl.Int64)
    return both.fill_null(0).with_columns(change.alias("change")).sort("change", "brand")


def bought_too(values: dict[str, Any]) -> pl.DataFrame:
    own = BOUGHT.filter(pl.col("product_id") == values["product"]).select("user_id").unique()
    others = BOUGHT.join(own, on="user_id").filter(pl.col("product_id") != values["product"])
    counted = others.group_by("product_id", "name").agg(BUYERS.alias("buyers"))
    return counted.sort("buyers", "product_id", descending=[True, False])


def other_brands(values: dict[str, Any]) -> pl.DataFrame:
    own = BOUGHT.filter(pl.col("brand") == values["brand"]).select("user_id").unique()
    others = BOUGHT.join(own, on="user_id").filter(pl.col("brand") != values["brand"])
    top = others.with_columns(pl.col("category").str.split(" > ").list.first())
    counted = (
        top.drop_nulls("category")
        .group_by("category")
        .agg(BUYERS.alias("buyers"), pl.col("product_id").n_unique().alias("products"))
    )
    return counted.sort("buyers", "category", descending=[True, False])


def incomplete(_: dict[str, Any]) -> pl.DataFrame:
    has = [pl.col(column).is_not_null().alias(f"has_{column}") for column in ("brand", "category", "text")]
    return SHOP.products.select("product_id", "name", *has).filter(~pl.all_horizontal(pl.selectors.boolean()))


def new_with_few_buyers(values: dict[str, Any]) -> pl.DataFrame:
    counted = BOUGHT.group_by("product_id", "name").agg(pl.col("at").min(), BUYERS.alias("buyers"))
    kept = counted.filter(pl.col("at") >= values["since"], pl.col("buyers") <= values["most"])
    return kept.sort("at", "product_id", descending=[True, False])


def came_back(values: dict[str, Any]) -> pl.DataFrame:
    own = BOUGHT.filter(pl.col("product_id") == values["product"])
    counted = own.group_by("user_id").agg(pl.len().alias("purchases"), pl.col("at").max())
    return counted.sort("purchases", "user_id", descending=[True, False])


def most_recommended(values: dict[str, Any]) -> pl.DataFrame:
    kept = results()[1].filter(pl.col("rank") <= values["places"]).rename({"target": "product_id"})
    counted = kept.group_by("product_id").agg(pl.len().alias("users"), pl.col("rank").min())
    named = counted.join(SHOP.products, on="product_id").select("product_id", "name", "users", "rank")
    return named.sort("users", "product_id", descending=[True, False])


def related_to(values: dict[str, Any]) -> pl.DataFrame:
    own = results()[0].filter(pl.col("source") == values["product"])
    named = own.join(SHOP.products.select("product_id", "name"), left_on="target", right_on="product_id")
    shares = ("weight", "bought", "brand", "category", "text", "links", "network", "repeat")
    return named.select("target", "name", *shares).sort("weight", descending=True)


def others(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the question about other products, categories, brands and moments: a store may be wrong about a few."""
    instead = {
        "product": SHOP.products["product_id"][::5],
        "category": SHOP.products["category"].drop_nulls().str.split(" > ").list.first().unique().sort(),
        "brand": SHOP.products["brand"].drop_nulls().unique().sort(),
        "since": SHOP.purchases["at"].sort()[::1000],
    }
    return [{**values, name: value} for name in values if name in instead for value in instead[name]]


ANSWERS: list[Callable[[dict[str, Any]], pl.DataFrame]] = [
    best_sellers,
    not_bought_since,
    losing_brands,
    bought_too,
    other_brands,
    incomplete,
    new_with_few_buyers,
    came_back,
    most_recommended,
    related_to,
]


def test_the_page_lists_every_query_file_with_its_purpose() -> None:
    listed = re.findall(r"^\| \[`(\w+)`\]\(\.\./kg/queries/\1\.cypher\) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert dict(listed) == {name: purpose(read_query(name)) for name in query_names()}


def test_there_are_ten_questions_numbered_from_one() -> None:
    assert [heading.split(".")[0] for heading in QUESTIONS] == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("kind", ["ladybug", "neo4j_store"])
@pytest.mark.parametrize(("heading", "answer"), list(zip(QUESTIONS, ANSWERS, strict=True)))
def test_a_question_is_answered_as_the_tables_do(
    heading: str, answer: Callable[[dict[str, Any]], pl.DataFrame], kind: str, request: pytest.FixtureRequest
) -> None:
    store: GraphStore = request.getfixturevalue(kind)
    text, values = QUESTIONS[heading]
    assert len(answer(values))
    for asked in [values, *others(values)]:
        assert store.query(text, asked).rows() == answer(asked).head(5).rows(), asked
