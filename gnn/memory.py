"""Has freed memory given back to the system, where the C library would keep it."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD = -3
"""glibc's name for it, M_MMAP_THRESHOLD of malloc.h."""

LARGE = 1 << 20


def give_back_freed_memory() -> None:
    """Have blocks of a megabyte and more given back when they are freed, for the rest of the process.

    By itself glibc raises that size to 32 MB as such blocks are freed, and then keeps the smaller ones: the steps of
    the edge network, each of another size, made a process of 2 GB one of 10 GB. Nothing happens where there is no
    glibc.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(MMAP_THRESHOLD, LARGE)
