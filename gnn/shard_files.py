"""Writes and reads one file of a delivery: Parquet, CSV that a spreadsheet may open, or JSON lines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from gnn.columns import TYPES, Column, with_types
from gnn.csv_cells import guarded_cells, original_cells

Format = Literal["parquet", "csv", "jsonl"]


class BrokenShardError(Exception):
    """A file that cannot be read as the format its delivery has; the message says what the reader said."""


@dataclass(frozen=True)
class ShardFormat:
    """How the files of one delivery are written."""

    columns: Sequence[Column]
    kind: Format
    bom: bool = False
    """Begin a CSV with a byte order mark, by which some spreadsheets know UTF-8."""

    @classmethod
    def of_manifest(cls, page: Mapping[str, Any]) -> ShardFormat:
        """Return how the files of the delivery with this manifest are written."""
        columns = tuple(Column(**column) for column in page["columns"])
        return cls(columns, page["options"]["format"], bom=page["options"]["bom"])

    def content(self, frame: pl.DataFrame) -> bytes:
        """Return the bytes of a file with these rows; the same rows, the same bytes."""
        content = io.BytesIO()
        if self.kind == "parquet":
            frame.write_parquet(content)
        elif self.kind == "csv":
            guarded_cells(frame).write_csv(content, include_bom=self.bom)
        else:
            frame.write_ndjson(content)
        return content.getvalue()

    def read(self, file: Path) -> pl.DataFrame:
        """Return the rows of a file as they were; raise a BrokenShardError where it is not of this format."""
        try:
            frame = self._read(file)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise BrokenShardError(str(error).partition("\n")[0]) from error
        found = {name: str(kind) for name, kind in frame.schema.items()}
        wanted = {column.name: str(TYPES[column.type]()) for column in self.columns}
        if list(found.items()) != list(wanted.items()):
            raise BrokenShardError(_differences(found, wanted))
        return with_types(frame, self.columns)

    def _read(self, file: Path) -> pl.DataFrame:
        if self.kind == "parquet":
            return pl.read_parquet(file, glob=False)
        types = {column.name: TYPES[column.type] for column in self.columns}
        if not file.stat().st_size:
            return pl.DataFrame(schema=types)
        if self.kind == "csv":
            # By name: given a schema, polars does not look at the header.
            header = pl.read_csv(file, n_rows=0, infer_schema=False, glob=False).columns
            if header != list(types):
                raise pl.exceptions.SchemaError(f"its columns are {', '.join(header)}")
            return original_cells(pl.read_csv(file, schema=types, glob=False))
        # Of bytes: by its name, polars would take a folder with [ or * in it for a pattern.
        return pl.read_ndjson(file.read_bytes(), schema=types)


def _differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    missing = [name for name in wanted if name not in found]
    more = [name for name in found if name not in wanted]
    other = [f"{name} is {kind}" for name, kind in found.items() if name in wanted and kind != wanted[name]]
    parts = (
        ("lacks " + ", ".join(missing)) if missing else "",
        ("has more: " + ", ".join(more)) if more else "",
        ", ".join(other),
        "" if missing or more or other else "its columns are in another order",
    )
    return "; ".join(part for part in parts if part)
