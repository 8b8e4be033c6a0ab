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
"""Larger blocks are given back also where others are kept: in a fit of the whole model to Amazon Beauty it took 10 of
200 s less to keep all, and a gigabyte more."""

MOST_KEPT = (1 << 31) - 1
"""Free memory behind the last block in use, at the most: the largest number that glibc takes."""

LEAST_KEPT = 128 << 10
"""What glibc begins with."""


def give_back_freed_memory() -> None:
    """Have blocks of a megabyte and more given back when they are freed, for the rest of the process.

    By itself glibc raises that size to 32 MB as such blocks are freed, and then keeps the smaller ones for good: what
    came after the steps of the edge network, each of another size, found 10 GB taken in the place of 2. Nothing happens
    where there is no glibc. Where :func:`freed_memory_kept` left holes between blocks that are in use, blocks that fit
    in them are still put there.
    """
    _tell_malloc(largest=LARGE, most=LEAST_KEPT)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed blocks of up to 32 MB for what is asked for next; after the ``with`` their pages are given back.

    For steps that each ask for the same again: a page that is new costs the kernel more than a step does to fill it.
    After it freed memory is given back as by :func:`give_back_freed_memory`, also in a program that did not ask for
    that: glibc cannot be asked how it was. Not to be nested, and for one thread at a time: the first to end ends it.
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
