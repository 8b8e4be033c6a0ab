"""Finds a shop by what a person typed: the name of a known one, or the folder of her own."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loaders.amazon_beauty import RAW, load_amazon_beauty
from loaders.complete_journey import load_complete_journey
from loaders.errors import InputError
from loaders.folder import load_folder
from loaders.synthetic import synthetic_shop
from loaders.tables import Shop

KNOWN: dict[str, Callable[[], Shop]] = {"complete-journey": load_complete_journey, "synthetic": synthetic_shop}
KNOWN_RAW: dict[str, Callable[[Path], Shop]] = {
    "amazon-beauty": partial(load_amazon_beauty, split="a"),
    "amazon-beauty-b": partial(load_amazon_beauty, split="b"),
}
"""Shops whose raw files are in a folder that is not part of a package."""


def load_shop(source: str, *, raw: str | None = None) -> Shop:
    """Return the shop called ``source``, with its raw files in ``raw`` where it has any, or that in a folder."""
    if source in KNOWN_RAW:
        return KNOWN_RAW[source](RAW if raw is None else Path(raw))
    if raw is not None:
        raise InputError(f"{source!r} has no raw files to be found in {raw!r}; leave out --raw")
    if source in KNOWN:
        return KNOWN[source]()
    if not source or not Path(source).exists():
        raise InputError(
            f"no shop {source!r}; give {', '.join(map(repr, [*KNOWN, *KNOWN_RAW]))} or the path of a folder with tables"
        )
    return load_folder(Path(source))


def shop_name(source: str) -> str:
    """Return the name of a shop without loading it, fit for a file name."""
    if source in KNOWN or source in KNOWN_RAW:
        return source
    return re.sub(r"[^\w.-]+", "-", Path(source).resolve().name).strip("-.") or "shop"
