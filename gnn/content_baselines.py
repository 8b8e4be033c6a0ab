"""The plain models that know a product by its content, which cold products and cold users are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse

from gnn.list_measures import count_buyers
from gnn.model import Content, Space
from gnn.ranking import Recommender, RelatedRecommender
from gnn.similarity import centred
from gnn.task import Task


@dataclass(frozen=True)
class TextScores:
    """Scores by how near a product's text is to the texts a user bought."""

    name: str
    profiles: Float[np.ndarray, "users dimension"]
    """Unit length, or zeros where nothing a user bought has a text."""

    texts: Float[np.ndarray, "products dimension"]
    """Unit length, or zeros where a product has no text."""

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return the cosines; without a text on either side there is no score."""
        profiles = self.profiles[users]
        scores: np.ndarray = profiles @ self.texts.T
        scores[~profiles.any(1)] = -np.inf
        scores[:, ~self.texts.any(1)] = -np.inf
        return scores


@dataclass(frozen=True)
class TextOnly:
    """The cosine of each product's text vector with the mean of those a user bought, weighed by a(u, j)."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "text alone"

    @property
    def space(self) -> Space:
        """There is nothing to search."""
        return {}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:  # noqa: ARG002
        """Return the recommender; the vectors are freed of what all texts share first, or all cosines are alike."""
        texts = centred(content.text[task.products]).astype(np.float64)
        sums = task.history @ texts
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        return TextScores(self.name, sums / np.where(length > 0, length, 1.0), texts)


@dataclass(frozen=True)
class PopularityInCategory:
    """What sells in the categories a user bought in: Σ over categories c of p(c | u) · p(i | c).

    p(c | u) is the share of c in the categories of her products; p(i | c) is (buyers of i + 1) over the sum of that in
    c. All levels count, and a small category says more than a large one by itself. The 1 is what a cold product has:
    those in the same categories tie, and ties go by id, as everywhere.
    """

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "popularity in category"

    @property
    def space(self) -> Space:
        """There is nothing to search."""
        return {}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:  # noqa: ARG002
        """Return the recommender; a product in none of a user's categories has no score."""
        bought = task.bought
        in_category = _membership(content, task.products)
        popular = sparse.csr_array(in_category.T @ sparse.diags_array(count_buyers(bought) + 1.0))
        # Her categories stand in the place of her products, and what is popular there in that of what is related.
        return RelatedRecommender(self.name, _shares(sparse.csr_array(bought @ in_category)), _shares(popular))


def _membership(content: Content, products: Int[np.ndarray, " products"]) -> sparse.csr_array:
    """Return products × categories, 1 where a product is in a category."""
    edges = content.graph.in_category.filter(pl.col("source").is_in(products))
    rows = np.searchsorted(products, edges["source"].to_numpy())
    shape = (len(products), len(content.graph.categories))
    return sparse.csr_array((np.ones(len(edges)), (rows, edges["target"].to_numpy())), shape=shape)


def _shares(counts: sparse.csr_array) -> sparse.csr_array:
    """Return each row divided by its sum; an empty row stays empty."""
    total = counts.sum(axis=1)
    return sparse.csr_array(sparse.diags_array(1.0 / np.where(total > 0, total, 1.0)) @ counts)
