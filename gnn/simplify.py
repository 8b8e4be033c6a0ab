"""Takes out of a model what does not rank the validation part better by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gnn.compare import compare
from gnn.measured import MEASURE, measure_lists
from gnn.metrics import PerUser
from gnn.model import Content, HasSimplerForms, Model
from gnn.task import Task
from gnn.tuned import Setting, with_settings

AnyModel = TypeVar("AnyModel", bound=Model)


def simplified(
    model: AnyModel, task: Task, content: Content, *, seed: int, before: Mapping[str, Setting] | None = None
) -> tuple[AnyModel, tuple[str, ...]]:
    """Return the model in the simplest of its forms that is not clearly worse, and what was taken out of it.

    The first form is the model as it was ``before`` a search, the others are its own. A form is taken unless the lower
    end of the 95 % interval of the difference in NDCG@10, user by user, lies above 0: of many settings that were tried,
    the best on a few users owe some of that to these users. A model that names no forms stays as it is.
    """
    some: Model = model
    if not isinstance(some, HasSimplerForms):
        return model, ()

    def numbers(tried: Model) -> PerUser:
        return measure_lists(tried.fit(task, content, seed=seed), task).per_user[MEASURE]

    def clearly_worse(tried: Model) -> bool:
        return compare(own, numbers(tried), seed=seed).interval.low > 0

    own, taken = numbers(model), []
    if before is not None and with_settings(model, before) != model and not clearly_worse(with_settings(model, before)):
        model = with_settings(model, before)
        own = numbers(model)
        taken.append("what the search changed")
    for name, change in _forms(model).items():
        simpler = with_settings(model, change)
        if simpler != model and not clearly_worse(simpler):
            model, own = simpler, numbers(simpler)
            taken.append(name)
    return model, tuple(taken)


def _forms(model: Model) -> Mapping[str, Mapping[str, float]]:
    return model.simpler if isinstance(model, HasSimplerForms) else {}
