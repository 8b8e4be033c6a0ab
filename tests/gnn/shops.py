"""Graphs for tests: small ones to work out by hand, and made-up shops in graph form."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from hypothesis import strategies as st
from scipy import sparse

from gnn.base import fit_base
from gnn.config import ClosedFormConfig
from gnn.model import Content
from gnn.related import Base
from gnn.similarity import product_features
from gnn.task import Task
from kg.build import build_graph, graph_tables
from kg.graph import Graph
from loaders.tables import Shop, check_shop

DAY = 86_400


def graph_of(shop: Shop) -> Graph:
    """Return the graph of a shop, without a store between."""
    return build_graph(graph_tables(shop))


def purchases(*rows: tuple[int, int, int]) -> pl.DataFrame:
    """Return purchases by position from rows of user, product and day."""
    frame = pl.DataFrame(rows, schema={"user": pl.Int64, "product": pl.Int64, "day": pl.Int64}, orient="row")
    return frame.select("user", "product", at=pl.col("day") * DAY)


def shop_of(*rows: tuple[str, str, int | None], folds: list[str] | None = None, **cutoffs: int) -> Shop:
    """Return a shop of purchases only: user, product, day (None: nobody knows)."""
    bought = pl.DataFrame(
        [(user, product, None if day is None else day * DAY) for user, product, day in rows],
        schema={"user_id": pl.String, "product_id": pl.String, "at": pl.Int64},
        orient="row",
    )
    if folds:
        bought = bought.with_columns(pl.Series("fold", folds))
    products = bought.select(pl.col("product_id").unique().sort())
    return check_shop("hand", products=products, purchases=bought, **cutoffs)


def base_of(task: Task, graph: Graph, config: ClosedFormConfig | None = None) -> Base:
    """Return the closed form of what the task knows; texts are made up."""
    text = np.eye(len(graph.products), 8, dtype=np.float32)
    features = product_features(graph, products=task.products, text=text[task.products])
    return fit_base(task, features, config or ClosedFormConfig(), times_known=True)


def content_of(graph: Graph, *, text: np.ndarray | None = None) -> Content:
    """Return what models may know of a graph; texts are made up where none are given."""
    vectors = np.eye(len(graph.products), 8, dtype=np.float32) if text is None else text
    return Content(graph=graph, text=vectors, times_known=True, device=torch.device("cpu"))


def matrix(rows: list[list[float]]) -> sparse.csr_array:
    """Return a dense table of numbers as the sparse matrix of its entries that are not 0."""
    return sparse.csr_array(np.array(rows, dtype=np.float64))


@st.composite
def histories(draw: st.DrawFn, *, most_users: int = 8, most_products: int = 6) -> sparse.csr_array:
    """Draw who bought what, as 0 and 1."""
    num_users, num_products = draw(st.integers(1, most_users)), draw(st.integers(2, most_products))
    cells = draw(st.lists(st.booleans(), min_size=num_users * num_products, max_size=num_users * num_products))
    return sparse.csr_array(np.array(cells, dtype=np.float64).reshape(num_users, num_products))
