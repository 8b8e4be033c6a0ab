"""Chooses, on the validation part, how strong the network's gate, the trend and the network's proposals are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gnn.config import RelatedConfig
from gnn.evaluate import Task, evaluate
from gnn.fit import FittedNetwork
from gnn.ranking import RelatedRecommender
from gnn.related import Recipe, Related, related_edges


@dataclass(frozen=True)
class Choice:
    """The recipe that ranked best on validation, and all that were tried."""

    recipe: Recipe
    ndcg: float
    """NDCG@10 of the recipe on validation."""

    related: Related
    """The edges of the recipe."""

    tried: dict[str, float]
    """What was tried → NDCG@10 on validation."""


def choose_recipe(
    task: Task, fitted: FittedNetwork, config: RelatedConfig, *, trend: Float[np.ndarray, " products"]
) -> Choice:
    """Return the best recipe: the best gate, with it the best trend, with both the best proposals.

    Proposals are tried as a share of the mean row weight, so that one list of shares fits every shop.
    """

    def best_of(recipes: Sequence[Recipe], names: Sequence[str], before: Choice | None) -> Choice:
        best, tried = before, dict(before.tried) if before else {}
        edges = related_edges(task.seen, recipes, fitted=fitted, trend=trend) if recipes else []
        for recipe, related, name in zip(recipes, edges, names, strict=True):
            recommender = RelatedRecommender(name, task.history, related.matrix(len(task.products)))
            tried[name] = evaluate(recommender, task).measures["NDCG@10"].value
            if best is None or tried[name] > best.ndcg:
                best = Choice(recipe=recipe, ndcg=tried[name], related=related, tried=tried)
        if best is None:
            raise ValueError("no recipe to choose from")
        return replace(best, tried=tried)

    plain = Recipe(per_product=config.per_product, shrink=config.shrink)
    gates = [replace(plain, gate=gate) for gate in config.gates]
    choice = best_of(gates, [f"gate {recipe.gate:g}" for recipe in gates], None)
    trends = [replace(choice.recipe, trend=power) for power in config.trends if power]
    choice = best_of(trends, [f"trend {recipe.trend:g}" for recipe in trends], choice)
    row_weight = float(np.abs(choice.related.weight).sum() / max(len(np.unique(choice.related.source)), 1))
    shares = [share for share in config.proposals if share]
    proposals = [replace(choice.recipe, proposal=share * row_weight) for share in shares]
    return best_of(proposals, [f"proposals {share:g}" for share in shares], choice)
