"""The search command: ``python -m gnn.tune`` finds the settings that rank a shop's validation part best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import tyro

from gnn.evaluate import CLOSED_FORM, OURS, evaluate
from gnn.model import Content, HasSearchForm, Model
from gnn.models import models
from gnn.prepare import Prepared, ShopConfig, prepare
from gnn.program import program_commit
from gnn.search import Budget, search
from gnn.simplify import simplified
from gnn.task import Task
from gnn.tuned import FILE, Tuned, save_tuned, setting_of
from kg.graph import Graph
from loaders.errors import InputError, run_command
from loaders.shops import shop_name

MEASURE = "NDCG@10"


@dataclass(frozen=True)
class TuneConfig(ShopConfig):
    """Search the settings of models on a shop's validation part; the test part is not read.

    Give --trials or --minutes for each model; what was done before counts. The same command goes on where it
    was stopped, and may run several times at once: the processes share the trials.
    """

    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a model to search; may be given again. By default all."""

    trials: int | None = None
    """Settings to try for each model, its own among them."""

    minutes: float | None = None
    """Minutes for each model, over all processes; a trial that has begun is finished."""

    folder: str | None = None
    """Folder of the studies and of tuned.json; by default runs/tune-SHOP."""

    def __post_init__(self) -> None:
        Budget(self.trials, self.minutes)
        super().__post_init__()


@runtime_checkable
class ListModels(Protocol):
    """Returns the models that there are."""

    def __call__(self, graph: Graph, /, *, times_known: bool, repeat: bool) -> Sequence[Model]:
        """Return those for a shop whose times are known, for a task with repeats."""
        ...


def tune(config: TuneConfig, models_of: ListModels) -> dict[str, Tuned]:
    """Search the asked of the models; what is found for each is in the folder's ``tuned.json`` when it is found."""
    prepared = prepare(config)
    task = prepared.validation_task()
    every = models_of(prepared.graph, times_known=prepared.content.times_known, repeat=config.repeat)
    folder = Path(config.folder or f"runs/tune-{shop_name(config.shop)}")
    folder.mkdir(parents=True, exist_ok=True)
    names = [model.name for model in asked_models(every, config.model)]
    found, failed = search_asked(
        prepared, every, names, task=task, budget=Budget(config.trials, config.minutes), folder=folder
    )
    if found:
        print(f"\n{as_table(found)}\n\n{folder / FILE}")
    if failed:
        raise InputError("; ".join(failed.values()))
    return found


def search_asked(
    prepared: Prepared, every: Sequence[Model], names: Sequence[str], *, task: Task, budget: Budget, folder: Path
) -> tuple[dict[str, Tuned], dict[str, str]]:
    """Return what :func:`search_all` does for the models of these names."""
    # Ours is searched by its closed form, and has what is found for that.
    asked = {CLOSED_FORM if name == OURS else name for name in names}
    return search_all(
        [model for model in every if model.name in asked],
        task,
        prepared.content,
        budget=budget,
        folder=folder,
        seed=prepared.config.seed,
        facts=prepared.facts,
    )


def search_all(
    asked: Sequence[Model],
    task: Task,
    content: Content,
    *,
    budget: Budget,
    folder: Path,
    seed: int,
    facts: Mapping[str, object],
) -> tuple[dict[str, Tuned], dict[str, str]]:
    """Return what was found for each model, and why for some nothing was; ``tuned.json`` in ``folder`` has it at once.

    Every model has the same budget. The others are not lost where one cannot be fitted.
    """
    facts = {**facts, "measure": f"{MEASURE} on {task.name}"}
    found: dict[str, Tuned] = {}
    failed: dict[str, str] = {}
    for model in asked:
        try:
            found[model.name] = search(
                model.to_search if isinstance(model, HasSearchForm) else model,
                lambda tried: evaluate(tried.fit(task, content, seed=seed), task).measures[MEASURE].value,
                trials=budget.trials,
                minutes=budget.minutes,
                study=folder / f"{file_name(model.name)}.study",
                seed=seed,
                facts=facts,
            )
        except InputError as error:
            failed[model.name] = str(error)
            continue
        found[model.name], taken_out = _simplified(found[model.name], task, content, before=model, seed=seed)
        save_tuned(
            folder,
            model.name,
            found[model.name],
            facts={**facts, "taken_out": list(taken_out), "commit": program_commit()},
        )
        print(f"{model.name}: {_in_words(found[model.name])}", flush=True)
    return found, failed


def _simplified(
    found: Tuned, task: Task, content: Content, *, before: Model, seed: int
) -> tuple[Tuned, tuple[str, ...]]:
    """Return what was found without what does not clearly help."""
    own = {name: setting_of(before, name) for name in found.settings}
    model, taken_out = simplified(found.model, task, content, seed=seed, before=own)
    if not taken_out:
        return found, ()
    score = evaluate(model.fit(task, content, seed=seed), task).measures[MEASURE].value
    settings = {name: setting_of(model, name) for name in found.settings}
    return replace(found, model=model, settings=settings, score=score), taken_out


def asked_models(models: Sequence[Model], names: Sequence[str]) -> list[Model]:
    """Return the models of these names, all where there are no names; raise for a name that none has."""
    known = {model.name: model for model in models}
    for name in names:
        if name not in known:
            raise InputError(f"no model {name!r}; there are {', '.join(map(repr, known))}")
    return [known[name] for name in dict.fromkeys(names)] or list(models)


def file_name(model: str) -> str:
    """Return a model's name fit for the name of a file."""
    return re.sub(r"[^\w.-]+", "-", model)


def _in_words(found: Tuned) -> str:
    numbers = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in found.settings.items()}
    return ", ".join(f"{name} {value}" for name, value in numbers.items()) or "nothing to search"


def as_table(found: Mapping[str, Tuned]) -> str:
    """Return what was found as a Markdown table."""
    head = ("model", f"{MEASURE} %", "default", "trials", "refused", "seconds", "settings")
    rows = [
        (
            name,
            f"{100 * each.score:.2f}",
            "-" if each.default is None else f"{100 * each.default:.2f}",
            str(each.trials),
            str(each.refused),
            f"{each.seconds:.0f}",
            _in_words(each),
        )
        for name, each in found.items()
    ]
    lines = [head, ("---", "---:", "---:", "---:", "---:", "---:", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Run the command line."""
    config = tyro.cli(TuneConfig, prog="python -m gnn.tune", description=TuneConfig.__doc__)
    tune(config, models)


if __name__ == "__main__":
    run_command(main)
