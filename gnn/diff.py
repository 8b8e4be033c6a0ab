"""Compares two deliveries: what entered the lists, what left them and what moved, by brand and by category."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from gnn.columns import ENDS, Ends
from gnn.place import write_whole
from gnn.read_delivery import delivered_edges, graph_address, manifest_of
from kg.graph import GraphTables
from kg.store import open_store
from kg.text_table import date_text, one_line
from loaders.errors import InputError

CHANGES = ("entered", "left", "up", "down", "same")
MOST_LINES = 20
"""So many brands, categories and products are on the page, those with the most changes."""


def difference(
    old: Path, new: Path, *, out: str | None, store: str | None, runs: str, password_file: str | None
) -> str:
    """Return a page of what changed from one delivery to another; all changes go to the Parquet file ``out``."""
    before, after = manifest_of(old), manifest_of(new)
    ends = require_comparable(before, after)
    address = graph_address(new, after, store=store, runs=runs)
    rows = changes(delivered_edges(old), delivered_edges(new), ends)
    with open_store(address, read_only=True, password_file=password_file) as opened:
        page = page_of(rows, before, after, opened.read_graph(purchases=False), ends)
    if out:
        content = io.BytesIO()
        rows.write_parquet(content)
        write_whole(Path(out), content.getvalue())
    return page


def require_comparable(old: Mapping[str, Any], new: Mapping[str, Any]) -> Ends:
    """Return the columns of two deliveries with these manifests; raise where they are of two kinds."""
    if old["kind"] != new["kind"]:
        raise InputError(
            f"the old delivery is of {old['kind']} edges and the new one of {new['kind']}; give two of one kind"
        )
    return ENDS[new["kind"]]


def changes(old: Iterable[pl.DataFrame], new: Iterable[pl.DataFrame], ends: Ends) -> pl.DataFrame:
    """Return each pair of an owner and a product that is in a list of either delivery, in order.

    Columns: the owner, the product, ``change`` (:data:`CHANGES`; up is a better rank), ``old_rank`` and ``new_rank``
    (null where it is not in the list). Only three columns of both deliveries are in memory.
    """
    keys = [ends.owner, ends.item]
    before, after = (
        pl.concat(shard.select(*keys, pl.col("rank").alias(name)) for shard in shards)
        for shards, name in ((old, "old_rank"), (new, "new_rank"))
    )
    was, now = pl.col("old_rank"), pl.col("new_rank")
    change = (
        pl.when(was.is_null()).then(pl.lit("entered"))
        .when(now.is_null()).then(pl.lit("left"))
        .when(now < was).then(pl.lit("up"))
        .when(now > was).then(pl.lit("down"))
        .otherwise(pl.lit("same"))
    )  # fmt: skip
    both = before.join(after, on=keys, how="full", coalesce=True).with_columns(change=change)
    return both.select(*keys, "change", "old_rank", "new_rank").sort(keys)


def counted(rows: pl.DataFrame, groups: pl.DataFrame, *, item: str) -> pl.DataFrame:
    """Return ``group`` and how many rows of each change its products have, the group with most changes first.

    ``groups`` holds ``source`` (a product) and ``target`` (one of its groups).
    """
    joined = rows.join(groups, left_on=item, right_on="source", how="inner")
    each = (pl.col("change").eq(change).sum().alias(change) for change in CHANGES)
    counts = joined.group_by(pl.col("target").alias("group")).agg(*each)
    changed = pl.sum_horizontal(CHANGES[:-1])
    return counts.filter(changed > 0).sort(changed, "group", descending=[True, False])


def page_of(rows: pl.DataFrame, old: Mapping[str, Any], new: Mapping[str, Any], tables: GraphTables, ends: Ends) -> str:
    """Return the differences as a Markdown page; brands, categories and names are those of ``tables``."""
    totals = {change: int((rows["change"] == change).sum()) for change in CHANGES}
    owners = {
        name: set(rows.filter(pl.col(rank).is_not_null())[ends.owner].unique())
        for name, rank in (("old", "old_rank"), ("new", "new_rank"))
    }
    names = tables.nodes["Product"].select(source="id", target=pl.coalesce("name", "id") + " (" + pl.col("id") + ")")
    lists = [
        f"- {name}: run {one_line(page['run'])} made at {page['made_at']}, purchases before {date_text(page['now'])}, "
        f"{page['rows']} rows for {page[ends.owners]} {ends.owners}"
        for name, page in (("old", old), ("new", new))
    ]
    return "\n\n".join(
        [
            "# What changed in the lists",
            "\n".join(lists),
            f"{ends.owners.capitalize()} with a list in both: {len(owners['old'] & owners['new'])}; only in the old: "
            f"{len(owners['old'] - owners['new'])}; only in the new: {len(owners['new'] - owners['old'])}.",
            _table("all", pl.DataFrame({"group": ["all"], **{name: [count] for name, count in totals.items()}})),
            "## By brand",
            _table("brand", counted(rows, tables.edges["HAS_BRAND"], item=ends.item)),
            "## By category",
            _table("category", counted(rows, tables.edges["IN_CATEGORY"], item=ends.item)),
            "## By product",
            _table("product", counted(rows, names, item=ends.item)),
        ]
    )


def _table(name: str, counts: pl.DataFrame) -> str:
    if counts.is_empty():
        return "Nothing changed."
    lines = [f"| {name} | {' | '.join(CHANGES)} |", f"|---|{'---:|' * len(CHANGES)}"]
    for group, *numbers in counts.select("group", *CHANGES).head(MOST_LINES).iter_rows():
        cell = one_line(str(group)).replace("|", "\\|")
        lines.append(f"| {cell} | {' | '.join(str(number) for number in numbers)} |")
    if len(counts) > MOST_LINES:
        lines.append(f"\n{len(counts) - MOST_LINES} more have fewer changes.")
    return "\n".join(lines)
