"""Chooses on the validation part: settings of the closed form from a short list, and whether the networks help."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gnn.cartograph import NOT_KEPT, Cartograph, FittedCartograph
from gnn.checkpoint import Checkpoints
from gnn.compare import Comparison, compare
from gnn.config import EdgeConfig, is_given
from gnn.evaluate import evaluate
from gnn.measured import MEASURE, Lists, measure_lists, recall_of
from gnn.metrics import PerUser
from gnn.model import Content
from gnn.searched_form import SMALL_SUPPORT, SearchedForm
from gnn.simplify import simplified
from gnn.task import Task
from gnn.tuned import NetworksFound, Settings, setting_of, with_settings

CHANGES: Mapping[str, Settings] = {
    "ridge 20": {"closed_form.ridge": 20.0},
    "row power 0": {"closed_form.row_power": 0.0},
    f"support {SMALL_SUPPORT}": {"closed_form.support": SMALL_SUPPORT},
}
"""What is tried → the settings that it changes."""

TAIL = "tail (at most 5 buyers)"

TAIL_POWERS = (0.0, 0.15, 0.25, 0.35)
"""What :attr:`gnn.config.EdgeConfig.tail_power` is tried with, one after the other, until head and tail both gain."""


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
    def tail_pays(self) -> bool:
        """Whether the interval of the second lies below 0."""
        return self.tail.interval.high < 0

    @property
    def helps(self) -> bool:
        """Whether the interval of the first lies above 0, and the tail does not pay."""
        return self.overall.interval.low > 0 and not self.tail_pays

    @property
    def both_gain(self) -> bool:
        """Whether both intervals lie above 0, or the first does and there is no tail."""
        return self.helps and (not self.tail.users or self.tail.interval.low > 0)

    @property
    def standing(self) -> tuple[bool, bool, bool]:
        """What one verdict is better than another by: the larger, the better."""
        return self.helps, not self.tail_pays, self.both_gain

    def __str__(self) -> str:
        """Return both differences in percent with their 95 % intervals."""
        parts = [
            f"{name} {100 * each.difference:+.2f} ({100 * each.interval.low:+.2f} to {100 * each.interval.high:+.2f})"
            for name, each in ((MEASURE, self.overall), ("recall@10 of the tail", self.tail))
            # A shop without a tail has no number for it.
            if each.users
        ]
        return f"{'kept' if self.helps else 'left out'}: {', '.join(parts)}"


def choose_closed_form(
    model: Cartograph, task: Task, content: Content, *, given: Collection[str] = (), seed: int
) -> Choice:
    """Return the model with what lets its closed form rank the validation part better, and without what does not.

    A few looks, for a shop that nobody searched the settings of; :mod:`gnn.tune` looks longer, at all of them. What is
    ``given`` stays; nothing else is tried for what is not as settings are at first.
    """
    first = best = model.to_search

    plain = Cartograph(repeat=model.repeat).for_graph(content.graph, timed=model.timed).to_search

    def kept(name: str) -> bool:
        return is_given(name, given) or setting_of(first, name) != setting_of(plain, name)

    def ndcg(tried: SearchedForm) -> float:
        return evaluate(tried.fit(task, content, seed=seed), task).measures[MEASURE].value

    tried = {"as given": ndcg(best)}
    for name, change in CHANGES.items():
        if not any(kept(each) for each in change):
            changed = with_settings(best, change)
            tried[name] = ndcg(changed)
            best = changed if tried[name] == max(tried.values()) else best
    stays = {name for name in best.space if is_given(name, given)}
    best, taken_out = simplified(best, task, content, seed=seed, keep=stays)
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

    @property
    def chosen(self) -> FittedCartograph:
        """The one to be used, as it was learned from the past."""
        return self.whole if self.model.edges.passes else self.alone


def choose_networks(
    model: Cartograph,
    task: Task,
    content: Content,
    *,
    wanted: Literal["auto", "always", "never"],
    known: NetworksFound | None = None,
    given: Collection[str] = (),
    seed: int,
    checkpoints: Checkpoints = NOT_KEPT,
) -> Networks:
    """Return the model with its networks if that is ``wanted`` or they help on validation, else its closed form.

    ``known`` says what was found earlier on this shop: networks that did not help are not trained again, nor is the
    weight of the tail tried that was found not to be the best. What a person has ``given`` stays.
    """
    alone = model.closed_form_alone.fit(task, content, seed=seed)
    if wanted == "never" or not model.edges.passes:
        return Networks(model.closed_form_alone, alone, alone, "left out, as asked for")
    if wanted == "auto" and known and not known.helps:
        return Networks(model.closed_form_alone, alone, alone, f"found earlier: {known.why}")
    if known:
        model = with_settings(
            model, {name: value for name, value in known.settings.items() if not is_given(name, given)}
        )
    own = "edges.tail_power" not in given and model.edges.tail_power == EdgeConfig().tail_power
    powers = TAIL_POWERS if own and known is None else (model.edges.tail_power,)
    without = measure_lists(alone, task).per_user
    found = try_networks(model, task, content, without=without, powers=powers, seed=seed, checkpoints=checkpoints)
    why = found.in_words() if wanted == "auto" else f"kept, as asked for; else they were {found.in_words()}"
    used = found.model if found.helps or wanted == "always" else model.closed_form_alone
    return Networks(used, found.fitted, alone, why)


@dataclass(frozen=True)
class TriedNetworks:
    """The model with the best weight of the tail of those that were tried."""

    model: Cartograph
    fitted: FittedCartograph
    lists: Lists
    """Of the fitted model."""

    verdicts: Mapping[float, Verdict]
    """Of each weight that was tried."""

    @property
    def verdict(self) -> Verdict:
        """That of the model."""
        return self.verdicts[self.model.edges.tail_power]

    @property
    def helps(self) -> bool:
        """Whether the model is better than its closed form."""
        return self.verdict.helps

    def in_words(self) -> str:
        """Return what was decided, and why not by another weight of the tail."""
        power = self.model.edges.tail_power
        others = "".join(f"; with {each:g} {found}" for each, found in self.verdicts.items() if each != power)
        return f"{self.verdict}, the tail weighed by {power:g}{others}"


def try_networks(
    model: Cartograph,
    task: Task,
    content: Content,
    *,
    without: Mapping[str, PerUser],
    powers: Sequence[float],
    seed: int,
    checkpoints: Checkpoints = NOT_KEPT,
) -> TriedNetworks:
    """Return the model fitted with its networks, by the first weight of the tail with which head and tail gain.

    Where there is none, by the first of those with which the head gains and the tail does not pay. ``without`` are the
    numbers of each user by the closed form. The more the tail weighs, the less the head gains, so that none is tried
    after one with which it does not.
    """
    ways = [replace(model.edges, tail_power=power) for power in powers]
    verdicts: dict[float, Verdict] = {}
    best: tuple[EdgeConfig, FittedCartograph, Lists] | None = None
    fits = model.fit_each(task, content, ways, seed=seed, checkpoints=checkpoints)
    # Not strict: a fit that is not asked for is not made.
    for way, fitted in zip(ways, fits, strict=False):
        lists = measure_lists(fitted, task)
        found = verdicts[way.tail_power] = verdict(lists.per_user, without, seed=seed)
        if best is None or found.standing > verdicts[best[0].tail_power].standing:
            best = way, fitted, lists
        if found.both_gain or found.overall.interval.low <= 0:
            break
    if best is None:
        raise ValueError("no weight of the tail to try")
    way, fitted, lists = best
    return TriedNetworks(replace(model, edges=way), fitted, lists, verdicts)


def verdict(whole: Mapping[str, PerUser], without: Mapping[str, PerUser], *, seed: int) -> Verdict:
    """Return whether the whole is better than the model without the part, by the numbers of each user on validation."""
    tail = recall_of(TAIL)
    return Verdict(
        overall=compare(whole[MEASURE], without[MEASURE], seed=seed),
        tail=compare(whole[tail], without[tail], seed=seed),
    )
