"""Fits models to a benchmark's past and measures them, each once: what is finished is kept in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from gnn.benchmark_folder import BenchmarkFolder
from gnn.calibration import fit_calibration, listed_pairs, reliability
from gnn.cartograph import Cartograph
from gnn.choose import TAIL_POWERS, try_networks
from gnn.cold import Among
from gnn.comparison import TABLE, ModelRow, with_comparisons
from gnn.cost import Cost, costed
from gnn.fits import Fits
from gnn.measured import MEASURE, Lists, fit_costed, measure_lists, over_fits
from gnn.metrics import PerUser
from gnn.model import Content, Model, is_random
from gnn.program import program_commit
from gnn.task import Task
from gnn.tuned import NetworksFound, as_plain, load_networks, save_networks, with_settings
from loaders.errors import InputError


@dataclass(frozen=True)
class Bench:
    """Where models are fitted and measured; what is finished is kept in the folder."""

    fits: Fits
    """To the past, then to all before the test part."""

    seeds: tuple[int, ...]
    folder: BenchmarkFolder
    earlier: list[tuple[Model, Lists, Cost]] = field(default_factory=list)
    """Of each model the lists on validation, and what the fit to the past cost; a fit is not made twice."""

    @property
    def past(self) -> Task:
        """What choices are made by."""
        return self.fits.tasks[0]

    @property
    def final(self) -> Task:
        """What is compared on."""
        return self.fits.tasks[1]

    @property
    def content(self) -> Content:
        """What models may know beside purchases."""
        return self.fits.content

    def networks(self, whole: Cartograph, *, given: Path | None) -> tuple[Cartograph, str]:
        """Return ours, and why: with the best way to train its networks if they help on validation, else without.

        ``given`` is a folder of settings, which may say what was found of these networks.
        """
        closed = replace(whole.closed_form_alone, name=whole.name)
        kept = load_networks(self.folder.path, whole) or (load_networks(given, whole) if given else None)
        if kept is None:
            try:
                kept = self._tried(whole)
            except InputError as error:
                return closed, f"left out: {error}"
            save_networks(self.folder.path, whole, kept)
        return with_settings(whole, kept.settings) if kept.helps else closed, kept.why

    def _tried(self, whole: Cartograph) -> NetworksFound:
        """Fit the model to the past with its networks, and without."""
        alone = whole.closed_form_alone
        # In this process, as the networks are: all of the cores wait for one fit.
        ((without, cost_without),) = self.fits.one_by_one().measured(alone, [(self.past, self.seeds[0])])
        self.earlier.append((alone, without, cost_without))
        self.content.features(self.past)
        with costed() as cost:
            found = try_networks(
                whole, self.past, self.content, without=without.per_user, powers=TAIL_POWERS, seed=self.seeds[0]
            )
        self.earlier.append((found.model, found.lists, cost))
        return NetworksFound(found.helps, found.in_words(), {"edges.tail_power": found.model.edges.tail_power})

    def table(self, models: Sequence[Model]) -> list[ModelRow]:
        """Return the rows of these models; where fits are made at once, those of the next begin beside a model's last.

        Each is kept as soon as its own are made: what is finished before a later one fails is not lost.
        """
        for model in models:
            if not self.folder.kept(TABLE, model.name, model):
                self.fits.begin(model, self._asked(model, past=self._earlier(model) is None))
        rows = {model.name: self.row(model) for model in self.fits.ready(models)}
        return [rows[model.name] for model in models]

    def row(
        self, model: Model, *, group: str = TABLE, name: str | None = None, content: Content | None = None
    ) -> ModelRow:
        """Return the model's row: kept, or measured now; with the reason where it could not be fitted."""
        name = name or model.name
        kept = self.folder.kept(group, name, model)
        return kept or self._finished(self._measured(model, group=group, name=name, content=content or self.content))

    def cold_rows(
        self, model: Model, task: Task, among: Mapping[str, Bool[np.ndarray, " products"] | None]
    ) -> Iterator[ModelRow]:
        """Yield a row for each group, all from one fit: the model with those products alone to choose from."""
        kept = [self.folder.kept(group, model.name, model) for group in among]
        if all(kept):
            yield from (row for row in kept if row)
            return
        seeds = self.seeds[:1]
        empty = [ModelRow(group, model.name, as_plain(model), program_commit()) for group in among]
        try:
            recommender, cost = fit_costed(model, task, self.content, seed=seeds[0])
        except InputError as error:
            yield from (self._finished((replace(row, left_out=str(error)), {})) for row in empty)
            return
        for row, candidates in zip(empty, among.values(), strict=True):
            asked = recommender if candidates is None else Among(recommender, candidates)
            test, per_user = over_fits([measure_lists(asked, task)], [cost], task, seeds=seeds)
            yield self._finished((replace(row, test=test), per_user))

    def compared(self, rows: Sequence[ModelRow], *, by: str) -> list[ModelRow]:
        """Return the rows of one group, that named ``by`` compared with each of the others."""
        per_user = {row.name: self.folder.per_user(row) for row in rows if row.test}
        return with_comparisons(rows, per_user, by=by, seed=self.seeds[0])

    def _measured(
        self, model: Model, *, group: str, name: str, content: Content
    ) -> tuple[ModelRow, dict[str, PerUser]]:
        """Return the row and the numbers of each user on test."""
        row = ModelRow(group, name, as_plain(model), program_commit())
        seeds = self._seeds(model)
        # Parts of the graph are tried in this process: the others hold the whole.
        fits = self.fits if content is self.content else self.fits.one_by_one(content)
        earlier = self._earlier(model) if fits is self.fits else None
        try:
            found = fits.measured(model, self._asked(model, past=earlier is None))
            past, cost = earlier or found.pop(0)
            validation, _ = over_fits([past], [cost], self.past, seeds=seeds[:1])
            curve = fit_calibration(*listed_pairs(past.ranked, self.past.relevant))
        except InputError as error:
            return replace(row, left_out=str(error)), {}
        lists, costs = zip(*found, strict=True)
        test, per_user = over_fits(lists, costs, self.final, seeds=seeds)
        scores, bought = listed_pairs(lists[0].ranked, self.final.relevant)
        believed = reliability(curve.probability(scores), bought) if len(scores) else None
        return replace(row, validation=validation, test=test, reliability=believed), per_user

    def _asked(self, model: Model, *, past: bool) -> list[tuple[Task, int]]:
        """Return the tasks and seeds of a row's fits, which may begin with one to the past."""
        seeds = self._seeds(model)
        return [*([(self.past, seeds[0])] if past else []), *((self.final, seed) for seed in seeds)]

    def _seeds(self, model: Model) -> tuple[int, ...]:
        return self.seeds if is_random(model) else self.seeds[:1]

    def _earlier(self, model: Model) -> tuple[Lists, Cost] | None:
        return next(((lists, cost) for kept, lists, cost in self.earlier if kept == model), None)

    def _finished(self, measured: tuple[ModelRow, Mapping[str, PerUser]]) -> ModelRow:
        row, per_user = measured
        self.folder.keep(row, per_user)
        print(_in_words(row), flush=True)
        return row


def _in_words(row: ModelRow) -> str:
    what = row.name if row.group == TABLE else f"{row.group}: {row.name}"
    if row.test is None:
        return f"{what}: left out: {row.left_out}"
    seconds = sum(fit.seconds for fit in row.test.fits)
    return f"{what}: {MEASURE} {100 * row.test.measures[MEASURE].value:.2f} % on test ({seconds:.1f} s of fits)"
