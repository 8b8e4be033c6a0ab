"""Every query file on a whole shop, on each store, against the answers worked out from the tables with polars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from kg.build import graph_tables
from kg.cypher import parameters_of, query_names, read_query
from kg.graph import GraphTables, RunRecord
from kg.schema import SHARES
from kg.store import GraphStore, open_store
from loaders.synthetic import START, WEEK, synthetic_shop
from tests.kg.answers import ANSWERS, Known, Values, same_rows
from tests.kg.neo4j_for_tests import Server

PAIRS = 150
RUN = RunRecord(
    name="made-up", made_at="2024-12-01", now=START + 46 * WEEK, half_life=6e6, exponent=0.35, learned_before=START
)


def related(tables: GraphTables, *, per_product: int = 30) -> pl.DataFrame:
    """Return made-up RELATED edges whose shares add up to their weight; some are 0, some negative."""
    rng = np.random.default_rng(0)
    ids = tables.nodes["Product"]["id"].to_numpy()
    chosen = [rng.choice(np.delete(np.arange(len(ids)), at), per_product, replace=False) for at in range(len(ids))]
    shares = rng.normal(size=(len(ids) * per_product, len(SHARES))) * (rng.random(len(SHARES)) < 0.7)
    frame = pl.DataFrame({"source": np.repeat(ids, per_product), "target": ids[np.concatenate(chosen)]})
    return frame.with_columns(
        pl.Series("weight", shares.sum(axis=1)),
        *(pl.Series(name, shares[:, at]) for at, name in enumerate(SHARES)),
        pl.Series("near", rng.random(len(frame)) * (rng.random(len(frame)) < 0.7)),
    )


def recommended(tables: GraphTables, *, places: int = 3) -> pl.DataFrame:
    """Return a made-up list of products for each user."""
    rng = np.random.default_rng(2)
    users, products = (tables.nodes[label]["id"].to_numpy() for label in ("User", "Product"))
    chosen = np.concatenate([rng.choice(products, places, replace=False) for _ in users])
    return pl.DataFrame(
        {
            "source": np.repeat(users, places),
            "target": chosen,
            "rank": np.tile(np.arange(1, places + 1), len(users)),
            "score": rng.random(len(chosen)),
            "reason_kind": "bought",
            "reason_via": chosen,
            "reason_share": 0.5,
        }
    )


def preferred(tables: GraphTables) -> pl.DataFrame:
    """Return made-up PREFERS edges of every user to some brands and categories."""
    rng = np.random.default_rng(2)
    users = tables.nodes["User"]["id"].to_numpy()
    parts = []
    for kind in ("Brand", "Category"):
        ids = tables.nodes[kind]["id"].to_numpy()
        chosen = np.concatenate([rng.choice(ids, 3, replace=False) for _ in users])
        parts.append(pl.DataFrame({"source": np.repeat(users, 3), "target": chosen, "kind": kind}))
    frame = pl.concat(parts)
    numbers = rng.random((len(frame), 2))
    return frame.with_columns(
        pl.Series("weight", numbers[:, 0]),
        pl.Series("lift", 1 + numbers[:, 1]),
        pl.Series("purchases", rng.integers(1, 9, len(frame))),
        pl.Series("last_at", rng.integers(START, START + WEEK, len(frame))),
    )


TABLES = graph_tables(synthetic_shop())
KNOWN = Known.of(TABLES, related(TABLES), RUN, recommended=recommended(TABLES), preferred=preferred(TABLES))


def values() -> list[Values]:
    """Return random pairs of a user and a product, before the run's moment and after all purchases in turn.

    Every third product that is to be ``because`` is any, the others have an edge to the product.
    """
    rng = np.random.default_rng(1)
    users = rng.choice(TABLES.nodes["User"]["id"].to_numpy(), PAIRS)
    products = rng.choice(TABLES.nodes["Product"]["id"].to_numpy(), PAIRS)
    sources = dict(KNOWN.related.group_by("target").agg("source").rows())
    because = [
        rng.choice(sources[product] if place % 3 else TABLES.nodes["Product"]["id"].to_numpy())
        for place, product in enumerate(products)
    ]
    weighing = {"run": RUN.name, "half_life": RUN.half_life, "exponent": RUN.exponent}
    return [
        {
            **weighing,
            "user": str(user),
            "users": sorted({str(user), str(users[place - 1]), "nobody"}),
            "product": str(product),
            "because": str(because[place]),
            "basket": [str(each) for each in rng.choice(list(sources), 1 + place % 5)] * (1 + place % 2),
            "sample": place % 4,
            "now": float(RUN.now if place % 2 else RUN.now + 52 * WEEK),
            "level": 1 + place % 2,
            "repeat": place % 3 == 0,
            "limit": 100,
        }
        for place, (user, product) in enumerate(zip(users, products, strict=True))
    ]


@pytest.fixture(scope="module")
def ladybug(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphStore]:
    with open_store(f"ladybug:{tmp_path_factory.mktemp('answers') / 's.lbug'}") as store:
        store.replace_graph(TABLES)
        store.write_results("RELATED", KNOWN.related, run=RUN)
        store.write_results("RECOMMENDED", recommended(TABLES), run=RUN)
        store.write_results("PREFERS", KNOWN.preferred, run=RUN)
        yield store


@pytest.fixture(scope="module")
def neo4j(neo4j_server: Server) -> Iterator[GraphStore]:
    neo4j_server.empty()
    with open_store(neo4j_server.uri) as store:
        store.replace_graph(TABLES)
        store.write_results("RELATED", KNOWN.related, run=RUN)
        store.write_results("RECOMMENDED", recommended(TABLES), run=RUN)
        store.write_results("PREFERS", KNOWN.preferred, run=RUN)
        yield store


def test_every_query_file_has_an_answer_from_the_tables() -> None:
    assert sorted(ANSWERS) == query_names()


@pytest.mark.parametrize("name", query_names())
@pytest.mark.parametrize("kind", ["ladybug", "neo4j"])
def test_a_query_answers_as_the_tables_do(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    store: GraphStore = request.getfixturevalue(kind)
    text = read_query(name, dialect=store.dialect)
    wrong = [
        (given["user"], given["product"], given["now"])
        for given in values()
        if not same_rows(
            store.query(text, {key: given[key] for key in parameters_of(text)}),
            ANSWERS[name](KNOWN, given).head(given["limit"]),
        )
    ]
    assert wrong == []
