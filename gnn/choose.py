"""Chooses a few settings of the closed form on the validation part, one after the other, from short lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gnn.cartograph import Cartograph
from gnn.evaluate import evaluate
from gnn.model import Content
from gnn.task import Task
from gnn.tuned import Settings, with_settings

NO_CONTENT: Settings = {f"closed_form.{name}": 0.0 for name in ("brand", "category", "words", "meaning")}
CHANGES: Mapping[str, Settings] = {
    "purchases alone": NO_CONTENT,
    "ridge 20": {"closed_form.ridge": 20.0},
    "row power 0": {"closed_form.row_power": 0.0},
    "no trend": {"related.trend": 0.0},
}
"""What is tried → the settings that it changes."""


@dataclass(frozen=True)
class Choice:
    """What ranked best on validation, and all that was tried."""

    model: Cartograph
    tried: dict[str, float]
    """What was tried → NDCG@10 on validation of the closed form alone."""


def choose(model: Cartograph, task: Task, content: Content, *, seed: int) -> Choice:
    """Return the model with each change that lets its closed form rank the validation part better.

    A longer search over all settings is :mod:`gnn.tune`; its values can be given on the command line.
    """

    def ndcg(tried: Cartograph) -> float:
        return evaluate(tried.closed_form_alone.fit(task, content, seed=seed), task).measures["NDCG@10"].value

    best = ndcg(model)
    tried = {"as given": best}
    for name, change in CHANGES.items():
        if name == "no trend" and not content.times_known:
            continue
        changed = with_settings(model, change)
        if name == "purchases alone":
            none = {f"closed_form.links.{link}": 0.0 for link in model.closed_form.links}
            changed = with_settings(changed, none)
        if changed == model:
            continue
        tried[name] = ndcg(changed)
        if tried[name] > best:
            best, model = tried[name], changed
    return Choice(model, tried)
