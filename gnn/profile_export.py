"""Delivers profiles: the tables of all users as Parquet with a manifest, and ``PREFERS`` edges for the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import torch

from gnn.delivery import new_delivery, write_manifest, write_table
from gnn.history import history_weights, ranked_products
from gnn.profiles import Learned, Profiles, make_profiles
from gnn.related import related_matrix, related_products
from gnn.run import Manifest, RunFolder
from gnn.split import enough_buyers, split_purchases
from gnn.text import encode_texts
from kg.build import build_graph, results_by_position
from kg.graph import Graph
from kg.store import GraphStore, open_store

TABLES = ("users", "preferences", "price_bands", "segments", "segment_categories")
"""Tables of :class:`gnn.profiles.Profiles`, each a file of the delivery."""


def export_profiles(folder: RunFolder, *, out: str | None, to_graph: bool, password_file: str | None) -> str:
    """Make the profiles of all users at the run's moment, deliver them, and say so in a sentence.

    That moment stays: the scores in the graph are of it. ``python -m gnn.export`` moves both.
    """
    manifest = folder.manifest()
    with open_store(manifest.store, read_only=not to_graph, password_file=password_file) as store:
        run = manifest.require_own_results(store)
        graph, learned = learned_of(folder, manifest, store, now=run.now)
        profiles = profiles_of(folder, graph, learned, now=run.now)
        place = Path(out) if out else folder.path / "profiles"
        deliver_profiles(profiles, folder=place, manifest=manifest, settings=asdict(folder.config().profiles))
        if to_graph:
            store.write_results("PREFERS", profiles.preferences, run=run)
    where = ", and PREFERS in the graph" if to_graph else ""
    left_out = len(graph.users) - len(profiles.users)
    return (
        f"{len(profiles.users)} profiles ({left_out} left out: they bought nothing that a profile may speak of) in "
        f"{len(profiles.segments)} segments in {place}{where}"
    )


def learned_of(folder: RunFolder, manifest: Manifest, store: GraphStore, *, now: int | None) -> tuple[Graph, Learned]:
    """Return the run's graph and what it learned; users are weighed at ``now``, without one when the test part begins.

    Raise where the store holds another graph than the network's vectors, or the test part, were made of.
    """
    config = folder.config()
    network = folder.network()
    # The rows of the network's vectors are products of the graph that it learned from, by position.
    strict = network is not None or now is None
    graph = build_graph(manifest.require_same_graph(store) if strict else store.read_graph())
    edges = results_by_position(store.read_results("RELATED", manifest.run), graph, relation="RELATED")
    split = split_purchases(graph, config.split, seed=config.seed)
    if strict:
        least = enough_buyers(graph, config.min_buyers)
        products = ranked_products(split.before_test, listed=graph.listed, min_buyers=least)
    else:
        products = related_products(edges)
    history = history_weights(
        split.before_test if now is None else graph.bought.filter(pl.col("at") < now),
        products=products,
        num_users=len(graph.users),
        weighing=manifest.weighing,
        now=split.test_from if now is None else now,
    )
    return graph, Learned(
        products=products,
        history=history,
        related=related_matrix(edges, products),
        queries=network.queries if network else None,
    )


def profiles_of(folder: RunFolder, graph: Graph, learned: Learned, *, now: int) -> Profiles:
    """Return the profiles of all users at ``now`` by the run's settings; texts are usually encoded already."""
    config = folder.config()
    text = encode_texts(
        graph.products["text"].to_list(),
        folder=config.encoder,
        cache=Path(config.cache),
        device=torch.device("cpu"),
    )
    return make_profiles(graph, learned, text, now=now, config=config.profiles, seed=config.seed)


def deliver_profiles(profiles: Profiles, *, folder: Path, manifest: Manifest, settings: Mapping[str, object]) -> None:
    """Write the tables and their manifest; the folder takes its place when all of it is there."""
    with new_delivery(folder, of="profiles", part="profiles", same={"run": manifest.run}) as beside:
        frames = {name: getattr(profiles, name) for name in TABLES}
        width = profiles.vectors.shape[1]
        vectors = pl.Series("vector", profiles.vectors, dtype=pl.Array(pl.Float32, width))
        frames["vectors"] = profiles.users.select("user").with_columns(vectors)
        page = {
            "run": manifest.run,
            "made_at": manifest.made_at,
            "graph": manifest.graph,
            "now": profiles.now,
            "silhouette": None if np.isnan(profiles.silhouette) else profiles.silhouette,
            "settings": settings,
            "vector_parts": profiles.parts,
            "profiles": [_write_table(frame, beside / f"{name}.parquet") for name, frame in frames.items()],
        }
        write_manifest(beside, page)


def _write_table(frame: pl.DataFrame, file: Path) -> dict[str, object]:
    columns = {name: str(kind) for name, kind in frame.schema.items()}
    return {**write_table(frame, file), "columns": columns}
