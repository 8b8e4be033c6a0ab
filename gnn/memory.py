"""Says when freed memory is given back to the system, and when it is kept for the next step of a training."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's numbers for M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, of malloc.h."""

LARGE = 1 << 20

LARGEST_KEPT = 32 << 20
"""The largest block that glibc can be told to keep (its HEAP_MAX_SIZE / 2)."""

MOST_KEPT = (1 << 31) - 1
"""Of all blocks together: the largest number that it takes."""

LEAST_KEPT = 128 << 10
"""What it keeps by itself."""


def give_back_freed_memory() -> None:
    """Have blocks of a megabyte and more given back when they are freed, for the rest of the process.

    By itself glibc raises that size to 32 MB as such blocks are freed, and then keeps the smaller ones: the steps of
    the edge network, each of another size, made a process of 2 GB one of 10 GB. Nothing happens where there is no
    glibc.
    """
    _tell_malloc(largest=LARGE, most=LEAST_KEPT)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed blocks of up to 32 MB for what is asked for next; after the ``with`` all are given back.

    For steps that each ask for the same again: a page that is new costs the kernel more than a step does to fill it.
    """
    _tell_malloc(largest=LARGEST_KEPT, most=MOST_KEPT)
    try:
        yield
    finally:
        give_back_freed_memory()
        trim = getattr(_c_library(), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _tell_malloc(*, largest: int, most: int) -> None:
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, largest)
        mallopt(TRIM_THRESHOLD, most)


def _c_library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
