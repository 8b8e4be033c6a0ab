"""Reads a CSV file strictly: UTF-8, commas, every line as long as the header; values stay as they were written."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from loaders.errors import InputError

LINES_AT_ONCE = 100_000
# A number may not lose digits or leading zeros: 007, 1e5 and 20-digit codes stay text.
WHOLE = r"^(0|-?[1-9]\d{0,17})$"
DECIMAL = r"^-?(0|[1-9]\d{0,14})(\.\d+)?$"


def read_csv(path: Path, *, core: Collection[str]) -> pl.DataFrame:
    """Return the rows of ``path``: columns in ``core`` as text, others as numbers where every value is one."""
    # Python's reader, not polars': it refuses broken quotes and counts lines, and ragged lines cannot pass.
    # A text may be long; the reader stops at 131,072 letters unless told otherwise.
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            frame = _read_text(csv.reader(file, strict=True), path)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 in line {_first_bad_line(path)}; save as UTF-8") from None
    return frame.with_columns(_as_number(frame[column]) for column in frame.columns if column not in core)


def _read_text(reader: Iterator[list[str]], path: Path) -> pl.DataFrame:
    rows = _rows(reader, path)
    header = next(rows, None)
    if header is None:
        raise InputError(f"{path} is empty; give it a first line with the names of its columns")
    if len(header) == 1 and (other := re.search("[;\t|]", header[0])):
        raise InputError(f"{path} separates its columns by {other.group()!r}; save it with commas")
    repeated = [column for column in header if header.count(column) > 1]
    if repeated:
        raise InputError(f"{path} has more than one column {repeated[0]!r}; rename all but one")
    schema = dict.fromkeys(header, pl.String)
    frames = [pl.DataFrame(schema=schema)]
    while batch := list(islice(rows, LINES_AT_ONCE)):
        frames.append(pl.DataFrame(dict(zip(header, zip(*batch, strict=True), strict=True)), schema=schema))
    return pl.concat(frames).with_columns(pl.all().replace("", None))


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    """Yield the header, then each row that is as long; blank lines are passed over."""
    length = 0
    try:
        for row in reader:
            length = length or len(row)
            # In a table of one column, a blank line could also be an empty value; no table here has empty ids.
            if row and len(row) != length:
                raise InputError(
                    f"{path} has {len(row)} values where its header has {length}, at line {_line(reader)}; "
                    "give each line as many, and put a value that holds a comma in double quotes"
                )
            if row:
                yield row
    except csv.Error as error:
        raise InputError(
            f"{path} has broken quotes near line {_line(reader)} ({error}); put a value in double quotes and "
            'write a double quote inside it twice, like "6"" pan"'
        ) from None


def _line(reader: Iterator[list[str]]) -> int:
    return int(getattr(reader, "line_num", 0))


def _first_bad_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _as_number(text: pl.Series) -> pl.Series:
    values = text.drop_nulls()
    if values.is_empty():
        return text
    if values.str.contains(WHOLE).all():
        return text.cast(pl.Int64)
    return text.cast(pl.Float64) if values.str.contains(DECIMAL).all() else text
