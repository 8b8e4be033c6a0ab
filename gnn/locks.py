"""Locks against other processes; one ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from loaders.errors import InputError


@contextmanager
def locked(file: BufferedRandom, byte: int) -> Iterator[None]:
    """Hold the lock on one byte of ``file`` against other processes."""
    fcntl.lockf(file, fcntl.LOCK_EX, 1, byte)
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)


def is_locked(file: BufferedRandom, byte: int) -> bool:
    """Return whether another process holds the lock on this byte."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):
        return True
    fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
    return False


@contextmanager
def only_process(file: Path, *, otherwise: str) -> Iterator[None]:
    """Be the only process in this block, by a lock on ``file``, which is there only as long; raise ``otherwise``."""
    while True:
        with file.open("a+b") as opened:
            try:
                fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise InputError(otherwise) from error
            # Whoever held the lock before may have deleted this file after we opened it: nobody else sees our lock.
            if not _is_at(opened, file):
                continue
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
            return


def _is_at(opened: BufferedRandom, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened.fileno()), file.stat())
    except FileNotFoundError:
        return False
