"""The neighbourhood recommenders: products by what their buyers share, as co-purchase cosine or as a random walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse

from gnn.co_purchase import BLOCK_PRODUCTS, CoPurchase
from gnn.model import Content, Range, Space
from gnn.ranking import Recommender, RelatedRecommender
from gnn.related import Rows, entries, largest_entries
from gnn.task import Task

NEIGHBOURS = Range(20.0, 2000.0, log=True, whole=True)


@dataclass(frozen=True)
class ItemKNN:
    """The co-purchase cosine, shrunk (Sarwar et al. 2001; its shrinkage as in Ferrari Dacrema et al. 2019)."""

    neighbours: int = 200
    """Products kept for each product, the nearest."""

    shrink: float = 10.0
    """Buyers added to the root of the two products' buyers; more trusts rare products less."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "ItemKNN"

    @property
    def space(self) -> Space:
        """As many neighbours as a long list has, shrinkage from none to a popular product's buyers."""
        return {"neighbours": NEIGHBOURS, "shrink": Range(0.1, 300.0, log=True)}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the sum over her purchases of a(u, j) times the cosine."""
        blocks = CoPurchase(task.bought, shrink=self.shrink).blocks()
        return RelatedRecommender(self.name, task.history, nearest(blocks, neighbours=self.neighbours))


@dataclass(frozen=True)
class RP3beta:
    """A walk product → buyer → product, its end divided by popularity (Paudel et al. 2017, section 4)."""

    alpha: float = 0.6
    """Power of each step's probability; 1 is the walk itself."""

    beta: float = 0.3
    """Power of the popularity that the end of the walk is divided by."""

    neighbours: int = 500
    """Products kept for each product, the likeliest."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "RP3beta"

    @property
    def space(self) -> Space:
        """Powers from none to more than the plain walk's."""
        return {"alpha": Range(0.0, 2.0), "beta": Range(0.0, 1.0), "neighbours": NEIGHBOURS}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the sum over her purchases of a(u, j) times the walk's weight."""
        walk = walk_blocks(task.bought, alpha=self.alpha, beta=self.beta)
        return RelatedRecommender(self.name, task.history, nearest(walk, neighbours=self.neighbours))


def walk_blocks(
    bought: sparse.csr_array, *, alpha: float, beta: float
) -> Iterator[tuple[int, Float[np.ndarray, "rows products"]]]:
    """Yield the first row of each block and its rows of the walk, their diagonal 0.

    W(j, i) = Σ over the buyers u of both of (|j| · |u|) ^ -alpha · |i| ^ -beta, where |·| counts buyers and products.
    """
    by_user = bought.astype(np.float32)
    products_of, buyers_of = (np.maximum(np.asarray(by_user.sum(axis)).ravel(), 1.0) for axis in (1, 0))
    out_of_users = sparse.csr_array(
        sparse.diags_array(products_of**-alpha) @ by_user @ sparse.diags_array(buyers_of**-beta)
    )
    out_of_products = sparse.csr_array(sparse.diags_array(buyers_of**-alpha) @ by_user.T)
    for start in range(0, bought.shape[1], BLOCK_PRODUCTS):
        rows = (out_of_products[start : start + BLOCK_PRODUCTS] @ out_of_users).toarray()
        rows[np.arange(len(rows)), start + np.arange(len(rows))] = 0.0
        yield start, rows


def nearest(blocks: Iterable[tuple[int, Rows]], *, neighbours: int) -> sparse.csr_array:
    """Return the ``neighbours`` largest of each row, none of which may be below 0, products × products."""
    parts = []
    for _, rows in blocks:
        place, column = largest_entries(rows, neighbours)
        values = entries(rows, place, column).astype(np.float64)
        parts.append(sparse.csr_array((values, (place, column)), shape=rows.shape))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))
