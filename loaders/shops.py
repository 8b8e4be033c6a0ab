"""Finds a shop by what a person typed: the name of a known one, or the folder of her own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from loaders.complete_journey import load_complete_journey
from loaders.errors import InputError
from loaders.folder import load_folder
from loaders.synthetic import synthetic_shop
from loaders.tables import Shop

KNOWN: dict[str, Callable[[], Shop]] = {"complete-journey": load_complete_journey, "synthetic": synthetic_shop}


def load_shop(source: str) -> Shop:
    """Return the shop called ``source``, or the one in the folder ``source``."""
    if source in KNOWN:
        return KNOWN[source]()
    if not source or not Path(source).exists():
        raise InputError(f"no shop {source!r}; give {', '.join(map(repr, KNOWN))} or the path of a folder with tables")
    return load_folder(Path(source))


def shop_name(source: str) -> str:
    """Return the name of a shop without loading it, fit for a file name."""
    if source in KNOWN:
        return source
    return re.sub(r"[^\w.-]+", "-", Path(source).resolve().name).strip("-.") or "shop"
