"""Explanations are the score: for random pairs their rows add up to what the sparse product says, on both stores."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gnn.base import fit_base
from gnn.config import ClosedFormConfig
from gnn.edges_by_id import related_by_id
from gnn.history import Weighing, history_weights
from gnn.related import related_edges
from gnn.similarity import product_features
from gnn.task import make_task
from kg.build import build_graph, graph_tables
from kg.cypher import read_query
from kg.explain import ALL_ROWS, score_parameters
from kg.graph import RunRecord
from kg.schema import SHARES
from kg.store import GraphStore
from loaders.synthetic import synthetic_shop

TABLES = graph_tables(synthetic_shop())
GRAPH = build_graph(TABLES)
WEIGHING = Weighing(exponent=0.35, half_life=70 * 86_400.0)
PAIRS = 1000


def test_the_rows_of_an_explanation_add_up_to_the_score_and_their_shares_to_each_row(store: GraphStore) -> None:
    now = int(GRAPH.bought["at"].max()) + 1  # type: ignore[arg-type]
    task = make_task(
        "all", GRAPH, known=GRAPH.bought, later=GRAPH.bought.clear(), weighing=WEIGHING, now=now, min_buyers=1
    )
    # Made-up text vectors: what the shares are made of does not matter, only that there are several.
    text = np.random.default_rng(0).normal(size=(len(GRAPH.products), 8)).astype(np.float32)
    weights = ClosedFormConfig(brand=0.5, category=0.5, words=0.0, meaning=0.5)
    features = product_features(GRAPH, products=task.products, text=text[task.products])
    base = fit_base(task, features, weights, times_known=True)
    related = related_edges(base, per_product=60, factor=np.ones(len(task.products)))
    run = RunRecord("sums", "2024-12-31", now, WEIGHING.half_life, WEIGHING.exponent, learned_before=now)
    store.replace_graph(TABLES)
    store.write_results("RELATED", related_by_id(related, GRAPH, products=task.products, text=text), run=run)

    history = history_weights(
        GRAPH.bought, products=task.products, num_users=len(GRAPH.users), weighing=WEIGHING, now=now
    )
    scores = (history @ related.matrix(len(task.products))).toarray()
    rng = np.random.default_rng(1)
    users = rng.choice(len(GRAPH.users), PAIRS).tolist()
    columns = rng.choice(len(task.products), PAIRS).tolist()
    query = read_query("explain_score", dialect=store.dialect)
    explained = []
    for user, column in zip(users, columns, strict=True):
        ids = GRAPH.users["id"][user], GRAPH.products["id"][int(task.products[column])]
        rows = store.query(query, score_parameters(*ids, run, limit=ALL_ROWS))
        score = float(scores[user, column])
        assert float(rows["contribution"].cast(pl.Float64).sum()) == pytest.approx(score, abs=1e-5 * max(1, abs(score)))
        explained += [rows] if len(rows) else []
    all_rows = pl.concat(explained)
    apart = (all_rows.select(pl.sum_horizontal(SHARES)).to_series() - all_rows["contribution"]).abs()
    assert (apart <= 1e-5 * all_rows["contribution"].abs().clip(1)).all()
    # There was something to add up: several rows a pair, and more than one share.
    assert len(all_rows) > 5 * PAIRS
    assert (all_rows.select("bought", "brand", "category", "text").to_numpy() != 0).any(axis=0).all()
