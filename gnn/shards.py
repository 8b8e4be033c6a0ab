"""Delivers shard by shard: what a killed command left whole is kept, and the end is byte for byte the same."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gnn.delivery import MANIFEST, require_replaceable, write_manifest
from gnn.locks import only_process
from gnn.place import put_in_place, real_place, write_whole
from gnn.shard_files import ShardFormat
from gnn.shard_work import Edges, Engine, LocalEngine, Work
from loaders.errors import InputError

PLAN = "plan.json"
NOTE = {"file", "sha256", "rows", "owners", "left_out"}
"""What is said of a shard, in a note beside it and then in the manifest."""

BYTES_OF_PARQUET = 12
"""At least so many a row, nearly all of them for its score: what repeats takes next to nothing there."""


@dataclass(frozen=True)
class Delivery:
    """What was delivered."""

    folder: Path
    rows: int
    owners: int
    """Users (or products) who have a list."""

    left_out: Mapping[str, int]
    """Why others have none → how many."""

    items: int
    """Products that can be in a list."""

    made: int
    """Shards that this command made; the others were there."""


def deliver_shards(
    edges: Edges,
    folder: Path,
    *,
    plan: Mapping[str, Any],
    form: ShardFormat,
    per_shard: int,
    called: str,
    otherwise: str | None = None,
    engine: Engine | None = None,
) -> Delivery:
    """Write the edges of so many owners a shard and the manifest; the folder takes its place when all of it is there.

    ``plan`` says what is made, so that whole shards of the same plan are kept, beside the place or at it, and those of
    another one never: whatever changes a byte has to be in it. ``called`` is what the manifest calls the owners;
    ``otherwise`` is said, and nothing delivered, where there is no row. ``engine`` makes the files, this process by
    default; whatever makes them, they are the same, and only this process gives them their names.
    """
    plan, folder = json.loads(json.dumps(plan)), real_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    taken = f"another export writes to {str(folder)!r}; wait for it, or give another --out"
    with only_process(folder.with_name(f".{folder.name}.lock"), otherwise=taken):
        starts = range(0, len(edges.owners), per_shard)
        files = {f"part-{number:05d}.{form.kind}": start for number, start in enumerate(starts)}
        same = {key: plan.get(key) for key in ("kind", "run")}
        require_replaceable(folder, of="ranked edges", part="shards", same=same, own=files)
        there = whole_shards(folder, plan, files)
        if files.keys() == there.keys() and read_page(folder / MANIFEST) == _page(plan, there, files, called):
            # What a command that was killed left; nobody goes on with it.
            for ending in ("part", "old"):
                shutil.rmtree(folder.with_name(f".{folder.name}.{ending}"), ignore_errors=True)
            return _delivery(folder, there, edges, made=0)
        beside = _begun(folder, plan, there)
        notes = whole_shards(beside, plan, files)
        ranges = {file: (start, min(start + per_shard, len(edges.owners))) for file, start in files.items()}
        work = Work(edges, form, beside, {file: ends for file, ends in ranges.items() if file not in notes})
        _require_space(folder, edges, form, share=len(work.ranges) / max(len(files), 1))
        notes |= _made(work, engine or LocalEngine(), called=called)
        if otherwise and not any(note["rows"] for note in notes.values()):
            shutil.rmtree(beside)
            raise InputError(otherwise)
        write_manifest(beside, _page(plan, notes, files, called))
        for left in beside.iterdir():
            if left.name not in {MANIFEST, *files}:
                left.unlink()
        put_in_place(beside, folder)
    return _delivery(folder, notes, edges, made=len(work.ranges))


def whole_shards(folder: Path, plan: Mapping[str, Any], files: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return file → what is said of it, of each of ``files`` that is whole in ``folder`` and made by the same plan."""
    page = read_page(folder / MANIFEST)
    if page is not None:
        same = all(page.get(key) == value for key, value in plan.items())
        notes = page.get("shards") if same else []
        if not isinstance(notes, list) or not all(map(is_sound, notes)):
            return {}
    else:
        same = read_page(folder / PLAN) == plan
        notes = [read_page(folder / f"{file}.note") for file in files] if same else []
    wanted, known = set(files), [note for note in notes if is_sound(note)]
    return {note["file"]: note for note in known if note["file"] in wanted and is_whole(folder, note)}


def is_count(value: object) -> bool:
    """Return whether ``value`` is a whole number from 0 on that a table can hold."""
    return type(value) is int and 0 <= value < 1 << 63


def are_counts(value: object) -> bool:
    """Return whether ``value`` says how many there are of each."""
    return isinstance(value, dict) and all(map(is_count, value.values()))


def is_sound(note: object) -> bool:
    """Return whether ``note`` says of a shard what has to be said (:data:`NOTE`), each of its type.

    Its file has a plain name, so that nothing outside the delivery's folder is read or written.
    """
    if not isinstance(note, dict) or not note.keys() >= NOTE:
        return False
    file = note["file"]
    return (
        isinstance(file, str)
        and bool(re.fullmatch(r"part-[0-9]+\.[a-z]+", file))
        and isinstance(note["sha256"], str)
        and is_count(note["rows"])
        and is_count(note["owners"])
        and are_counts(note["left_out"])
    )


def is_whole(folder: Path, note: Mapping[str, Any]) -> bool:
    """Return whether the file that ``note`` speaks of is in ``folder`` and has the hash that it says."""
    try:
        with (folder / note["file"]).open("rb") as opened:
            return bool(hashlib.file_digest(opened, "sha256").hexdigest() == note["sha256"])
    except (FileNotFoundError, IsADirectoryError):
        return False


def read_page(file: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None where there is none."""
    try:
        page = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return page if isinstance(page, dict) else None


def _begun(folder: Path, plan: Mapping[str, Any], there: Mapping[str, Mapping[str, Any]]) -> Path:
    """Return the folder beside, with what it holds of the same plan and the whole shards of a broken delivery."""
    beside = folder.with_name(f".{folder.name}.part")
    begun = read_page(beside / MANIFEST) or read_page(beside / PLAN) or {}
    if any(begun.get(key) != value for key, value in plan.items()):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        write_whole(beside / PLAN, _as_json(plan))
    for file, note in there.items():
        if not (beside / file).exists():
            # Never by a link: whoever mends the one file by hand would change the other.
            shutil.copyfile(folder / file, beside / f".{file}.part")
            (beside / f".{file}.part").replace(beside / file)
            write_whole(beside / f"{file}.note", _as_json(note))
    return beside


def _made(work: Work, engine: Engine, *, called: str) -> dict[str, dict[str, Any]]:
    """Have the files made and return what is said of each: only a file with a note that fits is taken for whole."""
    notes = {}
    num_owners = len(work.edges.owners)
    to_make = sum(stop - start for start, stop in work.ranges.values())
    progress = tqdm(total=num_owners, initial=num_owners - to_make, desc=f"export {called}", disable=None)
    with progress, closing(engine.notes(work)) as made:
        for note in made:
            file = note["file"]
            work.passing(file).replace(work.folder / file)
            write_whole(work.folder / f"{file}.note", _as_json(note))
            notes[file] = note
            start, stop = work.ranges[file]
            progress.update(stop - start)
    return notes


def _as_json(page: Mapping[str, Any]) -> bytes:
    return (json.dumps(page, indent=2) + "\n").encode()


def _page(
    plan: Mapping[str, Any], notes: Mapping[str, Mapping[str, Any]], files: Iterable[str], called: str
) -> dict[str, Any]:
    """Return the manifest of a delivery of these shards."""
    rows, owners, left_out = totals(notes.values())
    return {
        **plan,
        "rows": rows,
        called: owners,
        f"{called}_left_out": left_out,
        "shards": [notes[file] for file in files],
    }


def totals(notes: Iterable[Mapping[str, Any]]) -> tuple[int, int, dict[str, int]]:
    """Return the rows and owners of these shards, and why how many owners are left out."""
    left_out: Counter[str] = Counter()
    rows = owners = 0
    for note in notes:
        rows, owners = rows + note["rows"], owners + note["owners"]
        left_out.update(note["left_out"])
    return rows, owners, {why: left_out[why] for why in sorted(left_out) if left_out[why]}


def _delivery(folder: Path, notes: Mapping[str, Mapping[str, Any]], edges: Edges, *, made: int) -> Delivery:
    rows, owners, left_out = totals(notes.values())
    return Delivery(folder, rows, owners, left_out, len(edges.items), made)


def _require_space(folder: Path, edges: Edges, form: ShardFormat, *, share: float) -> None:
    """Raise where the disk has no room for this share of the edges: all lists full, each row as short as can be."""
    if form.kind == "parquet":
        per_row = float(BYTES_OF_PARQUET)
    else:
        ids = [float(names.str.len_bytes().mean() or 0) for names in (edges.owners, edges.items)]  # type: ignore[arg-type]
        names = sum(len(column.name) + 4 for column in edges.columns) if form.kind == "jsonl" else 0
        per_row = sum(ids) + len(edges.columns) + names
    needed = share * per_row * edges.most_rows
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise InputError(
            f"the shards take {needed / 1e9:,.1f} GB or more, and {free / 1e9:,.1f} GB are free at "
            f"{str(folder.parent)!r}; make room, or give another --out or a smaller --k"
        )
