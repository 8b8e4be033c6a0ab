"""Measures the profiles of a run made before its test part on what came after: ``gnn.evaluate --profiles``."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import sparse

from gnn.config import ProfileConfig
from gnn.habits import at_level
from gnn.history import SECONDS_PER_DAY
from gnn.plain import plain_values
from gnn.preferences import Allowed, allowed, counted
from gnn.profile_export import learned_of
from gnn.profile_measures import FLOOR, as_table, measure_properties, measure_shares
from gnn.run import RunFolder
from gnn.segments import user_embeddings
from gnn.split import split_purchases
from kg.graph import Graph
from kg.store import open_store
from loaders.errors import InputError

WEEKS = 4


def evaluate_profiles(folder: RunFolder, *, password_file: str | None) -> str:
    """Return the tables as Markdown; they are written to the run's folder, ``profile_report.json`` and ``.md``."""
    config, manifest = folder.config(), folder.manifest()
    with open_store(manifest.store, read_only=True, password_file=password_file) as store:
        manifest.require_own_results(store)
        graph, learned = learned_of(folder, manifest, store, now=None)
    split = split_purchases(graph, config.split, seed=config.seed)
    later = split.test
    if split.way == "by time":
        later = later.filter(pl.col("at") < split.test_from + WEEKS * 7 * int(SECONDS_PER_DAY))
    if later.is_empty():
        raise InputError(
            f"the run {manifest.run!r} has no test part to measure profiles on; give an earlier --split.test-from"
        )
    may = allowed(graph, config.profiles)
    shares = measure_shares(
        split.before_test,
        later,
        may,
        num_users=len(graph.users),
        now=split.test_from,
        config=config.profiles,
        seed=config.seed,
    )
    embeddings = user_embeddings(
        learned.history,
        may=may.products[learned.products],
        queries=learned.queries,
        related=learned.related,
        dimension=config.profiles.dimension,
        seed=config.seed,
    )
    raw = category_shares(graph, split.before_test, may, now=split.test_from, config=config.profiles)
    properties = measure_properties(graph.users, {"embedding": embeddings, "category shares": raw}, seed=config.seed)
    weeks = f"the {WEEKS} weeks from the test moment on" if split.way == "by time" else "the test part"
    page = (
        f"# Profiles of run {manifest.run} on {graph.shop}\n\n"
        f"Shares of purchases in {weeks}, by profiles made before; every prediction holds {100 * FLOOR:.0f} % of the "
        f"population's shares. log-loss in nats: less is better.\n\n{as_table(shares)}\n"
    )
    if properties:
        page += (
            "\nWhat users told of themselves, by logistic regression, cross-validated (share that is right).\n\n"
            f"{as_table(properties)}\n"
        )
    values = {"run": manifest.run, "made_at": manifest.made_at, "settings": asdict(config.profiles)}
    tables = {
        name: [plain_values(asdict(row)) for row in rows]
        for name, rows in (("shares", shares), ("properties", properties))
    }
    folder.write_page("profile_report", {**values, **tables}, page)
    return page


def category_shares(
    graph: Graph, bought: pl.DataFrame, may: Allowed, *, now: int, config: ProfileConfig
) -> Float[np.ndarray, "users categories"]:
    """Return the plain shares of each user's purchases before ``now`` in the categories of the profiles' level."""
    purchases = counted(bought, may, now=now, half_life_days=config.half_life_days)
    rows = purchases.join(at_level(may, level=config.level), on="product", maintain_order="left")
    ends = (rows["user"].to_numpy(), rows["target"].to_numpy())
    shape = (len(graph.users), len(graph.categories))
    counts = sparse.csr_array((rows["purchases"].cast(pl.Float64).to_numpy(), ends), shape=shape).toarray()
    counts = counts[:, counts.sum(axis=0) > 0]
    found: np.ndarray = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return found
