"""Loads your own shop: a folder with one CSV or Parquet file for each table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from loaders.columns import CORE, REQUIRED, require_columns
from loaders.csv_file import read_csv
from loaders.errors import InputError
from loaders.tables import Shop, check_shop


def load_folder(folder: Path) -> Shop:
    """Return the shop in ``folder``: files ``products`` and ``purchases``, and ``users`` and ``links`` if there."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}; give the folder that holds {_expected('products')} and the other tables")
    # check_shop reads purchases column by column, so a broken one shows only there.
    with _read_as_asked(folder):
        return check_shop(
            folder.resolve().name,
            products=_read_required(folder, "products"),
            purchases=_purchases(folder),
            users=_read(folder, "users"),
            links=_read(folder, "links"),
        )


def _expected(table: str) -> str:
    return f"{table}.csv or {table}.parquet"


def _purchases(folder: Path) -> pl.LazyFrame:
    """Return the purchases; those of a Parquet file are read as they are asked for, column by column."""
    path = _purchases_in_parquet(folder)
    if path:
        with _whole(path):
            frame = pl.scan_parquet(path, glob=False)
            columns = frame.collect_schema().names()
        require_columns(columns, "purchases", where=str(path))
        return frame
    return _read_required(folder, "purchases").lazy()


def _purchases_in_parquet(folder: Path) -> Path | None:
    path = folder / "purchases.parquet"
    return path if path.exists() and not (folder / "purchases.csv").exists() else None


def _read_required(folder: Path, table: str) -> pl.DataFrame:
    frame = _read(folder, table)
    if frame is None:
        optional = [column for column in CORE[table] if column not in REQUIRED[table]]
        raise InputError(
            f"{folder} has no {_expected(table)}; add it with the columns {', '.join(REQUIRED[table])} "
            f"and, where you have them, {', '.join(optional)}"
        )
    return frame


def _read(folder: Path, table: str) -> pl.DataFrame | None:
    """Return the rows of the file of ``table``, or None where there is no file."""
    as_csv, as_parquet = folder / f"{table}.csv", folder / f"{table}.parquet"
    if as_csv.exists() and as_parquet.exists():
        raise InputError(f"{folder} has both {table}.csv and {table}.parquet; keep one")
    if as_csv.exists():
        frame = read_csv(as_csv, core=CORE[table])
        require_columns(frame.columns, table, where=str(as_csv))
        return frame
    if as_parquet.exists():
        with _whole(as_parquet):
            frame = pl.read_parquet(as_parquet, glob=False)
        require_columns(frame.columns, table, where=str(as_parquet))
        return frame
    return None


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say of a Parquet file whose schema or rows cannot be read that it is not whole."""
    try:
        yield
    except (
        pl.exceptions.ComputeError,
        pl.exceptions.DuplicateError,
        pl.exceptions.InvalidOperationError,
    ) as error:
        raise _not_whole(path, error) from None


@contextmanager
def _read_as_asked(folder: Path) -> Iterator[None]:
    """Say of purchases in Parquet, a page of which turns out broken while they are checked, that they are not whole."""
    try:
        yield
    except pl.exceptions.ComputeError as error:
        path = _purchases_in_parquet(folder)
        if path is None:
            raise
        raise _not_whole(path, error) from None


def _not_whole(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}); write it again")
