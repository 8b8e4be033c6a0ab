"""Checks a delivery, shard by shard: that it is what its manifest says, with sound lists and ids of the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gnn.columns import ENDS, Ends
from gnn.delivery import MANIFEST
from gnn.read_delivery import AGAIN, graph_address, manifest_of
from gnn.shard_files import BrokenShardError, ShardFormat
from gnn.shards import is_whole, totals
from kg.graph import GraphTables, RunRecord
from kg.schema import SHARES
from kg.store import open_store
from loaders.errors import InputError

ROUNDING = 1e-12
"""How far a probability may rise by rounding alone: it is read off a curve between two points."""

AS_SUM = 1e-6
"""How far a weight may lie from the sum of its shares, which are of 32 bits."""


@dataclass(frozen=True)
class Known:
    """What the graph says of a delivery's ids."""

    owners: pl.Series
    """Ids of all that may have a list."""

    items: pl.Series
    """Ids of all that may stand in one."""

    bought: pl.DataFrame
    """Pairs that no list may have: ``owner``, ``item``."""

    graph: str
    """Fingerprint of the graph."""

    now: int
    """The moment after its last purchase (seconds, UTC)."""

    run: RunRecord | None
    """What the store knows of the delivery's run."""

    @classmethod
    def of(cls, tables: GraphTables, page: Mapping[str, Any], *, graph: str, run: RunRecord | None) -> Known:
        """Return what ``tables`` say of the ids of the delivery with this manifest.

        The store says the fingerprint ``graph`` and what it knows of the delivery's ``run``.
        """
        products = tables.nodes["Product"]["id"]
        own = pl.DataFrame({"owner": products, "item": products})
        now = int(tables.edges["BOUGHT"]["at"].max() or 0) + 1  # type: ignore[arg-type]
        if page["kind"] == "related":
            return cls(products, products, own, graph, now=now, run=run)
        bought = tables.edges["BOUGHT"].filter(pl.col("at") < page["now"]).select(owner="source", item="target")
        bought = (bought.clear() if page["repeat"] else bought).unique()
        return cls(tables.nodes["User"]["id"], products, bought, graph, now=now, run=run)


def print_faults(folder: Path, *, store: str | None, runs: str, password_file: str | None) -> None:
    """Print each fault of a delivery in a sentence, and raise where there is any; else print that it is whole.

    ``store`` is the address of the graph; see :func:`gnn.read_delivery.graph_address` for what is asked without it.
    """
    page = manifest_of(folder)
    address = graph_address(folder, page, store=store, runs=runs)
    with open_store(address, read_only=True, password_file=password_file) as opened:
        tables, run = opened.read_graph(), opened.run_record(page["run"])
        # Of the rows, not as it was noted when they were loaded: somebody may have changed them by hand since.
        known = Known.of(tables, page, graph=tables.fingerprint(), run=run)
    count = 0
    for count, fault in enumerate(faults(folder, page, known), start=1):  # noqa: B007
        print(fault)
    if count:
        raise InputError(f"{str(folder)!r} has {count} faults; {AGAIN}")
    print(f"whole: {page['rows']} rows in {len(page['shards'])} shards in {folder}")


def faults(folder: Path, page: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong with the delivery; one shard is in memory at a time."""
    yield from _manifest_faults(folder, page)
    yield from _source_faults(page, known)
    ends, form = ENDS[page["kind"]], ShardFormat.of_manifest(page)
    last: str | None = None
    for note in page["shards"]:
        name, file = note["file"], folder / note["file"]
        if not file.is_file():
            yield f"{name} is not there"
            continue
        if not is_whole(folder, note):
            yield f"{name} has another SHA-256 than the manifest says: it was cut short, changed or exchanged"
        try:
            frame = form.read(file)
        except BrokenShardError as error:
            yield f"{name} cannot be read as {form.kind} with the columns of the manifest ({error})"
            continue
        counted = (len(frame), frame[ends.owner].n_unique())
        if counted != (note["rows"], note["owners"]):
            yield (
                f"{name} has {counted[0]} rows of {counted[1]} {ends.owners}, and the manifest says {note['rows']} of "
                f"{note['owners']}"
            )
        first = frame[ends.owner].drop_nulls().head(1).to_list()
        if last is not None and first and first[0] <= last:
            yield f"{name} begins with {first[0]!r}, which comes not after {last!r}, the last of an earlier shard"
        last = frame[ends.owner].max() or last  # type: ignore[assignment]
        yield from _row_faults(frame, page, ends, known, name=name)


def _manifest_faults(folder: Path, page: Mapping[str, Any]) -> Iterator[str]:
    called = ENDS[page["kind"]].owners
    rows, owners, left_out = totals(page["shards"])
    if (page["rows"], page[called]) != (rows, owners):
        yield f"{MANIFEST} says {page['rows']} rows of {page[called]} {called}, and its shards have {rows} of {owners}"
    if page[f"{called}_left_out"] != left_out:
        yield f"{MANIFEST} says {page[f'{called}_left_out']} of {called} left out, and its shards say {left_out}"
    files = Counter(note["file"] for note in page["shards"])
    for file, times in files.items():
        if times > 1:
            yield f"{MANIFEST} names {file} {times} times"
    for other in sorted(each.name for each in folder.iterdir() if each.name not in {*files, MANIFEST}):
        yield f"{other} is in the folder and not in the manifest"


def _source_faults(page: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Yield a sentence for each thing that the manifest says of the graph and the run, and that is not so."""
    record = known.run
    if record is None or record.made_at != page["made_at"]:
        found = "none of it" if record is None else f"one made at {record.made_at}"
        yield (
            f"{MANIFEST} says that the run {page['run']!r} was made at {page['made_at']}, and the graph's store knows "
            f"{found}"
        )
    elif record.repeat != page["repeat"]:
        yield f"{MANIFEST} says that repeat is {page['repeat']}, and the run in the graph's store {record.repeat}"
    if page["graph"] != known.graph:
        yield f"the graph has changed since the delivery was made: {MANIFEST} has another fingerprint of it"
        return
    # A delivery knows all purchases of its graph.
    if page["now"] != known.now:
        yield f"{MANIFEST} says that now is {page['now']}, and the graph's purchases end before {known.now}"
    if page["kind"] == "bought":
        _, owners, left_out = totals(page["shards"])
        if owners + sum(left_out.values()) != len(known.owners):
            yield (
                f"{MANIFEST} tells of {owners + sum(left_out.values())} users, with a list or left out, and the graph "
                f"has {len(known.owners)}"
            )


def _row_faults(frame: pl.DataFrame, page: Mapping[str, Any], ends: Ends, known: Known, *, name: str) -> Iterator[str]:
    """Yield a sentence for each kind of wrong row, with their number and the first."""
    owner, item = pl.col(ends.owner), pl.col(ends.item)
    pairs = frame.select(owner=owner, item=item)
    bought = pairs.join(known.bought.with_columns(had=True), on=["owner", "item"], how="left", maintain_order="left")
    previous = owner.shift(1)
    wrong: dict[str, pl.Expr | pl.Series] = {
        "are of another run": pl.col("run").ne_missing(pl.lit(page["run"]))
        | pl.col("made_at").ne_missing(pl.lit(page["made_at"])),
        "lack what no row may lack": pl.any_horizontal(pl.col(name).is_null() for name in _NEVER_NULL[page["kind"]]),
        f"have a {ends.owner} that the graph does not know": ~owner.is_in(known.owners.implode()),
        f"have a {ends.item} that the graph does not know": ~item.is_in(known.items.implode()),
        "stand twice": pl.struct(ends.owner, ends.item).is_duplicated(),
        f"stand behind a later {ends.owner}": owner < previous,
        "break the ranks 1, 2, 3 …": pl.col("rank") != pl.int_range(1, pl.len() + 1).over(ends.owner),
        f"have a rank above k, {page['options']['k']}": pl.col("rank") > page["options"]["k"],
        _HAD[page["kind"]]: bought["had"].fill_null(value=False),
        **(_bought_faults(frame, known) if page["kind"] == "bought" else _related_faults()),
    }
    for what, where in wrong.items():
        found = frame.filter(where)
        if len(found):
            example = found.select(owner, item, "rank").row(0)
            first = f"{example[0]} → {example[1]} (rank {example[2]})"
            yield f"{name}: {len(found)} of {len(frame)} rows {what}, first {first}"


_HAD = {"bought": "have a product that she had bought", "related": "relate a product to itself"}


_NEVER_NULL = {
    "bought": ("user_id", "product_id", "rank", "filled"),
    "related": ("product_id", "related_id", "rank", "weight", *SHARES, "near"),
}


def _bought_faults(frame: pl.DataFrame, known: Known) -> dict[str, pl.Expr | pl.Series]:
    score, filled, boost = (
        pl.col("score"),
        pl.col("filled"),
        pl.col("boost") if "boost" in frame.columns else pl.lit(1.0),
    )
    # Where the shop's rules boost, the order is not that of the probability.
    boosted = pl.lit("boost" in frame.columns)
    rising = pl.col("probability") > pl.col("probability").shift(1).over("user_id") + ROUNDING
    ordered = pl.when(score > 0).then(score * boost).otherwise(score / boost)
    empty = ("score", "probability", "reason_kind", "reason_via", "reason_share")
    return {
        "have no score and fill nothing": score.is_null() & ~filled,
        "have a score that is no number": ~score.is_finite(),
        "fill a list and have a score, a probability or a reason": filled
        & pl.any_horizontal(pl.col(name).is_not_null() for name in empty),
        "stand behind a row that only fills the list": ~filled & filled.shift(1).over("user_id"),
        "have a score above that of the row before": ordered > ordered.shift(1).over("user_id"),
        "have a probability above that of the row before": rising & ~boosted & ~filled,
        "have a reason_kind that is no share of a weight": ~pl.col("reason_kind").is_in(SHARES),
        "have a reason_via that is no product of the graph": ~pl.col("reason_via").is_in(known.items.implode()),
        "have a probability outside 0 to 1": ~pl.col("probability").is_between(0, 1),
    }


def _related_faults() -> dict[str, pl.Expr | pl.Series]:
    weight = pl.col("weight")
    return {
        "have a weight that is not above 0": ~(weight.is_finite() & (weight > 0)).fill_null(value=False),
        "have a weight above that of the row before": weight > weight.shift(1).over("product_id"),
        "have a weight that is not the sum of its shares": (pl.sum_horizontal(SHARES) - weight).abs() > AS_SUM,
    }
