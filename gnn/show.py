"""Shows, at the end of the main job, three recommendations and the Cypher rows that explain them."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from kg.explain import explain, reasons_text
from kg.graph import RunRecord
from kg.store import GraphStore

SHOWN = 3
REASONS = 3


def three_explanations(store: GraphStore, shards: Iterable[pl.DataFrame], *, run: RunRecord) -> str:
    """Return the explanation of the first product of three users, evenly spaced among those in ``shards``."""
    first = pl.concat(shard.filter(rank=1, filled=False) for shard in shards).sort("user_id")
    step = max(len(first) // SHOWN, 1)
    pages = [
        reasons_text(explain(store, user=user, product=product, run=run, limit=REASONS), limit=REASONS)
        for user, product in first.select("user_id", "product_id").gather_every(step).head(SHOWN).iter_rows()
    ]
    command = f"python -m kg.explain --store {store.address} --user USER --product PRODUCT"
    return "\n\n".join([*pages, f"All of it, and the Cypher to paste: {command}"])
