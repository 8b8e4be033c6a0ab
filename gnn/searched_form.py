"""The closed form as it is searched: its edges are cut as they will be, and not split into shares, to save time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from gnn.base import LEAST_WEIGHT, fit_base
from gnn.config import ClosedFormConfig, HistoryConfig, RelatedConfig
from gnn.history import Weighing, trend
from gnn.model import Content, Range, Space
from gnn.ranking import Recommender, RelatedRecommender
from gnn.related import Related, related_edges
from gnn.task import Task, weigh

WEIGHT = Range(LEAST_WEIGHT, 5.0, log=True)
"""Its low end leaves a relation out."""

MUCH_CONTENT = {
    "closed_form.brand": 0.4,
    "closed_form.category": 0.1,
    "closed_form.words": 1.2,
    "closed_form.meaning": 0.4,
}
MUCH_OF_A_LINK = 2.0
"""Where a search of a shop whose products have few buyers ended, rounded: a second place to begin at."""


@dataclass(frozen=True)
class SearchedForm:
    """The settings of the closed form alone."""

    history: HistoryConfig = field(default_factory=HistoryConfig)
    closed_form: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    related: RelatedConfig = field(default_factory=RelatedConfig)
    timed: bool = True
    """Whether what needs times is searched."""

    repeat: bool = False
    """Whether what needs repeats is searched."""

    name: str = "closed form"

    @property
    def space(self) -> Space:
        """Where its settings lie; those of the networks stay as they are in every shop."""
        timed: Space = {
            "history.exponent": Range(0.0, 1.0),
            "history.half_life_days": Range(1.0, 1000.0, log=True),
            "closed_form.exponent": Range(0.0, 1.0),
            "closed_form.half_life_days": Range(3.0, 3000.0, log=True),
            "related.trend": Range(0.0, 1.5),
            "related.trend_shrink": Range(0.5, 50.0, log=True),
            "related.trend_half_life_days": Range(5.0, 60.0, log=True),
        }
        return {
            "closed_form.ridge": Range(1.0, 200.0, log=True),
            "closed_form.row_power": Range(0.0, 0.5),
            **{f"closed_form.{name}": WEIGHT for name in ("brand", "category", "words", "meaning")},
            **{f"closed_form.links.{name}": WEIGHT for name in self.closed_form.links},
            **(timed if self.timed else {}),
            **({"related.own": Range(0.05, 50.0, log=True)} if self.repeat else {}),
        }

    @property
    def starts(self) -> tuple[Mapping[str, float], ...]:
        """Where a search looks first beside its own settings: at purchases alone, and at much content beside them.

        With much content a user's many purchases weigh less each, as one of few does, and the ridge is higher.
        """
        weights = [name for name in self.space if name.rpartition(".")[0] in ("closed_form", "closed_form.links")]
        weights = [name for name in weights if self.space[name] is WEIGHT]
        alone = dict.fromkeys(weights, WEIGHT.low)
        much = {name: MUCH_CONTENT.get(name, MUCH_OF_A_LINK) for name in weights}
        return (
            {**alone, "closed_form.ridge": 20.0, "closed_form.row_power": 0.0},
            {**much, "closed_form.ridge": 60.0, "closed_form.row_power": 0.5},
        )

    @property
    def simpler(self) -> Mapping[str, Mapping[str, float]]:
        """Content stays, at a tenth of its weight: by it products are found that nobody has bought."""
        content = {name: getattr(self.closed_form, name) for name in ("brand", "category", "words", "meaning")}
        links = {f"links.{name}": weight for name, weight in self.closed_form.links.items()}
        tenth = {f"closed_form.{name}": weight / 10 for name, weight in {**content, **links}.items()}
        own = HistoryConfig()
        timed: dict[str, Mapping[str, float]] = {
            "trend": {"related.trend": 0.0},
            "weights of purchases in X": {"closed_form.exponent": 0.0},
            "a search's a(u, j)": {"history.exponent": own.exponent, "history.half_life_days": own.half_life_days},
        }
        return {
            "nine tenths of content": tenth,
            "rows' power": {"closed_form.row_power": 0.0},
            **(timed if self.timed else {}),
        }

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:  # noqa: ARG002
        """Return the edges learned from what ``task`` knows; there is no chance in it."""
        related, _ = related_by_form(task, content, self.closed_form, self.related, with_shares=False)
        history = weigh(task, Weighing.of(self.history, times_known=content.times_known))
        return RelatedRecommender(self.name, history, related.matrix(len(task.products)))


def related_by_form(
    task: Task, content: Content, form: ClosedFormConfig, config: RelatedConfig, *, with_shares: bool
) -> tuple[Related, str]:
    """Return the ``RELATED`` of the closed form alone, and how it was found."""
    base = fit_base(task, content.features(task), form, times_known=content.times_known)
    related = related_edges(
        base,
        per_product=config.per_product,
        factor=trend_of(task, content, config) ** config.trend,
        own=config.own if task.repeat else 0.0,
        with_shares=with_shares,
    )
    return related, base.way


def trend_of(task: Task, content: Content, config: RelatedConfig) -> Float[np.ndarray, " products"]:
    """Return the trend of the products at the task's moment; where no times are known, there is none."""
    if not content.times_known:
        return np.ones(len(task.products))
    return trend(
        task.known,
        products=task.products,
        half_life_days=config.trend_half_life_days,
        shrink=config.trend_shrink,
        now=task.now,
    )
