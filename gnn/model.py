"""What can be fitted, searched and compared: a model is its settings, and says where good values of them may lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float

from gnn.ranking import Recommender
from gnn.similarity import Features, compressed, few_users, product_features
from gnn.task import Task
from kg.graph import Graph


@dataclass(frozen=True)
class Range:
    """The values from ``low`` to ``high``, both included."""

    low: float
    high: float
    log: bool = False
    """Whether factors count rather than differences."""

    whole: bool = False
    """Whether only whole numbers are meant."""


Space = Mapping[str, "Range | tuple[float | str, ...]"]
"""Setting → where to look for its value: a range, or the values themselves."""


@dataclass(frozen=True)
class Content:
    """What a model may know beside the task's purchases, and where it computes."""

    graph: Graph
    """Of its purchases a model reads none: those it may know are in the task."""

    text: Float[np.ndarray, "nodes dimension"]
    """The text vector of every product of the graph; zeros where there is no text."""

    times_known: bool
    """Whether ``at`` is a time, so that age can weigh."""

    device: torch.device

    def features(self, task: Task) -> Features:
        """Return what makes the task's products alike; made once for the same products."""
        kept = self.__dict__.get("_kept")
        if kept is None or not np.array_equal(kept[0], task.products):
            made = product_features(self.graph, products=task.products, text=self.text[task.products])
            if few_users(task.history.shape[0], made):
                made = {name: compressed(matrix) for name, matrix in made.items()}
            kept = task.products, made
            object.__setattr__(self, "_kept", kept)
        return kept[1]


@runtime_checkable
class Model(Protocol):
    """The settings of a recommender that can be fitted; a frozen dataclass whose fields are named in ``space``."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        ...

    @property
    def space(self) -> Space:
        """Where good settings may lie; what is not named here stays as it is."""
        ...

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the recommender fitted to what ``task`` knows; all chance comes from ``seed``."""
        ...


@runtime_checkable
class HasChance(Protocol):
    """A model that says whether chance plays a part in its fit, so that one seed is not all of it."""

    @property
    def random(self) -> bool:
        """Whether another seed gives another recommender."""
        ...


@runtime_checkable
class HasSearchForm(Protocol):
    """A model that is searched in another form: one of the same name and space that ranks alike and takes less time."""

    @property
    def to_search(self) -> Model:
        """What is searched in its place."""
        ...


@runtime_checkable
class HasStarts(Protocol):
    """A model that knows more places than one where a search may begin."""

    @property
    def starts(self) -> tuple[Mapping[str, float], ...]:
        """Settings to try first, beside the model's own; what is not named is as in these."""
        ...


@runtime_checkable
class HasParts(Protocol):
    """A model some of whose settings can be changed without fitting all of it again."""

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Settings that a step of a search changes and leaves the others as they are, the cheaper ones last."""
        ...


@runtime_checkable
class HasSimplerForms(Protocol):
    """A model with parts that have to earn their place."""

    @property
    def simpler(self) -> Mapping[str, Mapping[str, float]]:
        """What is taken out → the settings that take it out, in the order to try."""
        ...


def is_random(model: Model) -> bool:
    """Return whether another seed gives another recommender; not so for a model that says nothing of it."""
    return isinstance(model, HasChance) and model.random
