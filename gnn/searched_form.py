"""The closed form as it is searched: its edges are cut as they will be, and not split into shares, to save time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy import sparse

from gnn.base import LEAST_WEIGHT, fit_base
from gnn.config import ClosedFormConfig, HistoryConfig, RelatedConfig
from gnn.history import Weighing, trend
from gnn.model import Content, Range, Space
from gnn.ranking import Recommender, RelatedRecommender
from gnn.related import Related, related_edges
from gnn.task import Task, weigh

WEIGHT = Range(LEAST_WEIGHT, 5.0, log=True)
"""Its low end leaves a relation out."""

SUPPORTS = (0, 32, 64, 128, 256)
"""Products that each product is predicted from; 0 is all of them."""

SMALL_SUPPORT = 64
"""What a look at a small support looks at first."""

MUCH_CONTENT = {
    "closed_form.brand": 0.2,
    "closed_form.category": 0.03,
    "closed_form.words": 0.5,
    "closed_form.meaning": 0.15,
}
"""Where a search of a shop whose products have few buyers ended, rounded: one more place to begin at."""

MUCH_OF_A_LINK = 0.8
"""The same of each of the shop's links."""

KEPT = 3
"""Closed forms whose edges are kept, those used last: a step that changes only what is applied to them needs no fit."""


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
            "closed_form.support": SUPPORTS,
            **{f"closed_form.{name}": WEIGHT for name in ("brand", "category", "words", "meaning")},
            **{f"closed_form.links.{name}": WEIGHT for name in self.closed_form.links},
            **(timed if self.timed else {}),
            **({"related.own": Range(0.05, 50.0, log=True)} if self.repeat else {}),
        }

    @property
    def starts(self) -> tuple[Mapping[str, float], ...]:
        """Where a search looks first beside its own settings: at a small support, at purchases alone, at much content.

        With much content the ridge is higher, and the purchases of users who bought much weigh less.
        """
        weights = [name for name in self.space if name.rpartition(".")[0] in ("closed_form", "closed_form.links")]
        weights = [name for name in weights if self.space[name] is WEIGHT]
        alone = dict.fromkeys(weights, WEIGHT.low)
        much = {name: MUCH_CONTENT.get(name, MUCH_OF_A_LINK) for name in weights}
        return (
            {"closed_form.support": SMALL_SUPPORT},
            {**alone, "closed_form.ridge": 20.0, "closed_form.row_power": 0.0},
            {**much, "closed_form.ridge": 25.0, "closed_form.row_power": 0.25, "closed_form.support": SMALL_SUPPORT},
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

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """What the closed form is fitted with, and what is applied to its edges after that."""
        names = list(self.space)
        fitted = tuple(name for name in names if name.startswith("closed_form."))
        after = tuple(name for name in names if name not in fitted)
        return (fitted, after) if after else (fitted,)

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:  # noqa: ARG002
        """Return the edges learned from what ``task`` knows; there is no chance in it."""
        factor = trend_of(task, content, self.related) ** self.related.trend
        related = sparse.csr_array(self._cut(task, content) @ sparse.diags_array(factor))
        if task.repeat:
            related += self.related.own * sparse.eye_array(related.shape[0], format="csr")
        history = weigh(task, Weighing.of(self.history, times_known=content.times_known))
        return RelatedRecommender(self.name, history, related)

    def _cut(self, task: Task, content: Content) -> sparse.csr_array:
        """Return the closed form's edges without the trend; those of the last few closed forms are kept."""
        kept: list[tuple[Task, ClosedFormConfig, int, sparse.csr_array]] = content.__dict__.setdefault("_cut", [])
        per_product = self.related.per_product
        for place, (of, form, count, related) in enumerate(kept):
            if of is task and (form, count) == (self.closed_form, per_product):
                kept.append(kept.pop(place))
                return related
        base = fit_base(task, content.features(task), self.closed_form, times_known=content.times_known)
        ever = np.ones(len(task.products))
        found = related_edges(base, per_product=per_product, factor=ever, with_shares=False)
        kept.append((task, self.closed_form, per_product, found.matrix(len(ever)).astype(np.float32)))
        del kept[:-KEPT]
        return kept[-1][-1]


def related_by_form(task: Task, content: Content, form: ClosedFormConfig, config: RelatedConfig) -> tuple[Related, str]:
    """Return the ``RELATED`` of the closed form alone, in its shares, and how it was found."""
    base = fit_base(task, content.features(task), form, times_known=content.times_known)
    related = related_edges(
        base,
        per_product=config.per_product,
        factor=trend_of(task, content, config) ** config.trend,
        own=config.own if task.repeat else 0.0,
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
