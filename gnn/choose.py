"""Chooses, on the validation part, how much the network gates co-purchases and proposes edges of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gnn.config import RelatedConfig
from gnn.evaluate import OURS, Task, evaluate
from gnn.fit import FittedNetwork
from gnn.ranking import RelatedRecommender
from gnn.related import Recipe, Related, related_edges


@dataclass(frozen=True)
class Choice:
    """The recipe that ranked best on validation, and all that were tried."""

    recipe: Recipe
    tried: dict[str, float]
    """What was tried → NDCG@10 on validation."""

    related: Related
    """The edges of the chosen recipe."""


def choose_recipe(task: Task, fitted: FittedNetwork, config: RelatedConfig) -> Choice:
    """Return the best recipe: first the gate alone, then proposals on top of the best gate.

    A proposal is tried as a share of the mean row weight, so that one list of shares fits every shop.
    """
    seen = task.seen
    best: tuple[float, Recipe, Related] | None = None
    tried: dict[str, float] = {}

    def attempt(recipe: Recipe, name: str) -> None:
        nonlocal best
        related = related_edges(seen, recipe, fitted=fitted)
        recommender = RelatedRecommender(OURS, task.history, related.matrix(len(task.products)))
        tried[name] = evaluate(recommender, task).measures["NDCG@10"].value
        if best is None or tried[name] > best[0]:
            best = (tried[name], recipe, related)

    for gate in config.gates:
        attempt(Recipe(per_product=config.per_product, shrink=config.shrink, gate=gate), f"gate {gate:g}")
    if best is None:
        raise ValueError("no gate to try")
    _, gated, edges = best
    row_weight = float(np.abs(edges.weight).sum() / max(len(np.unique(edges.source)), 1))
    for share in config.proposals:
        if share:
            attempt(replace(gated, proposal=share * row_weight), f"gate {gated.gate:g}, proposals {share:g}")
    return Choice(recipe=best[1], tried=tried, related=best[2])
