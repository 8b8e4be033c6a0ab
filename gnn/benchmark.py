"""The benchmark command: ``python -m gnn.benchmark`` puts every model of a shop into one table, ours last.

Read :func:`benchmark` from top to bottom: shop → settings → every model fitted and measured → what the graph is good
for → cold products and users → comparisons → report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gnn.ablate import ABLATIONS
from gnn.bench import Bench
from gnn.benchmark_folder import working_folder
from gnn.benchmark_report import as_markdown
from gnn.cartograph import Cartograph
from gnn.cold import cold_products, cold_users
from gnn.comparison import ABLATION, Benchmark, ModelRow
from gnn.content_baselines import PopularityInCategory, TextOnly
from gnn.evaluate import CLOSED_FORM, OURS
from gnn.fits import fits_of
from gnn.history import Weighing
from gnn.model import Content, Model
from gnn.models import models
from gnn.prepare import Prepared, ShopConfig, prepare
from gnn.program import program_commit
from gnn.search import Budget
from gnn.task import Task
from gnn.tune import ListModels, asked_models, search_asked
from gnn.tuned import (
    SHIPPED,
    Settings,
    apply_tuned,
    fitting_tuned,
    load_tuned,
)
from loaders.errors import InputError, run_command
from loaders.shops import shop_name

WHOLE = "whole graph"
"""The row that ablations are compared by."""


@dataclass(frozen=True)
class BenchmarkConfig(ShopConfig):
    """Fit and measure every model on a shop, and write one report.

    Settings come from --tuned, or are searched first (--trials or --minutes), or come with the program, or are the
    models' own. A model that is finished is kept: the same command goes on where it was stopped, and the test part is
    read once for each model and its settings.
    """

    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a model to compare; may be given again. By default all."""

    tuned: str | None = None
    """Folder of the tuned.json that gnn.tune or another benchmark wrote; by default the one that comes with the program
    for this shop, if there is one. Cartograph takes what was found for its closed
    form unless it has its own."""

    trials: int | None = None
    """Search first: settings to try for each model. Cartograph takes what is found for its closed form."""

    minutes: float | None = None
    """Search first: minutes for each model."""

    seeds: int = 3
    """Fits of a model in which chance plays a part, on test; on validation and in cold rows there is one."""

    jobs: int = 1
    """Fits of the table that are made at once, each in a process of its own by its part of the cores; each takes the
    memory of one, beside that of the command."""

    parts: tuple[Literal["table", "ablation", "cold"], ...] = ("table", "ablation", "cold")
    """What to measure."""

    ablate_all: bool = False
    """Take parts of the graph from the whole of Cartograph too, not from its closed form alone; that takes long."""

    folder: str | None = None
    """Folder of the benchmark; by default runs/benchmark-SHOP."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("seeds", "jobs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.budget and self.tuned is not None:
            raise InputError("settings are given or searched; leave out --tuned, or --trials and --minutes")

    @property
    def budget(self) -> Budget | None:
        """Of the search that comes first, if one does."""
        return None if self.trials is None and self.minutes is None else Budget(self.trials, self.minutes)


def benchmark(config: BenchmarkConfig, models_of: ListModels = models) -> Benchmark:
    """Measure the asked of the models; everything found is in the benchmark's folder."""
    if config.tuned is not None:
        # A folder that is not there ends the command before a shop is loaded.
        load_tuned(Path(config.tuned))
    prepared = prepare(config)
    source = Path(config.tuned) if config.tuned is not None else None
    if source is None and not config.budget:
        source = fitting_tuned([SHIPPED], CLOSED_FORM, facts=prepared.facts)
    given = load_tuned(source) if source else {}
    past, final = prepared.validation_task(), prepared.test_task()
    if not final.relevant.nnz:
        raise InputError(
            "no user buys a product in the test part that is to be found, so nothing can be compared on it; give an "
            "earlier --split.test-from, a lower --min-buyers, or more purchases"
        )
    own = models_of(prepared.graph, times_known=prepared.content.times_known, repeat=config.repeat)
    asked = [model.name for model in asked_models(own, config.model)]
    # Encoded now: the seconds of a fit are to be the fit's own.
    lazy = prepared.content
    content = Content(prepared.graph, lazy.text, times_known=lazy.times_known, device=lazy.device)
    place = Path(config.folder or f"runs/benchmark-{shop_name(config.shop)}")
    same = {**prepared.facts, "seeds": config.seeds}
    with (
        working_folder(place, config=asdict(config), facts=same) as folder,
        fits_of((past, final), content, jobs=config.jobs) as fits,
    ):
        found = _searched(config, prepared, own, asked, folder=folder.path, task=past) if config.budget else given
        # By the names asked for: a name may say a setting, which is another now.
        fitted = apply_tuned(own, _with_ours(found))
        every = {model.name: changed for model, changed in zip(own, fitted, strict=True)}
        seeds = tuple(range(config.seed, config.seed + config.seeds))
        bench = Bench(fits, seeds, folder)
        facts = _facts(config, prepared, final, found)
        if isinstance(ours := every.get(OURS), Cartograph) and OURS in asked:
            every[OURS], facts["networks, on validation"] = bench.networks(ours, given=source)
        rows: list[ModelRow] = []
        if "table" in config.parts:
            rows += bench.compared(bench.table([every[name] for name in asked]), by=OURS)
        if "ablation" in config.parts:
            for name in (CLOSED_FORM, *([OURS] if config.ablate_all else [])):
                if name in asked:
                    rows += bench.compared(list(_ablation(bench, every[name])), by=WHOLE)
        if "cold" in config.parts:
            rows += _cold(bench, [every[name] for name in (CLOSED_FORM, OURS) if name in asked], config=config)
        facts["commit"] = ", ".join(sorted({str(row.commit)[:12] for row in rows}))
        result = Benchmark(shop_name(config.shop), facts, tuple(rows))
        folder.write(result)
    print(f"\n{as_markdown(result)}\n{place / 'benchmark.md'}")
    return result


def _searched(
    config: BenchmarkConfig, prepared: Prepared, own: Sequence[Model], asked: Sequence[str], *, folder: Path, task: Task
) -> dict[str, Settings]:
    """Return what the search finds for the asked models; one that cannot be fitted stays as it is."""
    budget = Budget(config.trials, config.minutes)
    tuned, failed = search_asked(prepared, own, asked, task=task, budget=budget, folder=folder)
    for reason in failed.values():
        print(reason)
    return {name: each.settings for name, each in tuned.items()}


def _with_ours(found: Mapping[str, Settings]) -> dict[str, Settings]:
    return {**({OURS: found[CLOSED_FORM]} if CLOSED_FORM in found else {}), **found}


def _ablation(bench: Bench, model: Model) -> Iterator[ModelRow]:
    group = f"{ABLATION}{model.name}"
    for name, change in ABLATIONS.items():
        if name == WHOLE:
            # The model as it is in the table: not fitted, and its test part not read, a second time.
            row = replace(bench.row(model), group=group, name=WHOLE)
            bench.folder.keep(row, bench.folder.per_user(bench.row(model)))
            yield row
        else:
            yield bench.row(model, group=group, name=name, content=change(bench.content, bench.seeds[0]))


def _cold(bench: Bench, ours: Sequence[Model], *, config: BenchmarkConfig) -> list[ModelRow]:
    """Return the rows of cold products and cold users, by one seed, against what knows a product by its content."""
    compared: tuple[Model, ...] = (PopularityInCategory(), TextOnly(), *ours)
    weighing = Weighing.of(config.history, times_known=bench.content.times_known)
    rows: list[ModelRow] = []
    try:
        products = cold_products(bench.final, seed=config.seed)
        among = {"cold products, all to choose from": None, "cold products, among themselves": products.cold}
        tasks = [(products.task, among)]
        users = cold_users(bench.final, weighing=weighing, seed=config.seed)
        tasks += [(task, {f"cold users, first {count} shown": None}) for count, task in users.items()]
    except InputError as error:
        return [ModelRow("cold", "all models", {}, program_commit(), left_out=str(error))]
    for task, groups in tasks:
        found = [row for model in compared for row in bench.cold_rows(model, task, groups)]
        for group in groups:
            rows += bench.compared([row for row in found if row.group == group], by=OURS)
    return rows


def _facts(config: BenchmarkConfig, prepared: Prepared, final: Task, found: Mapping[str, Settings]) -> dict[str, str]:
    """Return what a reader needs to know of how the numbers came about."""
    graph, split = prepared.graph, prepared.split
    if config.budget:
        budget = f"{config.trials} trials" if config.trials else f"{config.minutes:g} minutes"
        settings = f"searched on validation, {budget} for each model; {OURS} has those of its closed form"
    elif found:
        settings = f"found earlier on validation for {', '.join(found)}" + (
            "" if OURS in found else f"; {OURS} has those of its closed form"
        )
    else:
        settings = "the models' own; nothing was searched on this shop"
    return {
        "graph": f"{len(graph.users)} users, {len(graph.products)} products, {len(graph.brands)} brands, "
        f"{len(graph.categories)} categories, {len(graph.bought)} purchases, "
        f"links: {', '.join(graph.links) or 'none'}; fingerprint {prepared.fingerprint}"
        + (f"; a sample of {100 * config.users_share:g} % of the users" if config.users_share < 1 else ""),
        "split": f"{split.way}: {len(split.past)} past, {len(split.validation)} validation, {len(split.test)} test "
        "purchases",
        "ranked": f"{len(final.products)} products" + (", also those a user bought before" if config.repeat else ""),
        "settings": settings,
        "seeds": f"{config.seeds} where chance plays a part; one in ablations of the closed form and in cold rows",
    }


def main() -> None:
    """Run the command line."""
    benchmark(tyro.cli(BenchmarkConfig, prog="python -m gnn.benchmark", description=BenchmarkConfig.__doc__))


if __name__ == "__main__":
    run_command(main)
