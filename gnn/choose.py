"""Chooses on the validation part: settings of the closed form from a short list, and whether the networks help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gnn.cartograph import Cartograph, FittedCartograph, Record
from gnn.compare import Comparison, compare
from gnn.evaluate import evaluate
from gnn.measured import MEASURE, measure_lists, recall_of
from gnn.metrics import PerUser
from gnn.model import Content
from gnn.searched_form import SearchedForm
from gnn.simplify import simplified
from gnn.task import Task
from gnn.tuned import Settings, setting_of, with_settings

CHANGES: Mapping[str, Settings] = {
    "ridge 20": {"closed_form.ridge": 20.0},
    "row power 0": {"closed_form.row_power": 0.0},
}
"""What is tried → the settings that it changes."""

TAIL = "tail (at most 5 buyers)"


@dataclass(frozen=True)
class Choice:
    """What ranked best on validation, and all that was tried."""

    model: Cartograph
    tried: dict[str, float]
    """What was tried → NDCG@10 on validation of the closed form alone."""

    taken_out: tuple[str, ...]
    """What did not help by more than chance."""

    def in_words(self) -> str:
        """Return what was tried, in percent, and what was taken out."""
        tried = ", ".join(f"{name} {100 * ndcg:.2f}" for name, ndcg in self.tried.items())
        out = f"; no clear help, so taken out: {', '.join(self.taken_out)}" if self.taken_out else ""
        return f"by a few tries with the closed form ({MEASURE} % on validation): {tried}{out}"


@dataclass(frozen=True)
class Verdict:
    """Whether what is added to a model makes it better: by more than chance overall, and not at the tail's cost."""

    overall: Comparison
    """NDCG@10 of the whole less the model without the part."""

    tail: Comparison
    """The same of the recall@10 of what has at most 5 buyers."""

    @property
    def helps(self) -> bool:
        """Whether the interval of the first lies above 0, and that of the second not below."""
        return self.overall.interval.low > 0 and not self.tail.interval.high < 0

    def __str__(self) -> str:
        """Return both differences in percent with their 95 % intervals."""
        parts = [
            f"{name} {100 * each.difference:+.2f} ({100 * each.interval.low:+.2f} to {100 * each.interval.high:+.2f})"
            for name, each in ((MEASURE, self.overall), ("recall@10 of the tail", self.tail))
            # A shop without a tail has no number for it.
            if each.users
        ]
        return f"{'kept' if self.helps else 'left out'}: {', '.join(parts)}"


def choose_closed_form(model: Cartograph, task: Task, content: Content, *, seed: int) -> Choice:
    """Return the model with what lets its closed form rank the validation part better, and without what does not.

    A few looks, for a shop that nobody searched the settings of; :mod:`gnn.tune` looks longer, at all of them.
    """
    best = model.to_search

    def ndcg(tried: SearchedForm) -> float:
        return evaluate(tried.fit(task, content, seed=seed), task).measures[MEASURE].value

    tried = {"as given": ndcg(best)}
    for name, change in CHANGES.items():
        changed = with_settings(best, change)
        if changed != best:
            tried[name] = ndcg(changed)
            best = changed if tried[name] == max(tried.values()) else best
    best, taken_out = simplified(best, task, content, seed=seed)
    found = {name: setting_of(best, name) for name in best.space}
    return Choice(with_settings(model, found), tried, taken_out)


@dataclass(frozen=True)
class Networks:
    """The model with and without its networks, both learned from the same past, and which is to be used."""

    model: Cartograph
    """The one to be used, not fitted."""

    whole: FittedCartograph
    alone: FittedCartograph
    """The closed form."""

    why: str
    """What was decided, in words."""


def choose_networks(
    model: Cartograph,
    task: Task,
    content: Content,
    *,
    wanted: Literal["auto", "always", "never"],
    known: tuple[bool, str] | None = None,
    seed: int,
    record: Record,
) -> Networks:
    """Return the model with its networks if that is ``wanted`` or they help on validation, else its closed form.

    ``known`` says what was found earlier on this shop, and why: networks that did not help are not trained again.
    """
    alone = model.closed_form_alone.fit(task, content, seed=seed)
    if wanted == "never" or not model.edges.passes:
        return Networks(model.closed_form_alone, alone, alone, "left out, as asked for")
    if wanted == "auto" and known and not known[0]:
        return Networks(model.closed_form_alone, alone, alone, f"found earlier: {known[1]}")
    whole = model.fit(task, content, seed=seed, record=record)
    found = verdict(measure_lists(whole, task).per_user, measure_lists(alone, task).per_user, seed=seed)
    if wanted == "always":
        return Networks(model, whole, alone, f"kept, as asked for; else they were {found}")
    return Networks(model if found.helps else model.closed_form_alone, whole, alone, str(found))


def verdict(whole: Mapping[str, PerUser], without: Mapping[str, PerUser], *, seed: int) -> Verdict:
    """Return whether the whole is better than the model without the part, by the numbers of each user on validation."""
    tail = recall_of(TAIL)
    return Verdict(
        overall=compare(whole[MEASURE], without[MEASURE], seed=seed),
        tail=compare(whole[tail], without[tail], seed=seed),
    )
