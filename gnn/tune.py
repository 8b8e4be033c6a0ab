"""The search command: ``python -m gnn.tune`` finds the settings that rank a shop's validation part best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
import torch
import tyro
from jaxtyping import Float

from gnn.config import HistoryConfig, SplitConfig, TrainConfig
from gnn.evaluate import evaluate
from gnn.history import Weighing
from gnn.model import Content, Model
from gnn.models import models
from gnn.run import program_commit
from gnn.search import Budget, search
from gnn.split import Split, split_purchases
from gnn.task import Task, make_task
from gnn.text import encode_texts
from gnn.train import choose_device, require_something_to_learn, without_links
from gnn.tuned import FILE, Tuned, save_tuned
from kg.build import build_graph, graph_tables
from kg.graph import Graph
from kg.load import finding_text
from loaders.errors import InputError, run_command
from loaders.shops import load_shop, shop_name

MEASURE = "NDCG@10"


@dataclass(frozen=True)
class TuneConfig:
    """Search the settings of models on a shop's validation part; the test part is not read.

    Give --trials or --minutes for each model; what was done before counts. The same command goes on where it
    was stopped, and may run several times at once: the processes share the trials.
    """

    shop: str = "complete-journey"
    """complete-journey, amazon-beauty (split A), amazon-beauty-b, synthetic, or your own shop's folder (see README)."""

    raw: str | None = None
    """Folder of the raw files of amazon-beauty; by default ../shared/data/amazon_beauty."""

    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a model to search; may be given again. By default all."""

    trials: int | None = None
    """Settings to try for each model, its own among them."""

    minutes: float | None = None
    """Minutes for each model, over all processes; a trial that has begun is finished."""

    folder: str | None = None
    """Folder of the studies and of tuned.json; by default runs/tune-SHOP."""

    leave_out: tuple[str, ...] = ()
    """Links between products that nothing is learned from, such as ALSO_BOUGHT."""

    repeat: bool = False
    """What a user bought before may be ranked for her and is to be found, as in grocery."""

    cache: str = "data/text"
    """Folder where text vectors are kept from run to run."""

    encoder: str | None = None
    """Folder of a Hugging Face text encoder; by default the MiniLM that comes with the packages."""

    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""

    seed: int = 0
    """All chance comes from it."""

    min_buyers: int = 5
    """Products with fewer buyers in the past are neither ranked nor learned from; 0 ranks all that are listed."""

    split: SplitConfig = field(default_factory=SplitConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)

    def __post_init__(self) -> None:
        Budget(self.trials, self.minutes)
        # What both commands have is checked as there.
        TrainConfig(seed=self.seed, min_buyers=self.min_buyers, split=self.split, history=self.history)


@runtime_checkable
class ListModels(Protocol):
    """Returns the models that there are."""

    def __call__(self, graph: Graph, /, *, times_known: bool, repeat: bool) -> Sequence[Model]:
        """Return those for a shop whose times are known, for a task with repeats."""
        ...


def tune(config: TuneConfig, models_of: ListModels) -> dict[str, Tuned]:
    """Search the asked of the models; what is found for each is in the folder's ``tuned.json`` when it is found."""
    device = choose_device(config.device)
    shop = load_shop(config.shop, raw=config.raw)
    for finding in shop.findings:
        print(finding_text(finding))
    tables = graph_tables(shop)
    graph = without_links(build_graph(tables), config.leave_out)
    split = split_purchases(graph, config.split, seed=config.seed)
    times_known = split.way == "by time"
    task = _validation_task(graph, split, config)
    asked = _asked(models_of(graph, times_known=times_known, repeat=config.repeat), config.model)
    content = _Content(graph, times_known=times_known, device=device, config=config)
    facts = _facts(config, graph=tables.fingerprint(), split=split)
    folder = Path(config.folder or f"runs/tune-{shop_name(config.shop)}")
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Tuned] = {}
    failed: list[str] = []
    for model in asked:
        try:
            found[model.name] = search(
                model,
                lambda tried: evaluate(tried.fit(task, content, seed=config.seed), task).measures[MEASURE].value,
                trials=config.trials,
                minutes=config.minutes,
                study=folder / f"{_file_name(model.name)}.study",
                seed=config.seed,
                facts=facts,
            )
        except InputError as error:
            # The others are not to be lost; all sentences come at the end.
            failed.append(str(error))
            continue
        save_tuned(folder, found[model.name], facts={**facts, "commit": program_commit()})
        print(f"{model.name}: {_in_words(found[model.name])}", flush=True)
    if found:
        print(f"\n{as_table(found)}\n\n{folder / FILE}")
    if failed:
        raise InputError("; ".join(failed))
    return found


class _Content(Content):
    """Content whose texts are encoded when a model first reads them: most read none."""

    _config: TuneConfig

    def __init__(self, graph: Graph, *, times_known: bool, device: torch.device, config: TuneConfig) -> None:
        own = {"graph": graph, "times_known": times_known, "device": device, "_config": config}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @cached_property
    def text(self) -> Float[np.ndarray, "nodes dimension"]:
        """The text vector of every product of the graph; zeros where there is no text."""
        return encode_texts(
            self.graph.products["text"].to_list(),
            folder=self._config.encoder,
            cache=Path(self._config.cache),
            device=self.device,
        )


def _validation_task(graph: Graph, split: Split, config: TuneConfig) -> Task:
    task = make_task(
        "validation",
        graph,
        known=split.past,
        later=split.validation,
        weighing=Weighing.of(config.history, times_known=split.way == "by time"),
        now=split.validation_from,
        min_buyers=config.min_buyers,
        repeat=config.repeat,
    )
    require_something_to_learn(task, min_buyers=config.min_buyers)
    return task


def _asked(models: Sequence[Model], names: Sequence[str]) -> list[Model]:
    """Return the models of these names, all where there are no names."""
    known = {model.name: model for model in models}
    for name in names:
        if name not in known:
            raise InputError(f"no model {name!r}; there are {', '.join(map(repr, known))}")
    return [known[name] for name in dict.fromkeys(names)] or list(models)


def _facts(config: TuneConfig, *, graph: str, split: Split) -> dict[str, object]:
    """Return what the scores depend on beside a model's settings."""
    return {
        "shop": shop_name(config.shop),
        "graph": graph,
        "split": split.way,
        "validation_from": split.validation_from,
        "test_from": split.test_from,
        "parts": [len(split.past), len(split.validation), len(split.test)],
        "measure": f"{MEASURE} on validation",
        "leave_out": sorted(config.leave_out),
        "repeat": config.repeat,
        "min_buyers": config.min_buyers,
        "history": asdict(config.history),
        "encoder": config.encoder,
        "seed": config.seed,
    }


def _file_name(model: str) -> str:
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
