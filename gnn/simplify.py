"""Takes out of a model what does not rank the validation part better by more than chance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

import numpy as np

from gnn.measured import MEASURE, measure_lists
from gnn.metrics import PerUser
from gnn.model import Content, HasSimplerForms, Model
from gnn.task import Task
from gnn.tuned import Setting, with_settings

CLEAR = 2.0
"""Standard errors that a difference has to have: a 95 % interval, as what the networks add has to clear.

By one (the rule of Breiman et al. 1984) a search on 169 users of the planted shop kept a trend that nobody planted.
"""

CLEAR_OF_BEFORE = 1.0
"""The same for all that a search changed: settings as they come are no simpler than others, only not chosen by luck."""

AnyModel = TypeVar("AnyModel", bound=Model)


def simplified(
    model: AnyModel,
    task: Task,
    content: Content,
    *,
    seed: int,
    before: Mapping[str, Setting] | None = None,
    keep: Collection[str] = (),
) -> tuple[AnyModel, tuple[str, ...]]:
    """Return the simplest form of the model that it is not clearly better than, and what was taken out of it.

    The first form is the model as it was ``before`` a search, the others are its own, one after the other. A form is
    taken if the mean of NDCG@10 falls from the model's own by less than :data:`CLEAR` standard errors of the
    difference (:data:`CLEAR_OF_BEFORE` for the model before the search), user by user: of many settings that were
    tried, the best on a few users owe some of that to these users.
    All forms are compared with the model itself, so that small losses do not add up. A model that names no forms stays
    as it is, and so do the settings to ``keep``.
    """
    some: Model = model
    if not isinstance(some, HasSimplerForms):
        return model, ()

    def numbers(tried: Model) -> PerUser:
        return measure_lists(tried.fit(task, content, seed=seed), task).per_user[MEASURE]

    best, taken = numbers(model), []

    def as_good(tried: Model, clear: float) -> bool:
        differences = (best - numbers(tried))[~np.isnan(best)]
        return bool(differences.mean() <= clear * differences.std() / np.sqrt(len(differences)))

    earlier = model if before is None else with_settings(model, before)
    if earlier != model and as_good(earlier, CLEAR_OF_BEFORE):
        model = earlier
        taken.append("what the search changed")
    for name, change in _forms(model).items():
        simpler = with_settings(model, {each: value for each, value in change.items() if each not in keep})
        if simpler != model and as_good(simpler, CLEAR):
            model = simpler
            taken.append(name)
    return model, tuple(taken)


def _forms(model: Model) -> Mapping[str, Mapping[str, float]]:
    return model.simpler if isinstance(model, HasSimplerForms) else {}
