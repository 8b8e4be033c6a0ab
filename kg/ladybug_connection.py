"""A Ladybug file that is open: statements, answers, copies and transactions, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ladybug
import polars as pl
from polars import selectors
from tqdm import tqdm

from kg import schema
from loaders.errors import InputError

# The database would take 80 % of the machine's memory; the whole main job has to fit in 4 GB. 5 million RELATED edges
# need 1 GB (512 MB were too few); a larger shop sets the variable.
BUFFER_BYTES = int(os.environ.get("LADYBUG_BUFFER_MB", "2048")) << 20
# 5 million purchases: the database needs 900 MB for them (700 were too few).
CELLS_PER_COPY = 40_000_000
LARGE_ROWS = 100_000


class Connection:
    """The one connection to an open file. Everything the database refuses is an InputError that names the file."""

    def __init__(self, path: Path, *, address: str, read_only: bool) -> None:
        self.address = address
        try:
            self._database = ladybug.Database(path, buffer_pool_size=BUFFER_BYTES, read_only=read_only)
            self._connection = ladybug.Connection(self._database)
        except RuntimeError as error:
            raise InputError(_why_not_open(address, str(error))) from error

    def close(self) -> None:
        """Write what is still in memory to the file and let others open it."""
        self._connection.close()
        self._database.close()

    def run(self, text: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement whose answer is not wanted."""
        self._execute(text, parameters).close()

    def read(self, text: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Return the rows of a query."""
        result = self._execute(text, parameters)
        frame = result.get_as_pl()
        result.close()
        # The sum of integers is a Decimal here and an integer elsewhere.
        return frame.with_columns(selectors.decimal().cast(pl.Int64))

    def copy(self, table: str, frame: pl.DataFrame, *, options: str = "") -> None:
        """Add the rows of ``frame`` to ``table``: its columns by name for nodes, by their order for edges."""
        is_node = table in {*schema.NODES, "Graph", "Run"}
        columns = f"({', '.join(f'`{name}`' for name in frame.columns)})" if is_node else ""
        # In slices, because the database takes its own copy of what it is given; in few, because edges of nodes that
        # have some already take twice as long: of 20 million purchases the first 5 million 15 s of CPU, the next 27.
        size = CELLS_PER_COPY // frame.width
        slices = frame.iter_slices(size)
        for rows in tqdm(slices, total=-(-len(frame) // size), desc=f"write {table}", disable=_quiet(frame)):
            self.run(f"COPY `{table}`{columns} FROM $rows{options}", {"rows": rows})

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that is run inside, or, where it raises, nothing of it."""
        self.run("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            # A COPY that fails has rolled back already, and then there is no transaction to end.
            with suppress(InputError):
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def _execute(self, text: str, parameters: Mapping[str, Any] | None) -> ladybug.QueryResult:
        try:
            result = self._connection.execute(text, dict(parameters or {}))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            if "buffer pool is full" in reason:
                raise InputError(
                    f"{self.address!r} needs more than the {BUFFER_BYTES >> 20} MB of memory it has; give more by the "
                    "environment variable LADYBUG_BUFFER_MB"
                ) from error
            if "IO exception" in reason:
                raise InputError(f"{self.address!r} cannot be written or read ({reason}); see to its disk") from error
            raise InputError(f"{self.address!r} cannot answer: {reason}") from error
        return result[-1] if isinstance(result, list) else result


def _quiet(frame: pl.DataFrame) -> bool | None:
    """Return whether to show no progress: always for a small table, else (None) where there is no terminal."""
    return None if len(frame) > LARGE_ROWS else True


def _why_not_open(address: str, reason: str) -> str:
    if "Could not set lock" in reason:
        return f"the store {address!r} is open in another process; wait until that has ended, or end it"
    return f"{address!r} cannot be opened as a Ladybug store ({' '.join(reason.split())}); give another path"
