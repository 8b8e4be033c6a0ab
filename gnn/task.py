"""States the task: what is known before a moment, and what has to be found after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy import sparse

from gnn.history import Weighing, binary, history_weights, ranked_products
from kg.graph import Graph


@dataclass(frozen=True)
class Task:
    """What is known before a moment, and what has to be found after it."""

    name: str
    """``validation`` or ``test``."""

    known: pl.DataFrame
    """Purchases before the moment: ``user``, ``product`` (positions), ``at``."""

    products: Int[np.ndarray, " products"]
    """Sorted positions of the products that can be ranked: the columns of all matrices."""

    history: sparse.csr_array
    """a(u, j), users × products."""

    relevant: sparse.csr_array
    """1 where a user bought one of these products later; for the first time, unless the task is to ``repeat``."""

    now: int
    """The moment, in seconds (UTC)."""

    repeat: bool = False
    """Whether products that a user has bought before may be ranked for her, and are to be found."""

    @property
    def bought(self) -> sparse.csr_array:
        """1 where a user had bought the product before."""
        return binary(self.history)

    @property
    def seen(self) -> sparse.csr_array:
        """1 where a product must not be ranked for a user: what she had bought before, or nothing."""
        return sparse.csr_array(self.history.shape) if self.repeat else self.bought


def make_task(
    name: str,
    graph: Graph,
    *,
    known: pl.DataFrame,
    later: pl.DataFrame,
    weighing: Weighing,
    now: int,
    min_buyers: int,
    repeat: bool = False,
) -> Task:
    """Return the task of finding from ``known`` what is bought ``later``: all of it, or what is new to its user."""
    products = ranked_products(known, listed=graph.listed, min_buyers=min_buyers)
    num_users = len(graph.users)
    history = history_weights(known, products=products, num_users=num_users, weighing=weighing, now=now)
    pairs = later.select("user", "product").unique().filter(pl.col("product").is_in(products)).sort("user", "product")
    if not repeat:
        pairs = pairs.join(known, on=["user", "product"], how="anti", maintain_order="left")
    columns = np.searchsorted(products, pairs["product"].to_numpy())
    shape = (num_users, len(products))
    relevant = sparse.csr_array((np.ones(len(pairs)), (pairs["user"].to_numpy(), columns)), shape=shape)
    return Task(name=name, known=known, products=products, history=history, relevant=relevant, now=now, repeat=repeat)
