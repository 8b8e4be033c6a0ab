"""Reads the profiles of ``gnn.export --profiles``, and keeps apart what is of another training or moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kg.graph import RunRecord
from kg.text_table import time_text
from loaders.errors import InputError


@dataclass(frozen=True)
class Delivered:
    """Profiles in a folder, and what they were made of."""

    folder: Path
    run: str
    """The run that made them."""

    made_at: str
    """When that run was made (ISO 8601, UTC)."""

    now: int
    """The moment that they know nothing after (seconds, UTC)."""

    files: tuple[str, ...]

    def other_training(self, run: RunRecord) -> str | None:
        """Return in what they are not of ``run``; None where they are."""
        if (self.run, self.made_at) == (run.name, run.made_at):
            return None
        return (
            f"the profiles in {str(self.folder)!r} are of the run {self.run!r} made at {self.made_at}, and the graph's "
            f"are of {run.name!r} made at {run.made_at}; {_made_again(run)}"
        )

    def other_moment(self, run: RunRecord) -> str | None:
        """Return in what they are of another moment than what ``run`` wrote to the graph; None where they are not."""
        if self.now == run.now:
            return None
        return (
            f"the profiles in {str(self.folder)!r} know the purchases before {time_text(self.now)}, and the graph's "
            f"PREFERS those before {time_text(run.now)}"
        )


def delivered(folder: Path, *, run: RunRecord) -> Delivered:
    """Return what the manifest of the profiles in ``folder`` says; raise where there is none."""
    try:
        page: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files = tuple(str(table["file"]) for table in page["profiles"])
        return Delivered(folder, page["run"], page["made_at"], now=int(page["now"]), files=files)
    except FileNotFoundError as error:
        raise InputError(f"no profiles in {str(folder)!r}; {_made_again(run)}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{str(folder / 'manifest.json')!r} is no manifest of profiles; {_made_again(run)}") from error


def delivered_table(folder: Path, name: str, *, run: RunRecord, columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return one table of the profiles in ``folder``; raise where they are not there, or not of this run.

    A table that lacks one of ``columns`` is of an earlier version, and refused too.
    """
    found = delivered(folder, run=run)
    if refusal := found.other_training(run):
        raise InputError(refusal)
    if f"{name}.parquet" not in found.files:
        raise InputError(f"{str(folder)!r} lacks the table {name!r}; {_made_again(run)}")
    try:
        frame = pl.read_parquet(folder / f"{name}.parquet", glob=False)
    except pl.exceptions.ComputeError as error:
        raise InputError(f"{name}.parquet in {str(folder)!r} is not whole; {_made_again(run)}") from error
    if missing := [column for column in columns if column not in frame.columns]:
        raise InputError(
            f"{name}.parquet in {str(folder)!r} lacks the column {missing[0]!r}, as an earlier version made it; "
            f"{_made_again(run)}"
        )
    return frame


@dataclass(frozen=True)
class Sources:
    """Which of the two things that a run says of a user may stand on one page."""

    graph: bool
    """Whether its PREFERS do."""

    folder: bool
    """Whether its delivered profiles do."""

    notes: tuple[str, ...] = ()
    """Why one of them does not."""


def sources(folder: Path, run: RunRecord, *, named: bool) -> Sources:
    """Return what goes together: never numbers of two trainings, or of two moments, on one page.

    What nobody delivered is left out. What somebody named has to be there and of this training, and goes before what
    is in the graph; else the graph goes first.
    """
    if not named and not folder.exists():
        return Sources(graph=True, folder=False)
    found = delivered(folder, run=run)
    if refusal := found.other_training(run):
        if named:
            raise InputError(refusal)
        return Sources(graph=True, folder=False, notes=(f"Habits, price bands and segment are left out: {refusal}.",))
    apart = found.other_moment(run)
    if apart is None:
        return Sources(graph=True, folder=True)
    if named:
        return Sources(graph=False, folder=True, notes=(f"Preferences are left out: {apart}.",))
    renewed = f"renew them with: python -m gnn.export --run {run.name} --profiles"
    return Sources(
        graph=True,
        folder=False,
        notes=(f"Habits, price bands and segment are left out: {apart}; {renewed}.",),
    )


def _made_again(run: RunRecord) -> str:
    return f"make them with: python -m gnn.export --run {run.name} --profiles"
