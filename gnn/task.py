"""States the task: what is known before a moment, and what has to be found after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy import sparse

from gnn.history import FOREVER, Weighing, binary, history_weights, ranked_products
from gnn.split import Split, enough_buyers
from kg.graph import Graph

MOST_MEASURED = 50_000
"""Of more users only so many, evenly spaced among those who have something to find, have their lists measured."""


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

    @property
    def measured(self) -> Int[np.ndarray, " measured"]:
        """The users whose lists are measured: all, or of very many an even part of those who have something to find."""
        num_users = self.history.shape[0]
        able = np.flatnonzero(np.diff(self.relevant.indptr)) if num_users > MOST_MEASURED else np.arange(num_users)
        measured: np.ndarray = able[evenly_spaced(len(able), most=MOST_MEASURED)]
        return measured


def evenly_spaced(count: int, *, most: int) -> Int[np.ndarray, " some"]:
    """Return all numbers below ``count``, or ``most`` of them."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.int64))


def only_rows(matrix: sparse.csr_array, rows: Int[np.ndarray, " kept"]) -> sparse.csr_array:
    """Return the same matrix, empty outside these rows."""
    counts = np.diff(matrix.indptr)
    is_kept = np.zeros(len(counts), dtype=bool)
    is_kept[rows] = True
    entry = np.repeat(is_kept, counts)
    ends = np.concatenate([[0], np.cumsum(np.where(is_kept, counts, 0))])
    return sparse.csr_array((matrix.data[entry], matrix.indices[entry], ends), shape=matrix.shape)


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
    relevant = _relevant(known, later, products=products, num_users=num_users, repeat=repeat)
    return Task(name=name, known=known, products=products, history=history, relevant=relevant, now=now, repeat=repeat)


def task_of_split(
    name: Literal["validation", "test"],
    graph: Graph,
    split: Split,
    *,
    weighing: Weighing,
    min_buyers: int | None,
    repeat: bool,
) -> Task:
    """Return the task of finding one part of the split from all that is before it; :func:`enough_buyers` as wanted."""
    test = name == "test"
    return make_task(
        name,
        graph,
        known=split.before_test if test else split.past,
        later=split.test if test else split.validation,
        weighing=weighing,
        now=split.test_from if test else split.validation_from,
        min_buyers=enough_buyers(graph, min_buyers),
        repeat=repeat,
    )


def hide(task: Task, *, share: float, seed: int, cold_share: float = 0.0) -> Task:
    """Return the task of finding a part of what ``task`` knows from the rest of it, among the same products.

    Hidden are at most ``share`` of all purchases, the latest, where their times differ (those of one moment together);
    else round(share · n) of each user's n purchases, at least one where n is 3 or more. All purchases of a
    ``cold_share`` of the products are hidden too, so that it can be learned what a product is that nobody has bought.
    """
    rng = np.random.default_rng(seed)
    known = task.known
    if known["at"].n_unique() > 1:
        at = known["at"].sort(descending=True)
        latest = at[min(round(share * len(at)), len(at) - 1)]
        hidden = known["at"] > latest if at[0] > latest else known["at"] == latest
        now = int(known["at"].filter(hidden).min())  # type: ignore[arg-type]
    else:
        now = task.now
        draw = pl.Series("draw", rng.random(len(known)))
        count = pl.len().over("user")
        wanted = (count * share).round().clip(lower_bound=pl.when(count >= 3).then(1).otherwise(0))
        hidden = known.with_columns(draw).select(pl.col("draw").rank("ordinal").over("user") <= wanted).to_series()
    cold = rng.choice(task.products, size=round(cold_share * len(task.products)), replace=False)
    hidden |= known["product"].is_in(cold)
    rest = known.filter(~hidden)
    num_users = task.history.shape[0]
    plain = Weighing(exponent=0.0, half_life=FOREVER)
    return replace(
        task,
        name=f"hidden of {task.name}",
        known=rest,
        history=history_weights(rest, products=task.products, num_users=num_users, weighing=plain, now=now),
        relevant=_relevant(rest, known.filter(hidden), products=task.products, num_users=num_users, repeat=task.repeat),
        now=now,
    )


def weigh(task: Task, weighing: Weighing) -> sparse.csr_array:
    """Return a(u, j) of what ``task`` knows, users × products."""
    return history_weights(
        task.known, products=task.products, num_users=task.history.shape[0], weighing=weighing, now=task.now
    )


def _relevant(
    known: pl.DataFrame,
    later: pl.DataFrame,
    *,
    products: Int[np.ndarray, " products"],
    num_users: int,
    repeat: bool,
) -> sparse.csr_array:
    pairs = later.select("user", "product").unique().filter(pl.col("product").is_in(products)).sort("user", "product")
    if not repeat:
        pairs = pairs.join(known, on=["user", "product"], how="anti", maintain_order="left")
    columns = np.searchsorted(products, pairs["product"].to_numpy())
    shape = (num_users, len(products))
    return sparse.csr_array((np.ones(len(pairs)), (pairs["user"].to_numpy(), columns)), shape=shape)
