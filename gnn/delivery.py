"""Writes a folder that is delivered: whole or not at all, never over something that is no delivery."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from gnn.place import put_in_place, real_place
from loaders.errors import InputError

MANIFEST = "manifest.json"


@contextmanager
def new_delivery(folder: Path, *, of: str, part: str, same: Mapping[str, Any]) -> Iterator[Path]:
    """Give a folder to write to, which takes the place of ``folder`` only when the block ends without an error.

    ``part`` is the entry of the manifest by which an earlier delivery ``of`` this kind is known, and ``same`` what its
    manifest must say: anything else that is at the place would be deleted, so it is refused.
    """
    folder = real_place(folder)
    require_replaceable(folder, of=of, part=part, same=same)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def require_replaceable(
    folder: Path, *, of: str, part: str, same: Mapping[str, Any], own: Collection[str] = ()
) -> None:
    """Raise if something at ``folder`` is no delivery ``of`` this kind, or not of it (see :func:`new_delivery`).

    ``own`` are files that belong to such a delivery also where a broken manifest does not name them.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    page = _page(folder, part)
    if page is None:
        raise InputError(
            f"{str(folder)!r} is there and is no delivery of {of}, so it is not replaced; give another --out"
        )
    for key, value in same.items():
        if page.get(key) != value:
            raise InputError(
                f"{str(folder)!r} holds a delivery whose {key} is {page.get(key)!r} and not {value!r}, so it is not "
                "replaced; give another --out"
            )
    named = [each.get("file") for each in page[part] if isinstance(each, dict)]
    kept = {MANIFEST, *(name for name in named if isinstance(name, str)), *own}
    others = sorted(file.name for file in folder.iterdir() if file.name not in kept)
    if others:
        raise InputError(
            f"{str(folder)!r} holds what is not of its delivery ({others[0]!r}, {len(others)} in all), so it is not "
            "replaced; move that away, or give another --out"
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


def write_manifest(folder: Path, page: dict[str, object]) -> None:
    """Write what a delivery is made of."""
    (folder / MANIFEST).write_text(json.dumps(page, indent=2) + "\n", encoding="utf-8")


def _page(folder: Path, part: str) -> dict[str, Any] | None:
    """Return the manifest in ``folder`` if it is of such a delivery, else None; the folder of a run has another."""
    try:
        page = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return page if isinstance(page, dict) and isinstance(page.get(part), list) else None
