"""The folder of a benchmark: each finished row is kept at once, so that a killed benchmark goes on with the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnn.benchmark_figures import figures
from gnn.benchmark_report import as_markdown
from gnn.comparison import Benchmark, ModelRow
from gnn.locks import is_locked, locked
from gnn.metrics import PerUser
from gnn.model import Model
from gnn.place import put_in_place, real_place
from gnn.program import program_commit, program_versions
from gnn.tune import file_name
from gnn.tuned import as_plain
from loaders.errors import InputError

MANIFEST = "manifest.json"
REPORT = "benchmark.json"


@dataclass(frozen=True)
class BenchmarkFolder:
    """A folder with a file for each row, and one for the numbers of its users."""

    path: Path

    @classmethod
    def open(cls, path: str) -> BenchmarkFolder:
        """Return the folder of a finished benchmark."""
        if not (Path(path) / REPORT).exists():
            raise InputError(f"no benchmark in {path!r}; make it by python -m gnn.benchmark")
        return cls(Path(path))

    def benchmark(self) -> Benchmark:
        """Return what was found."""
        with _of_this_version(self.path / REPORT):
            return Benchmark.from_json(read_json(self.path / REPORT))

    def kept(self, group: str, name: str, model: Model) -> ModelRow | None:
        """Return the row if it is finished, by the same settings."""
        file = self._row(group, name)
        if not file.exists():
            return None
        with _of_this_version(file):
            row = ModelRow.from_json(read_json(file))
        return row if row.settings == as_plain(model) else None

    def keep(self, row: ModelRow, per_user: Mapping[str, PerUser]) -> None:
        """Write the row; a row that is there is whole, its users' numbers too."""
        file = self._row(row.group, row.name)
        file.parent.mkdir(exist_ok=True)
        numbers = file.with_suffix(".npz")
        beside = numbers.with_name(f".{numbers.name}.part")
        with beside.open("wb") as opened:
            np.savez_compressed(opened, allow_pickle=False, **per_user)
        beside.replace(numbers)
        write_json(file, row.to_json())

    def per_user(self, row: ModelRow) -> dict[str, PerUser]:
        """Return the numbers of each user on test, mean over fits."""
        with np.load(self._row(row.group, row.name).with_suffix(".npz"), allow_pickle=False) as numbers:
            return {name: numbers[name] for name in numbers.files}

    def write(self, benchmark: Benchmark) -> None:
        """Write everything that was found: for programs, for people, and drawn."""
        (self.path / "benchmark.md").write_text(as_markdown(benchmark), encoding="utf-8")
        for name, figure in figures(benchmark).items():
            figure.savefig(self.path / f"{name}.png", dpi=150)
        write_json(self.path / REPORT, benchmark.to_json())

    def _row(self, group: str, name: str) -> Path:
        return self.path / "rows" / f"{file_name(f'{group} {name}')}.json"


@contextmanager
def working_folder(place: Path, *, config: Mapping[str, Any], facts: Mapping[str, object]) -> Iterator[BenchmarkFolder]:
    """Give the folder to work in, which takes its place when the block ends without an error, and else stays beside it.

    What is finished there, or in the place, is gone on with; raise if that is of other ``facts``.
    """
    place = real_place(place)
    beside = place.with_name(f".{place.name}.part")
    if place.exists() and not beside.exists():
        if not (place / MANIFEST).exists():
            raise InputError(
                f"{str(place)!r} is there and is no benchmark, so it is not replaced; give another --folder"
            )
        # Beside itself first: a copy that is broken off must not be taken for a finished one.
        copy = place.with_name(f".{place.name}.copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(place, copy)
        copy.rename(beside)
    own = json.loads(json.dumps(dict(facts)))
    if (beside / MANIFEST).exists():
        _require_same(read_json(beside / MANIFEST).get("facts", {}), own, beside, place)
    beside.mkdir(parents=True, exist_ok=True)
    with (beside.with_name(f".{place.name}.lock")).open("a+b") as locks:
        if is_locked(locks, 0):
            raise InputError(f"another benchmark is working in {str(beside)!r}; wait for it, or give another --folder")
        with locked(locks, 0):
            yield from _worked(beside, place, config=config, facts=own)


def _worked(
    beside: Path, place: Path, *, config: Mapping[str, Any], facts: Mapping[str, object]
) -> Iterator[BenchmarkFolder]:
    write_json(beside / MANIFEST, {"commit": program_commit(), "versions": program_versions(), "facts": dict(facts)})
    write_json(beside / "config.json", dict(config))
    yield BenchmarkFolder(beside)
    put_in_place(beside, place)


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a file of a benchmark; raise if there is none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{str(file)!r} is no JSON ({error}); delete it and start the benchmark again") from error
    if not isinstance(values, dict):
        raise InputError(f"{str(file)!r} holds no object; delete it and start the benchmark again")
    return values


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write a file that is whole at every moment."""
    beside = file.with_name(f".{file.name}.part")
    beside.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    beside.replace(file)


@contextmanager
def _of_this_version(file: Path) -> Iterator[None]:
    """Say so where a file lacks what this version writes, or has what it does not know."""
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(file)!r} is not of this version ({type(error).__name__}: {error}); delete its folder, or give "
            "another --folder"
        ) from error


def _require_same(old: Mapping[str, Any], new: Mapping[str, Any], beside: Path, place: Path) -> None:
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            raise InputError(
                f"{str(beside)!r} holds a benchmark with another {name} ({old.get(name)!r}, now {new.get(name)!r}); "
                f"delete it and {str(place)!r}, or give another --folder"
            )
