"""Makes the files of a delivery: what there is to make, and the engine that makes it in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from uuid import uuid4

import polars as pl

from gnn.columns import Column
from gnn.shard_files import ShardFormat


@dataclass(frozen=True)
class Shard:
    """The rows of one file."""

    edges: pl.DataFrame
    owners: int
    """How many users (or products) have a list in it."""

    left_out: Mapping[str, int]
    """Why others of its range have none → how many."""


@runtime_checkable
class Edges(Protocol):
    """Ranked edges that can be made for a range of their owners (users, or products) at a time."""

    @property
    def most_rows(self) -> int:
        """How many edges there are at the most."""
        ...

    @property
    def owners(self) -> pl.Series:
        """Ids of all owners, by position."""
        ...

    @property
    def items(self) -> pl.Series:
        """Ids of what can be in a list."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a shard."""
        ...

    def part(self, start: int, stop: int) -> Any:
        """Return what is of the owners at these positions and of nobody else, for :meth:`shard`."""
        ...

    def without_owners(self) -> Edges:
        """Return what the shards of all owners need: with a part it makes the same shard."""
        ...

    def shard(self, part: Any) -> Shard:
        """Return the lists of the owners of a part, always the same."""
        ...


@dataclass(frozen=True)
class Work:
    """The files that are to be made."""

    edges: Edges
    form: ShardFormat
    folder: Path
    ranges: Mapping[str, tuple[int, int]]
    """File → the position of its first owner, and that after its last."""

    token: str = field(default_factory=lambda: uuid4().hex)
    """Of this command alone: what outlives a killed one, an actor, writes to no file of the next."""

    def passing(self, file: str) -> Path:
        """Return where ``file`` is to be written; whoever keeps the delivery moves it to its place."""
        return self.folder / f".{file}.{self.token}.part"


@runtime_checkable
class Engine(Protocol):
    """Whoever makes the files."""

    def notes(self, work: Work) -> Generator[dict[str, Any], None, None]:
        """Write each file to its passing place and yield what is to be known of it (:func:`write_shard`), in any order.

        Closed or at its end it has let go of all that it took.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Makes one file after the other in this process."""

    def notes(self, work: Work) -> Generator[dict[str, Any], None, None]:
        """Write each file (see :class:`Engine`)."""
        for file, (start, stop) in work.ranges.items():
            shard = work.edges.shard(work.edges.part(start, stop))
            yield {"file": file, **write_shard(shard, work.passing(file), work.form)}


def write_shard(shard: Shard, place: Path, form: ShardFormat) -> dict[str, Any]:
    """Write a shard to ``place`` and return its hash and counts; where that fails, the disk has it no more."""
    content = form.content(shard.edges)
    try:
        place.write_bytes(content)
    except OSError:
        place.unlink(missing_ok=True)
        raise
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": len(shard.edges),
        "owners": shard.owners,
        "left_out": dict(shard.left_out),
    }
