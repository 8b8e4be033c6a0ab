"""Moves a finished file or folder to its place, so that the place is never half written."""

from __future__ import annotations

import shutil
from pathlib import Path

from loaders.errors import InputError


def put_in_place(beside: Path, place: Path) -> None:
    """Move the finished folder ``beside`` to ``place``; an old one there is deleted only after the new one is in."""
    place = real_place(place)
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    beside.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def real_place(place: Path) -> Path:
    """Return ``place`` without links and dots, so that what is made beside it is on the same disk and has a name."""
    try:
        real = place.resolve()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{str(place)!r} is a link that leads round in a circle; give another folder") from error
    if not real.name:
        raise InputError(f"{str(place)!r} has no name of its own; give a folder below it")
    return real


def write_whole(file: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; where that fails, the disk has it no more."""
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
