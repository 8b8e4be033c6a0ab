"""Reads the profiles that ``gnn.export --profiles`` delivered, and refuses those of another training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from kg.graph import RunRecord
from loaders.errors import InputError


def delivered_table(folder: Path, name: str, *, run: RunRecord) -> pl.DataFrame:
    """Return one table of the profiles in ``folder``; raise where they are not there, or not of this run."""
    made_again = f"make them with: python -m gnn.export --run {run.name} --profiles"
    try:
        page: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        files = [table["file"] for table in page["profiles"]]
        made_by, made_at = page["run"], page["made_at"]
    except FileNotFoundError as error:
        raise InputError(f"no profiles in {str(folder)!r}; {made_again}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(folder / 'manifest.json')!r} is no manifest of profiles; {made_again}") from error
    if (made_by, made_at) != (run.name, run.made_at):
        raise InputError(
            f"the profiles in {str(folder)!r} are of the run {made_by!r} made at {made_at}, and the graph's are of "
            f"{run.name!r} made at {run.made_at}; {made_again}"
        )
    if f"{name}.parquet" not in files:
        raise InputError(f"{str(folder)!r} lacks the table {name!r}; {made_again}")
    try:
        return pl.read_parquet(folder / f"{name}.parquet")
    except pl.exceptions.ComputeError as error:
        raise InputError(f"{name}.parquet in {str(folder)!r} is not whole; {made_again}") from error
