"""The recommenders that count: what everybody buys, what everybody bought lately, what she buys herself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse

from gnn.history import FOREVER, SECONDS_PER_DAY, SECONDS_PER_WEEK, Weighing, history_weights, num_buyers
from gnn.model import Content, Range, Space
from gnn.ranking import Recommender
from gnn.task import Task
from loaders.errors import InputError

TIE = 1e-9
"""How much of itself popularity adds to a frequency at the most: it orders equal frequencies and no others."""


@dataclass(frozen=True)
class SameForAll:
    """The same list for everybody: products by their number of buyers."""

    name: str
    buyers: Float[np.ndarray, " products"]

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return the number of buyers of each product, in a row for each user."""
        return np.tile(self.buyers, (len(users), 1))


@dataclass(frozen=True)
class OwnFirst:
    """A user's own products by frequency, equal ones by popularity; then all others by popularity, below 0."""

    name: str
    frequency: sparse.csr_array
    """Users × products; 0 or more at the products she bought."""

    popular: Float[np.ndarray, " products"]
    """Number of buyers, scaled to 0 … 1 (1 is not reached)."""

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return her frequency of each product; popularity - 1 where she never bought it."""
        scores = np.tile(self.popular - 1.0, (len(users), 1))
        own = self.frequency[users].tocoo()
        scores[own.row, own.col] = own.data * (1.0 + TIE * self.popular[own.col])
        return scores


@dataclass(frozen=True)
class Popularity:
    """Products by their number of buyers in all the past."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "popularity"

    @property
    def space(self) -> Space:
        """There is nothing to choose."""
        return {}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the list of best sellers."""
        return SameForAll(self.name, _buyers(task, since=None))


@dataclass(frozen=True)
class PopularityLastWeeks:
    """Products by their number of buyers in the last weeks."""

    weeks: float = 8.0
    """How long ago a purchase may be to count."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return f"popularity, last {self.weeks:.3g} weeks"

    @property
    def space(self) -> Space:
        """From days to a year."""
        return {"weeks": Range(0.5, 52.0, log=True)}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the list of best sellers; raise an InputError where no times are known."""
        if not content.times_known:
            raise InputError(
                f"{self.name} needs times, and this shop's purchases are not split by any; leave it out, or give "
                "purchases their time (at)"
            )
        return SameForAll(self.name, _buyers(task, since=task.now - round(self.weeks * SECONDS_PER_WEEK)))


@dataclass(frozen=True)
class PersonalFrequency:
    """The products a user buys most often and bought last, for tasks with repeats; then the popular ones."""

    half_life_days: float = 60.0
    """Days after which a purchase counts half. Not used where no times are known."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "personal frequency"

    @property
    def space(self) -> Space:
        """From days to years."""
        return {"half_life_days": Range(3.0, 2000.0, log=True)}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return each user's own products by Σ 0.5 ^ (age / half-life) over her purchases of it."""
        half_life = self.half_life_days * SECONDS_PER_DAY if content.times_known else FOREVER
        frequency = history_weights(
            task.known,
            products=task.products,
            num_users=task.history.shape[0],
            weighing=Weighing(exponent=1.0, half_life=half_life),
            now=task.now,
        )
        buyers = _buyers(task, since=None)
        return OwnFirst(self.name, frequency, buyers / (buyers.max(initial=0.0) + 1.0))


def _buyers(task: Task, *, since: int | None) -> Float[np.ndarray, " products"]:
    """Return how many users bought each product of the task, from the moment ``since`` on (seconds, UTC)."""
    bought = task.known if since is None else task.known.filter(pl.col("at") >= since)
    return num_buyers(bought, products=task.products).astype(np.float64)
