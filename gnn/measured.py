"""Measures a model on a task: what one fit costs, its lists in numbers, and the mean over fits by several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnn.cost import Cost, costed
from gnn.list_measures import of_all_lists, per_list
from gnn.metrics import Mean, PerUser, mean, per_user
from gnn.model import Content, Model
from gnn.ranking import Ranked, Recommender, rank, spread
from gnn.slices import BUYER_SLICES, by_purchases, recall_by_buyers
from gnn.task import Task, only_rows

K = 10
"""Length of the lists."""

MEASURE = "NDCG@10"


@dataclass(frozen=True)
class Lists:
    """One recommender's lists of :data:`K` products for a task, and their numbers."""

    ranked: Ranked

    per_user: Mapping[str, PerUser]
    """Accuracy, what each list is like, and recall by the buyers of the product (:func:`recall_of`)."""

    of_all: Mapping[str, float]
    """What only all lists together have, such as coverage."""


@dataclass(frozen=True)
class Fit:
    """One fit by one seed."""

    seed: int
    seconds: float

    memory_mb: float
    """Most resident memory of the whole process during the fit (:attr:`gnn.cost.Cost.memory_mb`)."""

    ndcg: float
    """Mean NDCG@10 over users."""

    at_once: int = 1
    """How many fits shared the cores, each in a process of its own."""


@dataclass(frozen=True)
class Measured:
    """A model on one task: means over users of each user's mean over the fits."""

    measures: Mapping[str, Mean]
    """Accuracy, and what the lists are like on average: novelty, tail share, popularity."""

    of_all: Mapping[str, float]
    """What only all lists together have, such as coverage; mean over the fits."""

    by_buyers: Mapping[str, Mean]
    """Slice of the relevant pairs by the buyers of their product → recall@10, pooled over pairs."""

    by_purchases: Mapping[str, Mean]
    """Slice of the users by the products they had bought → NDCG@10."""

    fits: tuple[Fit, ...]

    @property
    def spread(self) -> float:
        """Standard deviation of NDCG@10 over the fits; NaN for one fit."""
        return float(np.std([fit.ndcg for fit in self.fits], ddof=1)) if len(self.fits) > 1 else float("nan")

    @property
    def seconds(self) -> float:
        """Mean over the fits."""
        return float(np.mean([fit.seconds for fit in self.fits]))

    @property
    def memory_mb(self) -> float:
        """The largest of the fits."""
        return max(fit.memory_mb for fit in self.fits)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measured:
        """Return what was written as plain values, None standing for NaN."""
        means = {
            group: {name: Mean(**_numbers(each)) for name, each in values[group].items()}
            for group in ("measures", "by_buyers", "by_purchases")
        }
        fits = tuple(Fit(**_numbers(each)) for each in values["fits"])
        return cls(of_all=_numbers(values["of_all"]), fits=fits, **means)


def recall_of(buyers: str) -> str:
    """Return the name of the recall of a slice of :data:`gnn.slices.BUYER_SLICES` among a user's numbers."""
    return f"Recall@{K}, {buyers}"


def fit_costed(model: Model, task: Task, content: Content, *, seed: int) -> tuple[Recommender, Cost]:
    """Return the fitted model and what the fit cost; what makes products alike is made before, once for all models."""
    content.features(task)
    with costed() as cost:
        recommender = model.fit(task, content, seed=seed)
    return recommender, cost


def measure_lists(recommender: Recommender, task: Task) -> Lists:
    """Return the lists by full ranking over all products of the task, and their numbers."""
    users, relevant, bought = task.measured, task.relevant, task.bought
    ranked = rank(recommender, seen=task.seen, k=K, users=users)
    if len(users) < bought.shape[0]:
        # In the place of each user: who is not measured has no list, and nothing to find.
        ranked, relevant = spread(ranked, users, num_users=bought.shape[0]), only_rows(relevant, users)
    slices = recall_by_buyers(ranked.products, relevant, bought=bought, k=K)
    return Lists(
        ranked=ranked,
        per_user={
            **per_user(ranked.products, relevant, cutoffs=(K,)),
            **per_list(ranked.products, bought, cutoffs=(K,)),
            **{recall_of(name): each.per_user for name, each in slices.items()},
        },
        of_all=of_all_lists(ranked.products, bought, cutoffs=(K,)),
    )


def over_fits(
    lists: Sequence[Lists], costs: Sequence[Cost], task: Task, *, seeds: Sequence[int]
) -> tuple[Measured, dict[str, PerUser]]:
    """Return the means over users, and the means over fits for each user that they are made of."""
    users = {name: np.mean([each.per_user[name] for each in lists], axis=0) for name in lists[0].per_user}
    of_buyers = {name: recall_of(name) for name in BUYER_SLICES}
    purchases = by_purchases({MEASURE: users[MEASURE]}, task.bought)
    measured = Measured(
        measures={name: mean(values) for name, values in users.items() if name not in of_buyers.values()},
        of_all={name: float(np.mean([each.of_all[name] for each in lists])) for name in lists[0].of_all},
        by_buyers={name: mean(users[recall]) for name, recall in of_buyers.items()},
        by_purchases={name: each.measures[MEASURE] for name, each in purchases.items()},
        fits=tuple(
            Fit(seed, cost.seconds, cost.memory_mb, mean(each.per_user[MEASURE]).value, cost.at_once)
            for seed, cost, each in zip(seeds, costs, lists, strict=True)
        ),
    )
    return measured, users


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in values.items()}
