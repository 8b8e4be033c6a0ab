"""EASE, the strongest plain baseline, and EASE with the graph's brands and categories: the closed form on 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from gnn.closed_form import ClosedForm, Similarity, closed_form, exact_way
from gnn.model import Content, Range, Space
from gnn.ranking import Recommender
from gnn.similarity import LARGEST_EXACT, brand_and_category, links_of
from gnn.task import Task
from loaders.errors import InputError

RIDGE = Range(0.3, 300.0, log=True)
WEIGHT = Range(0.003, 10.0, log=True)


@dataclass(frozen=True)
class ClosedFormRecommender:
    """Scores by the whole of B, of which no entry is cut."""

    name: str
    history: sparse.csr_array
    fitted: ClosedForm

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return Σ a(u, j) B(j, i); nothing for a user who bought nothing."""
        history = self.history[users]
        scores = self.fitted.scores(history)
        scores[np.diff(history.indptr) == 0] = -np.inf
        return scores


@dataclass(frozen=True)
class EASE:
    """Product-product weights that rebuild the purchases under a ridge, in closed form (Steck 2019)."""

    ridge: float = 20.0
    """Regularisation in mean diagonals of XᵀX (buyers of a product on average), so that one range fits every shop."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "EASE"

    @property
    def space(self) -> Space:
        """Three powers of ten."""
        return {"ridge": RIDGE}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return EASE on who bought what; raise an InputError where the shop is too large for it."""
        return _fit(self.name, task, {}, {}, ridge=self.ridge)


@dataclass(frozen=True)
class EASERelations:
    """EASE whose Gram matrix also has who shares a brand and categories (Jeunen, Van Balen and Goethals 2020)."""

    ridge: float = 20.0
    """Regularisation in mean diagonals of XᵀX."""

    brand: float = 0.5
    """Weight of the brands' similarity (its diagonal is 1) in mean diagonals of XᵀX."""

    category: float = 0.1
    """Weight of the categories' similarity (its diagonal is 1) in mean diagonals of XᵀX."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "EASE + brand and category"

    @property
    def space(self) -> Space:
        """From next to nothing to far more than the purchases."""
        return {"ridge": RIDGE, "brand": WEIGHT, "category": WEIGHT}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return collective EASE of the two relations; raise an InputError where the shop is too large for it."""
        features = brand_and_category(content.graph, products=task.products)
        return _fit(self.name, task, features, {"brand": self.brand, "category": self.category}, ridge=self.ridge)


@dataclass(frozen=True)
class EASELinks(EASERelations):
    """EASE whose Gram matrix has who shares a brand, categories, and the products that links of the shop lead to."""

    link: float = 0.3
    """Weight of each link's similarity (its diagonal is 1) in mean diagonals of XᵀX."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "EASE + brand, category and links"

    @property
    def space(self) -> Space:
        """As that of brand and category."""
        return {**super().space, "link": WEIGHT}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return collective EASE of all relations; raise an InputError where the shop is too large for it."""
        links = links_of(content.graph, products=task.products)
        features = {**brand_and_category(content.graph, products=task.products), **links}
        weights = {"brand": self.brand, "category": self.category, **dict.fromkeys(links, self.link)}
        return _fit(self.name, task, features, weights, ridge=self.ridge)


def _fit(
    name: str, task: Task, features: Mapping[str, sparse.csr_array], weights: Mapping[str, float], *, ridge: float
) -> ClosedFormRecommender:
    bought = task.bought
    mean_diagonal = bought.nnz / max(bought.shape[1], 1)
    similarities = [Similarity(each, matrix, weights[each] * mean_diagonal) for each, matrix in features.items()]
    if exact_way(bought, similarities) is None:
        raise InputError(
            f"{name} inverts a matrix of {bought.shape[1]} products, and {LARGEST_EXACT} are the most that fit; leave "
            "it out, or give a higher --min-buyers"
        )
    # Without any purchase the ridge alone is left, and must not be 0.
    fitted = closed_form(bought, similarities, ridge=ridge * (mean_diagonal or 1.0))
    return ClosedFormRecommender(name, task.history, fitted)
