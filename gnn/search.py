"""Searches a model's settings for the best score; killed it goes on, and several processes share one search."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from gnn.locks import is_locked, locked
from gnn.model import HasParts, HasStarts, Model, Range, Space
from gnn.tuned import Setting, Settings, Tuned, setting_of, with_settings
from loaders.errors import InputError

TRIED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
DRAWS = 100
"""Draws without one that is new, after which a space counts as searched through."""

WIDE_EVERY = 16
"""Each so many trials one is drawn from all that is known, not near the best."""

STEP = 0.15
"""Standard deviation of a step, in ranges of the setting."""

LATER_PART = 4.0
"""How many times as often a setting is changed as one of the part before it, which takes more time to fit."""

GUIDED_DRAWS = 10
"""Draws by the sampler, which may like the same few settings again and again; those after them are by chance alone."""


@dataclass(frozen=True)
class Budget:
    """When to stop: before the first trial that one of the two forbids; what was spent before counts too."""

    trials: int | None
    minutes: float | None

    def __post_init__(self) -> None:
        if self.trials is None and self.minutes is None:
            raise InputError("a search needs an end; give --trials or --minutes")
        if self.trials is not None and self.trials < 1:
            raise InputError(f"trials is {self.trials}; give 1 or more")
        if self.minutes is not None and not (math.isfinite(self.minutes) and self.minutes > 0):
            raise InputError(f"minutes is {self.minutes}; give a number above 0")

    def allows(self, tried: list[FrozenTrial]) -> bool:
        """Return whether one more may begin after these, of any process."""
        enough = self.trials is not None and len(tried) >= self.trials
        late = self.minutes is not None and bool(tried) and seconds_of(tried) >= 60 * self.minutes
        return not (enough or late)


def search(
    model: Model,
    score: Callable[[Model], float],
    *,
    trials: int | None,
    minutes: float | None,
    study: Path,
    seed: int,
    facts: Mapping[str, object] | None = None,
) -> Tuned:
    """Return the settings in ``model.space`` with the highest ``score``; own settings and starts are tried first.

    Most trials are small steps from the best settings so far, each sixteenth one is drawn by TPE (Bergstra et al. 2011,
    on all settings together): few trials find more near good settings. All is kept in the file ``study``. A later call
    goes on from there; what a trial draws depends on ``seed`` and the trials before it alone, so that it ends where an
    uninterrupted one does. ``facts`` say what else the scores depend on: a study of others is refused. ``trials``
    and ``minutes`` (the sum over trials) count what the file holds. Settings for which ``score`` raises an InputError
    or is not a number are passed over; an InputError is raised where none is left.
    """
    budget = Budget(trials, minutes)
    space = {name: _distribution(where) for name, where in model.space.items()}
    parts = model.parts if isinstance(model, HasParts) else (tuple(space),)
    starts = [_defaults(model, space)]
    starts += [starts[0] | dict(each) for each in (model.starts if isinstance(model, HasStarts) else ())]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    identity = {
        "model": model.name,
        "space": _as_json(model.space),
        "settings": _as_json(_others(model)),
        **(facts or {}),
    }
    with study.with_name(f".{study.name}.lock").open("a+b") as locks:
        with locked(locks, 0):
            opened = _open_study(study, json.loads(json.dumps(identity, default=repr)))
        with tqdm(total=trials, desc=f"search {model.name}", unit="trial", disable=None) as progress:
            while True:
                with _next_trial(
                    opened, locks, space=space, parts=parts, starts=starts, budget=budget, seed=seed
                ) as trial:
                    if trial is None:
                        break
                    _try(trial, model, score, opened, locks)
                _show(opened, progress)
        return _best(opened, model, starts[0])


@contextmanager
def _next_trial(
    study: optuna.Study,
    locks: BufferedRandom,
    *,
    space: Mapping[str, BaseDistribution],
    parts: Sequence[Sequence[str]],
    starts: list[Settings],
    budget: Budget,
    seed: int,
) -> Iterator[optuna.Trial | None]:
    """Give a trial that nobody else has, or None at the search's end.

    Byte 0 of the lock file is held while anything is written, byte number + 1 while the trial runs: one that says it
    runs and whose byte is free was killed.
    """
    with ExitStack() as running:
        with locked(locks, 0):
            for each in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if not is_locked(locks, each.number + 1):
                    study.tell(each.number, state=TrialState.FAIL)
            tried = study.get_trials(deepcopy=False, states=TRIED)
            more = budget.allows(tried)
            trial = _new_settings(study, tried, space=space, parts=parts, starts=starts, seed=seed) if more else None
            if trial is not None:
                running.enter_context(locked(locks, trial.number + 1))
        yield trial


def _new_settings(
    study: optuna.Study,
    tried: list[FrozenTrial],
    *,
    space: Mapping[str, BaseDistribution],
    parts: Sequence[Sequence[str]],
    starts: list[Settings],
    seed: int,
) -> optuna.Trial | None:
    """Return a trial of settings that were not tried before, or None where there seem to be none."""
    before = [each.params for each in tried]
    for start in starts:
        if start not in before:
            study.enqueue_trial(start)
            return study.ask(dict(space))
    for draw in range(DRAWS if space else 0):
        # Seeded anew for each: a second process, or one that goes on, must not draw what the first one drew.
        own = int(np.random.SeedSequence([seed, len(tried), draw]).generate_state(1)[0])
        best = max((each for each in tried if each.value is not None), key=_value, default=None)
        if best is not None and draw < GUIDED_DRAWS and len(tried) % WIDE_EVERY:
            # Filled up by what a sampler draws, where the best trial lacks a setting.
            study.enqueue_trial(_step_from(best.params, space, parts=parts, rng=np.random.default_rng(own)))
        study.sampler = TPESampler(multivariate=True, seed=own) if draw < GUIDED_DRAWS else RandomSampler(seed=own)
        trial = study.ask(dict(space))
        if trial.params not in before:
            return trial
        study.tell(trial, state=TrialState.FAIL)
    return None


def _step_from(
    best: Settings, space: Mapping[str, BaseDistribution], *, parts: Sequence[Sequence[str]], rng: np.random.Generator
) -> Settings:
    """Return the best settings so far with a few of them changed a little, as a (1+1) evolution strategy does.

    Those of one part of the model are changed with the chance 2 / settings, at least one; a number by a normal step of
    :data:`STEP` of its range (of its logarithm's where factors count). Parts are drawn by their settings and
    :data:`LATER_PART`.
    """
    chances = LATER_PART ** np.arange(len(parts)) * [len(part) for part in parts]
    names = parts[int(rng.choice(len(parts), p=chances / chances.sum()))] if len(parts) > 1 else list(space)
    changed = rng.random(len(names)) < 2 / len(names)
    changed[rng.integers(len(names))] = True
    step = dict(best)
    for name in (each for each, moves in zip(names, changed, strict=True) if moves):
        where = space[name]
        if isinstance(where, CategoricalDistribution):
            step[name] = where.choices[int(rng.integers(len(where.choices)))]  # type: ignore[assignment]
        elif isinstance(where, FloatDistribution | IntDistribution):
            scale = np.log if where.log else float
            low, high, value = (float(scale(each)) for each in (where.low, where.high, best[name]))
            moved = float(np.clip(value + STEP * (high - low) * rng.normal(), low, high))
            inside = float(np.clip(np.exp(moved) if where.log else moved, where.low, where.high))
            step[name] = round(inside) if isinstance(where, IntDistribution) else inside
    return step


def _try(
    trial: optuna.Trial, model: Model, score: Callable[[Model], float], study: optuna.Study, locks: BufferedRandom
) -> None:
    """Score the trial's settings and tell the study."""
    try:
        value = float(score(with_settings(model, trial.params)))
        refusal = None if math.isfinite(value) else f"the score is {value}"
    except InputError as error:
        value, refusal = math.nan, str(error)
    except BaseException:
        with locked(locks, 0):
            study.tell(trial, state=TrialState.FAIL)
        raise
    with locked(locks, 0):
        if refusal is None:
            study.tell(trial, value)
            return
        trial.set_user_attr("refused", refusal)
        study.tell(trial, state=TrialState.PRUNED)
    tqdm.write(f"{model.name} with {_in_words(trial.params)} is passed over: {refusal}")


def _best(study: optuna.Study, model: Model, defaults: Settings) -> Tuned:
    tried = study.get_trials(deepcopy=False, states=TRIED)
    complete = [each for each in tried if each.state == TrialState.COMPLETE]
    refused = [each for each in tried if each.state == TrialState.PRUNED]
    if not complete:
        reason = f"; the first time: {refused[0].user_attrs['refused']}" if refused else ""
        raise InputError(f"{model.name} could be fitted with none of the {len(refused)} settings tried{reason}")
    best = max(complete, key=_value)
    return Tuned(
        model=with_settings(model, best.params),
        settings=dict(best.params),
        score=_value(best),
        default=next((_value(each) for each in complete if each.params == defaults), None),
        trials=len(complete) + len(refused),
        refused=len(refused),
        seconds=seconds_of([*complete, *refused]),
    )


def _value(trial: FrozenTrial) -> float:
    return -math.inf if trial.value is None else trial.value


def seconds_of(trials: list[FrozenTrial]) -> float:
    """Return how long these took together; one that runs counts up to now."""
    now = datetime.now()
    spans = [(each.datetime_complete or now) - each.datetime_start for each in trials if each.datetime_start]
    return sum(span.total_seconds() for span in spans)


def _show(study: optuna.Study, progress: tqdm) -> None:
    finished = study.get_trials(deepcopy=False, states=TRIED[:2])
    best = max((_value(each) for each in finished), default=math.nan)
    progress.set_postfix(best=f"{best:.4f}", refresh=False)
    progress.update(len(finished) - progress.n)


def _open_study(file: Path, identity: Mapping[str, Any]) -> optuna.Study:
    """Return the study in ``file``, made if there is none; raise if it is another's."""
    try:
        # Optuna takes a broken last line for one that is being written, and writes behind it.
        for line in file.read_bytes().splitlines(keepends=True) if file.exists() else []:
            if not line.endswith(b"\n"):
                raise ValueError("it ends within a line")
            json.loads(line)
        storage = JournalStorage(JournalFileBackend(str(file)))
        study = optuna.create_study(storage=storage, study_name="search", direction="maximize", load_if_exists=True)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(file)!r} holds no search ({error}); delete it, or give another --folder") from error
    own = study.user_attrs.get("identity")
    if own is None:
        study.set_user_attr("identity", dict(identity))
        return study
    for name in {**own, **identity}:
        if own.get(name) != identity.get(name):
            raise InputError(
                f"{str(file)!r} is a search with another {name} ({own.get(name)!r}, now {identity.get(name)!r}); "
                "delete it, or give another --folder"
            )
    return study


def _distribution(where: Range | tuple[Setting, ...]) -> BaseDistribution:
    if not isinstance(where, Range):
        return CategoricalDistribution(where)
    if where.whole:
        return IntDistribution(int(where.low), int(where.high), log=where.log)
    return FloatDistribution(where.low, where.high, log=where.log)


def _defaults(model: Model, space: Mapping[str, BaseDistribution]) -> Settings:
    """Return the model's own values of the settings in its space, in the study's types."""
    own: Settings = {}
    for name, distribution in space.items():
        value = setting_of(model, name)
        if isinstance(distribution, CategoricalDistribution):
            known = value in distribution.choices
        elif isinstance(distribution, FloatDistribution | IntDistribution):
            known = distribution.low <= value <= distribution.high
            value = int(value) if isinstance(distribution, IntDistribution) else float(value)
        if not known:
            raise ValueError(f"{model.name}: its own {name}, {value!r}, is outside of its space, {model.space[name]}")
        own[name] = value
    return own


def _others(model: Model) -> dict[str, Any]:
    """Return the settings that are not searched, but that the scores depend on."""
    every: dict[str, Any] = asdict(model)  # type: ignore[call-overload]
    for name in model.space:
        *groups, last = name.split(".")
        inside = every
        for group in groups:
            inside = inside[group]
        del inside[last]
    return every


def _as_json(values: Space | Mapping[str, Any]) -> dict[str, Any]:
    return {name: asdict(value) if isinstance(value, Range) else value for name, value in values.items()}


def _in_words(settings: Mapping[str, Any]) -> str:
    numbers = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in settings.items()}
    return ", ".join(f"{name} {value}" for name, value in numbers.items()) or "its own settings"
