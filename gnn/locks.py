"""Locks against other processes; one ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom


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
