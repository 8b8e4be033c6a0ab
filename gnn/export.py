"""Delivers ranked edges: shards and a manifest for the catalog team, ``RECOMMENDED`` edges for the graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import tyro
from jaxtyping import Float, Int
from scipy import sparse

from gnn.delivery import new_delivery, write_manifest, write_table
from gnn.history import binary, history_weights
from gnn.preferences import user_preferences
from gnn.profile_export import export_profiles
from gnn.ranking import NOBODY, Ranked, RelatedRecommender, rank_blocks
from gnn.reasons import Reasons, best_reasons, largest_shares
from gnn.related import Related, related_matrix, related_products
from gnn.run import Manifest, RunFolder
from gnn.similarity import cosines
from kg.build import build_graph, results_by_position
from kg.graph import Graph
from kg.schema import SHARES
from kg.store import GraphStore, open_store
from loaders.errors import InputError, run_command

Format = Literal["parquet", "csv"]
USERS_PER_SHARD = 10_240
COLUMNS = {
    "user_id": "string",
    "product_id": "string",
    "rank": "int64",
    "score": "float64",
    "reason_kind": "string",
    "reason_via": "string",
    "reason_share": "float64",
    "run": "string",
}
"""Columns of a delivery and their types; :data:`kg.schema.REASON` says what the reasons are."""


@dataclass(frozen=True)
class ExportConfig:
    """Rank products for all users by a run and deliver the edges as files and in the graph."""

    run: str
    """Name of the run."""

    runs: str = "runs"
    """Folder of all runs."""

    k: int = 100
    """Products recommended to each user."""

    format: Format = "parquet"
    """Kind of the files."""

    out: str | None = None
    """Folder of the delivery, replaced if it is there; by default ranked_edges in the run's folder."""

    to_graph: bool = True
    """Write the edges back to the store as RECOMMENDED too."""

    profiles: bool = False
    """Deliver the profiles of all users (docs/profiles.md) and not ranked edges; by default to profiles in the run."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""


@dataclass(frozen=True)
class Delivery:
    """What was delivered."""

    folder: Path
    rows: int
    users: int
    """Users who have at least one product recommended."""

    users_left_out: int
    """Users with no purchase of a ranked product."""

    edges: pl.DataFrame
    """All of :data:`COLUMNS` but ``run``."""


def related_by_id(
    related: Related,
    graph: Graph,
    *,
    products: Int[np.ndarray, " products"],
    text: Float[np.ndarray, "nodes dimension"],
) -> pl.DataFrame:
    """Return ``RELATED`` edges with ids: ``source``, ``target``, ``weight``, its shares, and how ``near`` texts are.

    ``text`` holds the vector of every product of the graph, zeros where there is no text.
    """
    ids = graph.products["id"].gather(products)
    return pl.DataFrame(
        {
            "source": ids.gather(related.source),
            "target": ids.gather(related.target),
            "weight": related.weight,
            **related.shares,
            "near": cosines(text[products], source=related.source, target=related.target),
        }
    )


def ranked_by_id(
    ranked: Ranked,
    reasons: Reasons,
    *,
    graph: Graph,
    users: Int[np.ndarray, " users"],
    products: Int[np.ndarray, " products"],
) -> pl.DataFrame:
    """Return ranked edges with ids: ``user_id``, ``product_id``, ``rank`` (1 is the best), ``score`` and the reason."""
    rows, places = np.nonzero(ranked.products != NOBODY)
    ids = graph.products["id"].gather(products)

    def named(names: pl.Series, found: Int[np.ndarray, "users k"]) -> pl.Series:
        position = pl.Series(found[rows, places])
        return names.gather(position.set(position == NOBODY, None))

    return pl.DataFrame(
        {
            "user_id": graph.users["id"].gather(users[rows]),
            "product_id": ids.gather(ranked.products[rows, places]),
            "rank": places + 1,
            "score": ranked.scores[rows, places],
            "reason_kind": named(pl.Series(SHARES), reasons.kind),
            "reason_via": named(ids, reasons.via),
            "reason_share": pl.Series(reasons.share[rows, places], nan_to_null=True),
        }
    )


def ranked_edges(graph: Graph, *, edges: pl.DataFrame, manifest: Manifest, now: int, k: int) -> Iterator[pl.DataFrame]:
    """Yield the ranked edges of each block of users, by all their purchases before ``now``.

    ``edges`` are the run's ``RELATED`` by position, with shares; the products they join are those that are ranked.
    """
    products = related_products(edges)
    known = graph.bought.filter(pl.col("at") < now)
    history = history_weights(known, products=products, num_users=len(graph.users), weighing=manifest.weighing, now=now)
    related = related_matrix(edges, products)
    kinds = related_matrix(edges.with_columns(kind=largest_shares(edges)), products, column="kind")
    recommender = RelatedRecommender("Cartograph", history, related)
    seen = sparse.csr_array(history.shape) if manifest.repeat else binary(history)
    for users, ranked in rank_blocks(recommender, seen=seen, k=min(k, max(len(products), 1))):
        reasons = best_reasons(ranked, history=history[users], related=related, kinds=kinds)
        yield ranked_by_id(ranked, reasons, graph=graph, users=users, products=products)


def deliver(
    blocks: Iterator[pl.DataFrame],
    *,
    folder: Path,
    manifest: Manifest,
    graph: Graph,
    now: int,
    k: int,
    kind: Format,
) -> Delivery:
    """Write the blocks to shards and their manifest; the folder takes its place when all of it is there."""
    with new_delivery(folder, of="ranked edges", part="shards") as beside:
        frames = list(blocks)
        edges = pl.concat(frames)
        shards = [
            _write_shard(shard.with_columns(pl.lit(manifest.run).alias("run")), beside, number=number, kind=kind)
            for number, shard in enumerate(_shards(edges))
        ]
        covered = edges["user_id"].n_unique()
        left_out = len(graph.users) - covered
        page = {
            "run": manifest.run,
            "made_at": manifest.made_at,
            "graph": manifest.graph,
            "now": now,
            "k": k,
            "format": kind,
            "columns": COLUMNS,
            "rows": len(edges),
            "users": covered,
            "users_left_out": {"no purchase of a ranked product": left_out},
            "weighing": asdict(manifest.weighing),
            "shards": shards,
        }
        write_manifest(beside, page)
    return Delivery(folder=folder, rows=len(edges), users=covered, users_left_out=left_out, edges=edges)


def write_recommended(delivery: Delivery, store: GraphStore, manifest: Manifest, *, now: int) -> None:
    """Put the delivered edges into the graph in the place of this run's old ones."""
    edges = delivery.edges.rename({"user_id": "source", "product_id": "target"})
    store.write_results("RECOMMENDED", edges, run=manifest.record(now=now))


def export_run(folder: RunFolder, config: ExportConfig) -> Delivery:
    """Rank and deliver by a finished run, with all purchases that are in its store now."""
    manifest, preferring = folder.manifest(), folder.config().profiles
    with open_store(manifest.store, read_only=not config.to_graph, password_file=config.password_file) as store:
        manifest.require_own_results(store)
        graph = build_graph(store.read_graph())
        edges = results_by_position(store.read_results("RELATED", manifest.run), graph, relation="RELATED")
        now = int(graph.bought["at"].max() or 0) + 1  # type: ignore[arg-type]
        delivery = deliver(
            ranked_edges(graph, edges=edges, manifest=manifest, now=now, k=config.k),
            folder=Path(config.out) if config.out else folder.path / "ranked_edges",
            manifest=manifest,
            graph=graph,
            now=now,
            k=config.k,
            kind=config.format,
        )
        if config.to_graph:
            write_recommended(delivery, store, manifest, now=now)
            preferred = user_preferences(graph, now=now, config=preferring)
            store.write_results("PREFERS", preferred, run=manifest.record(now=now))
    return delivery


def _shards(edges: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the edges of so many users at a time; no user is in two shards."""
    user_number = edges["user_id"].rle_id() // USERS_PER_SHARD
    for number in range(int(user_number.max() or 0) + 1 if len(edges) else 1):  # type: ignore[arg-type]
        yield edges.filter(user_number == number)


def _write_shard(edges: pl.DataFrame, folder: Path, *, number: int, kind: Format) -> dict[str, object]:
    written = write_table(edges, folder / f"part-{number:05d}.{kind}")
    return {**written, "users": edges["user_id"].n_unique()}


def main() -> None:
    """Run the command line."""
    config = tyro.cli(ExportConfig, prog="python -m gnn.export", description=ExportConfig.__doc__)
    if config.k < 1:
        raise InputError(f"k is {config.k}; give 1 or more")
    if config.profiles and (config.format, config.k) != (ExportConfig.format, ExportConfig.k):
        raise InputError("profiles are Parquet and are of all users; leave out --format and --k")
    folder = RunFolder.open(config.runs, config.run)
    if config.profiles:
        print(export_profiles(folder, out=config.out, to_graph=config.to_graph, password_file=config.password_file))
        return
    delivery = export_run(folder, config)
    where = ", and RECOMMENDED in the graph" if config.to_graph else ""
    print(
        f"{delivery.rows} ranked edges for {delivery.users} users ({delivery.users_left_out} left out: they bought no "
        f"ranked product) in {delivery.folder}{where}"
    )


if __name__ == "__main__":
    run_command(main)
