"""Makes tasks cold on purpose: products that lost all their purchases, users who show only their first ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy import sparse

from gnn.history import Weighing, binary, history_weights
from gnn.ranking import Recommender
from gnn.task import Task, only_rows
from loaders.errors import InputError


@dataclass(frozen=True)
class ColdProducts:
    """A task in which some products have no purchases, and which ones they are."""

    task: Task
    cold: Bool[np.ndarray, " products"]
    """True for the cold ones of ``task.products``."""


@dataclass(frozen=True)
class Among:
    """The same recommender with only some products to choose from."""

    recommender: Recommender
    candidates: Bool[np.ndarray, " products"]

    @property
    def name(self) -> str:
        """What result tables call it."""
        return self.recommender.name

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return its scores; -inf for every product that is no candidate."""
        return np.where(self.candidates, self.recommender.scores(users), -np.inf)


def cold_products(task: Task, *, share: float = 0.1, seed: int = 0) -> ColdProducts:
    """Return the task without any purchase of a seeded ``share`` of its products, which stay there to be ranked.

    Relevant are all purchases of cold products: those hidden here and those the task was to find. Purchases of other
    products are not relevant: the question is whether a product is found that nobody has bought yet. Fit once and ask
    twice: with the recommender as it is, cold products compete with all others, which is what a shop sees; with it
    :class:`Among` the cold ones, only their order among themselves counts, which shows what is known of them even where
    a warm product always scores higher. It is filling in and no forecast: other products keep purchases from
    after the hidden ones.
    """
    size = len(task.products)
    if size < 2:
        raise InputError(f"{size} products can be ranked, and cold ones need others beside them; give more purchases")
    count = min(max(1, round(share * size)), size - 1)
    cold = np.zeros(size, dtype=bool)
    cold[np.random.default_rng(seed).choice(size, size=count, replace=False)] = True
    relevant = _union(_columns(task.relevant, cold), _columns(task.bought, cold))
    return ColdProducts(
        task=replace(
            task,
            name=f"{task.name}, cold products",
            known=task.known.filter(~pl.col("product").is_in(task.products[cold])),
            history=_columns(task.history, ~cold),
            relevant=relevant,
        ),
        cold=cold,
    )


def cold_users(
    task: Task, *, weighing: Weighing, shown: Sequence[int] = (1, 2, 3), share: float = 0.1, seed: int = 0
) -> dict[int, Task]:
    """Return a task for each number in ``shown``: a seeded sample of users is known by her first so many products.

    The same users in all tasks, drawn from those with more products than the largest number; the others keep all they
    bought, to be learned from, and are not measured. A product is shown by its first purchase; of products that were
    first bought at the same time, or where no times are known, chance says which comes first. Relevant is all else the
    user bought, hidden here or to be found in the task; what was shown only if the task is to ``repeat``.
    """
    rng = np.random.default_rng(seed)
    able = np.flatnonzero(np.diff(task.history.indptr) > max(shown))
    if not len(able):
        raise InputError(f"no user bought more than {max(shown)} products before {task.name}; give more purchases")
    users = rng.choice(able, size=max(1, round(share * len(able))), replace=False)
    is_cold = pl.col("user").is_in(users)
    own = task.known.filter(is_cold & pl.col("product").is_in(task.products))
    first = (
        own.with_columns(draw=pl.Series(rng.random(len(own))))
        .sort("user", "at", "draw")
        .unique(["user", "product"], keep="first", maintain_order=True)
        .with_columns(place=pl.int_range(pl.len()).over("user"))
    )
    later = only_rows(task.relevant, users)
    tasks = {}
    for count in shown:
        kept = first.filter(pl.col("place") < count).select(task.known.columns)
        hidden = own.join(kept, on=["user", "product", "at"], how="anti")
        relevant = _union(later, _pairs(hidden, task))
        known = pl.concat([task.known.filter(~is_cold), kept])
        tasks[count] = replace(
            task,
            name=f"{task.name}, first {count} shown",
            known=known,
            history=history_weights(
                known, products=task.products, num_users=task.history.shape[0], weighing=weighing, now=task.now
            ),
            relevant=relevant if task.repeat else _without(relevant, _pairs(kept, task)),
        )
    return tasks


def _pairs(bought: pl.DataFrame, task: Task) -> sparse.csr_array:
    """Return users × products, 1 where ``bought`` has at least one row."""
    pairs = bought.select("user", "product").unique().sort("user", "product")
    columns = np.searchsorted(task.products, pairs["product"].to_numpy())
    return sparse.csr_array((np.ones(len(pairs)), (pairs["user"].to_numpy(), columns)), shape=task.history.shape)


def _columns(matrix: sparse.csr_array, kept: Bool[np.ndarray, " products"]) -> sparse.csr_array:
    """Return the same matrix, empty outside the columns that are kept."""
    return _stored(matrix @ sparse.diags_array(kept.astype(np.float64)))


def _union(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    return binary(_stored(one + other))


def _without(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    return _stored(one - one * other)


def _stored(matrix: sparse.sparray) -> sparse.csr_array:
    """Return the matrix without entries that are 0: an entry that is stored counts as a purchase."""
    found = sparse.csr_array(matrix)
    found.eliminate_zeros()
    found.sort_indices()
    return found
