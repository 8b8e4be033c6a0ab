"""Writes a folder that is delivered: whole or not at all, never over something that is no delivery."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from gnn.run import put_in_place
from loaders.errors import InputError

MANIFEST = "manifest.json"


@contextmanager
def new_delivery(folder: Path, *, of: str, part: str) -> Iterator[Path]:
    """Give a folder to write to, which takes the place of ``folder`` only when the block ends without an error.

    ``part`` is the entry of the manifest by which an earlier delivery ``of`` this kind is known: anything else that is
    at the place would be deleted, so it is refused.
    """
    require_replaceable(folder, of=of, part=part)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def require_replaceable(folder: Path, *, of: str, part: str) -> None:
    """Raise if there is something at ``folder`` that is no delivery ``of`` this kind (see :func:`new_delivery`)."""
    if folder.exists() and not _is_delivery(folder, part) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{str(folder)!r} is there and is no delivery of {of}, so it is not replaced; give another --out"
        )


def write_file(file: Path, content: bytes) -> dict[str, object]:
    """Write a file and return what the manifest says of it.

    Of bytes, not by the library that made them: polars reports a full disk as a ComputeError.
    """
    file.write_bytes(content)
    return {"file": file.name, "sha256": hashlib.sha256(content).hexdigest()}


def write_table(frame: pl.DataFrame, file: Path) -> dict[str, object]:
    """Write a table as Parquet and return what the manifest says of it."""
    content = io.BytesIO()
    frame.write_parquet(content)
    return {**write_file(file, content.getvalue()), "rows": len(frame)}


def write_whole(file: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; where that fails, the disk has it no more."""
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def write_manifest(folder: Path, page: dict[str, object]) -> None:
    """Write what a delivery is made of."""
    (folder / MANIFEST).write_text(json.dumps(page, indent=2) + "\n", encoding="utf-8")


def _is_delivery(folder: Path, part: str) -> bool:
    """Return whether the manifest in ``folder`` is of such a delivery; the folder of a run has another."""
    try:
        page = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(page, dict) and part in page
