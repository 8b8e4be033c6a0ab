"""Chooses, on the validation part, the closed form's settings, the trend's power and the strength of the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gnn.config import TrainConfig
from gnn.evaluate import evaluate
from gnn.fit import FittedNetwork
from gnn.ranking import RelatedRecommender
from gnn.related import Base, Recipe, Related, related_edges
from gnn.task import Task

FitBase = Callable[[Recipe], Base]


@dataclass(frozen=True)
class Choice:
    """What ranked best on validation, and all that was tried."""

    recipe: Recipe
    ndcg: float
    """NDCG@10 on validation."""

    related: Related
    """The edges; all of B counts as ``bought`` in them."""

    tried: dict[str, float]
    """What was tried → NDCG@10 on validation."""


def choose(
    task: Task,
    fit: FitBase,
    config: TrainConfig,
    *,
    fitted: FittedNetwork,
    trend: Float[np.ndarray, " products"],
) -> Choice:
    """Return the best of one setting after the other: ridge, rows' power, content, then trend, then gate.

    One base is in memory at a time; the best one is fitted again for trend and gate.
    """
    closed, related = config.closed_form, config.related
    search = _Search(task, fitted, trend)
    recipe = Recipe(
        per_product=related.per_product,
        ridge=closed.ridges[0],
        row_power=closed.row_powers[0],
        content=closed.contents[0],
        trend=related.trends[0],
    )
    choice = search.best(None, fit(recipe), {"start": recipe})
    for ridge in closed.ridges[1:]:
        choice = search.fitted_best(choice, fit, f"ridge {ridge:g}", replace(choice.recipe, ridge=ridge))
    for power in closed.row_powers[1:]:
        choice = search.fitted_best(choice, fit, f"row power {power:g}", replace(choice.recipe, row_power=power))
    for content in closed.contents[1:]:
        choice = search.fitted_best(choice, fit, f"content {content:g}", replace(choice.recipe, content=content))
    base = fit(choice.recipe)
    trends = {f"trend {power:g}": replace(choice.recipe, trend=power) for power in related.trends[1:]}
    choice = search.best(choice, base, trends)
    gates = {f"gate {gate:g}": replace(choice.recipe, gate=gate) for gate in related.gates if gate}
    return search.best(choice, base, gates)


@dataclass(frozen=True)
class _Search:
    task: Task
    fitted: FittedNetwork
    trend: Float[np.ndarray, " products"]

    def fitted_best(self, before: Choice, fit: FitBase, name: str, recipe: Recipe) -> Choice:
        """Return the better of ``before`` and the recipe, on a base of its own that is gone afterwards."""
        return self.best(before, fit(recipe), {name: recipe})

    def best(self, before: Choice | None, base: Base, recipes: Mapping[str, Recipe]) -> Choice:
        """Return the best of ``before`` and these recipes on ``base``."""
        best, tried = before, dict(before.tried) if before else {}
        gated = any(recipe.gate for recipe in recipes.values())
        edges = related_edges(
            base,
            list(recipes.values()),
            fitted=self.fitted if gated else None,
            trend=self.trend,
            with_shares=False,
        )
        for (name, recipe), related in zip(recipes.items(), edges, strict=True):
            recommender = RelatedRecommender(name, self.task.history, related.matrix(len(self.task.products)))
            tried[name] = evaluate(recommender, self.task).measures["NDCG@10"].value
            if best is None or tried[name] > best.ndcg:
                best = Choice(recipe, tried[name], related, tried)
        if best is None:
            raise ValueError("no recipe to choose from")
        return replace(best, tried=tried)
