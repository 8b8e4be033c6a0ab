"""The plain recommenders every table shows beside ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse

from gnn.fit import FittedNetwork

SECONDS_PER_WEEK = 7 * 86_400


@dataclass(frozen=True)
class Popularity:
    """The same list for everybody: products by their number of buyers."""

    name: str
    buyers: Float[np.ndarray, " products"]

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return the number of buyers of each product, in a row for each user."""
        return np.tile(self.buyers, (len(users), 1))


@dataclass(frozen=True)
class NetworkAlone:
    """The graph network's own scores: cosine of the user's summed queries with each key."""

    name: str
    history: sparse.csr_array
    fitted: FittedNetwork

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return Σ a(u, j) q(j) · k(i); its length is the same for all of a user's products, so it is left as it is."""
        profile = self.history[users] @ self.fitted.queries.astype(np.float64)
        scores: np.ndarray = profile @ self.fitted.keys.T.astype(np.float64)
        return scores


def popularity(
    bought: pl.DataFrame, *, products: Int[np.ndarray, " products"], weeks: int | None, now: int
) -> Popularity:
    """Return the popularity of ``products`` among the buyers of all the past, or of its last ``weeks``."""
    recent = bought if weeks is None else bought.filter(pl.col("at") >= now - weeks * SECONDS_PER_WEEK)
    counted = recent.unique(["user", "product"]).group_by("product").len().filter(pl.col("product").is_in(products))
    buyers = np.zeros(len(products))
    buyers[np.searchsorted(products, counted["product"].to_numpy())] = counted["len"].to_numpy()
    return Popularity(name="popularity" if weeks is None else f"popularity, last {weeks} weeks", buyers=buyers)
