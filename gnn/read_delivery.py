"""Reads a delivery of ranked edges back: its manifest, every word of it checked, its rows, its graph's address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import polars as pl

from gnn.columns import ENDS, Kind, columns_of
from gnn.delivery import MANIFEST
from gnn.run import RunFolder
from gnn.shard_files import BrokenShardError, Format, ShardFormat
from gnn.shards import are_counts, is_count, is_sound, is_whole, read_page
from loaders.errors import InputError

FACTS = {"kind", "run", "made_at", "store", "graph", "now", "repeat", "options", "columns", "rows", "shards"}
"""What the manifest of a delivery says, beside the number of owners and those left out."""

LAST_MOMENT = 253_402_300_799
"""The last second of the year 9999, the last that a date has a name for."""

AGAIN = "delete the folder and export again with the same options"


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of a delivery of ranked edges; raise where there is none that this version can read."""
    page = read_page(folder / MANIFEST)
    if page is None or "shards" not in page:
        raise InputError(f"{str(folder)!r} is no delivery of ranked edges: it has no {MANIFEST} that says so")
    if lacking := sorted(FACTS - page.keys()):
        raise InputError(
            f"{str(folder / MANIFEST)!r} lacks {', '.join(lacking)}, so it is not of this version; {AGAIN}"
        )
    if wrong := [name for name, sound in _checks(page) if not sound]:
        raise InputError(f"{str(folder / MANIFEST)!r} has {wrong[0]!r} that cannot be; {AGAIN}")
    return page


def _checks(page: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield each entry of a manifest that has :data:`FACTS`, and whether it is of its type and in its range."""
    kind: Kind = page["kind"]
    options, shards = page["options"], page["shards"]
    yield "kind", isinstance(kind, str) and kind in ENDS
    for name in ("run", "made_at", "store", "graph"):
        yield name, _is_text(page[name])
    yield "repeat", isinstance(page["repeat"], bool)
    yield "now", is_count(page["now"]) and 0 < page["now"] <= LAST_MOMENT
    yield (
        "options",
        isinstance(options, dict)
        and options.get("format") in get_args(Format)
        and isinstance(options.get("bom"), bool)
        and is_count(options.get("k"))
        and options["k"] > 0,
    )
    yield "columns", isinstance(kind, str) and kind in ENDS and _are_columns(page["columns"], kind)
    yield "rows", is_count(page["rows"])
    yield "shards", isinstance(shards, list) and bool(shards) and all(map(is_sound, shards))
    called = ENDS[kind].owners if isinstance(kind, str) and kind in ENDS else "users"
    yield called, is_count(page.get(called))
    yield f"{called}_left_out", are_counts(page.get(f"{called}_left_out"))


def _is_text(value: object) -> bool:
    """Return whether ``value`` is a text that a table or a path can hold: JSON may have halves of a character."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def _are_columns(columns: object, kind: Kind) -> bool:
    boosts = (False, True) if kind == "bought" else (False,)
    return columns in [[asdict(column) for column in columns_of(kind, boosted=boosted)] for boosted in boosts]


def delivered_edges(folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of each shard of a delivery."""
    page = manifest_of(folder)
    form = ShardFormat.of_manifest(page)
    for shard in page["shards"]:
        if not is_whole(folder, shard):
            where = str(folder / shard["file"])
            raise InputError(
                f"{where!r} is not what its manifest says, by its SHA-256; python -m gnn.export --verify says more"
            )
        try:
            yield form.read(folder / shard["file"])
        except BrokenShardError as error:
            where = str(folder / shard["file"])
            raise InputError(f"{where!r} cannot be read ({error}); python -m gnn.export --verify says more") from error


def graph_address(folder: Path, page: Mapping[str, Any], *, store: str | None, runs: str) -> str:
    """Return the address of the graph to check the delivery in ``folder``, with this manifest, against.

    A password is sent to what a person or an own run names, never to a server that only the manifest does: that may
    come from anyone.
    """
    if store is not None:
        return store
    named, run = page["store"], page["run"]
    if named.startswith("ladybug:"):
        return str(named)
    # The name is the manifest's too: it must not lead out of --runs, to a run that came along with the delivery.
    own = Path(runs) / run / MANIFEST
    plain = Path(run).name == run and run not in {"", ".."}
    if plain and own.is_file() and RunFolder.open(runs, run).manifest().store == named:
        return str(named)
    raise InputError(
        f"{str(folder / MANIFEST)!r} names a server that no run {run!r} in {runs!r} has its graph in; "
        "give the graph's address as --store"
    )
