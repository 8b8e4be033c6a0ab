"""Measures the export beside implicit's ``recommend`` and faiss's flat index: ``python -m benchmarks.export_speed``.

All rank 100 unseen products for the same users of one planted shop, each on one thread, in turn, round by round: they
by dense products of 64 numbers (implicit's ALS, fitted here), we by the sparse sum along 200 edges a product (the
cosine of their buyers). ``--memory`` lets a process of its own export all of a shop instead, whose purchases it reads
from a Ladybug store as ``gnn.export --no-to-graph`` does, and says how much memory it took at its peak. It needs
``pip install faiss-cpu``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import implicit.als
import implicit.nearest_neighbours
import numpy as np
import polars as pl
import tyro
from scipy import sparse
from threadpoolctl import threadpool_limits

from gnn.bought_edges import BoughtEdges
from gnn.fill import popular_columns
from gnn.history import FOREVER, Weighing, binary, history_weights
from gnn.metrics import hits, mean, ndcg
from gnn.purchases import Purchases, PurchasesInMemory, PurchasesInStore, in_parts
from gnn.ranking import BLOCK_USERS, best_sums
from gnn.run import Manifest
from gnn.shard_files import ShardFormat
from gnn.shards import deliver_shards
from kg import schema
from kg.build import build_graph
from kg.graph import GraphTables
from kg.store import GraphStore, open_store
from kg.text_table import text_table
from loaders.errors import run_command

K = 100
DIMENSION = 64
EDGES = 200
"""``RELATED`` edges of a product, as in a run."""

NOW = 1_000
MANIFEST = Manifest(
    run="speed", made_at="2026-01-01T00:00:00+00:00", commit=None, versions={}, seed=0, store="", graph="", split="",
    learned_before=NOW, repeat=False, settings={}, weighing=Weighing(exponent=0.5, half_life=FOREVER), epochs=0,
)  # fmt: skip


@dataclass(frozen=True)
class ExportSpeed:
    """What to measure."""

    users: int = 20_000
    """Users of the shop."""

    products: int = 100_000
    """Its products."""

    purchases: int = 20
    """Purchases of each user, a fifth of which are hidden where lists are compared."""

    ranked_users: int = 2_048
    """Users who are ranked for in a round."""

    rounds: int = 5
    """Rounds; the medians are shown."""

    memory: bool = False
    """Export all users in a process of its own and show its memory, and compare nothing."""

    given: Path | None = None
    """Store to export, made by this program for that process."""

    seed: int = 0
    """Of the shop."""


def planted(config: ExportSpeed) -> pl.DataFrame:
    """Return ``user, product, at``: each user buys from two groups of 200, popular ones most, and else any."""
    rng = np.random.default_rng(config.seed)
    size = (config.users, config.purchases)
    num_groups = max(config.products // 200, 1)
    of_user = rng.integers(0, num_groups, (config.users, 2))
    group = np.take_along_axis(of_user, rng.integers(0, 2, size), axis=1)
    place = (200 * rng.random(size, dtype=np.float32) ** 3).astype(np.int64)
    anything = (config.products * rng.random(size, dtype=np.float32) ** 2).astype(np.int64)
    product = np.where(rng.random(size, dtype=np.float32) < 0.8, group * 200 + place, anything)
    users = np.repeat(np.arange(config.users), config.purchases)
    at = np.tile(np.arange(config.purchases), config.users)
    return pl.DataFrame({"user": users, "product": np.minimum(product, config.products - 1).ravel(), "at": at + 1})


def ids(prefix: str, count: int) -> pl.Series:
    """Return so many ids, sorted."""
    return pl.Series("id", np.arange(count)).cast(pl.String).str.zfill(9).str.replace("^", prefix)


def fill_store(store: GraphStore, config: ExportSpeed) -> None:
    """Put the planted purchases into a store."""
    users, products, bought = ids("user-", config.users), ids("product-", config.products), planted(config)
    known = bought.select("at", source=users.gather(bought["user"]), target=products.gather(bought["product"]))
    nodes = {label: pl.DataFrame(schema=kinds) for label, kinds in schema.NODES.items()}
    nodes |= {"User": users.to_frame(), "Product": pl.concat([nodes["Product"], products.to_frame()], how="diagonal")}
    edges = {each: schema.no_edges(each) for each in ("HAS_BRAND", "IN_CATEGORY", "SUBCATEGORY_OF")}
    edges |= {"BOUGHT": pl.concat([schema.no_edges("BOUGHT"), known], how="diagonal")}
    store.replace_graph(GraphTables("speed", nodes, edges, validation_from=None, test_from=None))


def edges_of(
    purchases: Purchases, related: sparse.csr_array, config: ExportSpeed, *, users: pl.Series, items: pl.Series
) -> BoughtEdges:
    """Return the ranked edges that an export makes of these purchases and this R."""
    products = np.arange(config.products)
    return BoughtEdges(
        owners=users,
        items=items,
        manifest=MANIFEST,
        products=products,
        purchases=purchases,
        related=related,
        kinds=sparse.csr_array((np.zeros_like(related.data), related.indices, related.indptr), shape=related.shape),
        k=K,
        calibration=None,
        popular=popular_columns(in_parts(purchases, num_users=config.users), products=products, now=purchases.now),
    )


def speed_table(config: ExportSpeed) -> str:
    """Return ranked edges per second and NDCG@10 of each, and how many times ours is as fast."""
    purchases = planted(config)
    hidden = pl.col("at") > config.purchases * 4 // 5
    history = history_weights(
        purchases.filter(~hidden), products=np.arange(config.products), num_users=config.users,
        weighing=MANIFEST.weighing, now=NOW,
    )  # fmt: skip
    later = history_weights(
        purchases.filter(hidden), products=np.arange(config.products), num_users=config.users,
        weighing=MANIFEST.weighing, now=NOW,
    )  # fmt: skip
    pairs = sparse.csr_matrix(binary(history).astype(np.float32))
    cosine = implicit.nearest_neighbours.CosineRecommender(K=EDGES + 1, num_threads=1)
    cosine.fit(pairs, show_progress=False)
    related = sparse.csr_array(cosine.similarity)
    related.setdiag(0)
    related.eliminate_zeros()
    factors = implicit.als.AlternatingLeastSquares(DIMENSION, alpha=10.0, num_threads=1, random_state=0)
    factors.fit(pairs, show_progress=False)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(factors.item_factors)

    chosen = np.arange(min(config.ranked_users, config.users))
    known = PurchasesInMemory.of(purchases.filter(~hidden), now=NOW)
    users, products = ids("user-", config.users), ids("product-", config.products)
    seen, edges = binary(history), edges_of(known, related, config, users=users, items=products)
    most_seen = int(np.diff(seen.indptr)[chosen].max())

    def ours() -> np.ndarray:
        parts = [chosen[start : start + BLOCK_USERS] for start in range(0, len(chosen), BLOCK_USERS)]
        return np.concatenate([best_sums(history[part] @ related, seen=seen[part], k=K).products for part in parts])

    def whole_export() -> np.ndarray:
        shard = edges.shard(edges.part(0, len(chosen)))
        ShardFormat(edges.columns, "parquet").content(shard.edges)
        return np.zeros((0, K))

    def by_implicit() -> np.ndarray:
        return factors.recommend(chosen, pairs[chosen], N=K)[0]

    def by_faiss() -> np.ndarray:
        # It knows nothing of what is seen: of so many, 100 are unseen.
        found = flat.search(factors.user_factors[chosen], K + most_seen)[1]
        is_seen = np.zeros((len(chosen), config.products), dtype=bool)
        is_seen[seen[chosen].nonzero()] = True
        unseen = ~np.take_along_axis(is_seen, found, axis=1)
        return np.take_along_axis(found, np.argsort(~unseen, axis=1, kind="stable")[:, :K], axis=1)

    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours, the lists": ours,
        "ours, all of the export (reasons, filling, Parquet)": whole_export,
        "implicit's recommend": by_implicit,
        "faiss IndexFlatIP": by_faiss,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    lists = {}
    for _ in range(config.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            lists[name] = way()
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name, times in seconds.items():
        ratios = [
            statistics.median(other / own for other, own in zip(seconds[peer], times, strict=True))
            for peer in ("implicit's recommend", "faiss IndexFlatIP")
        ]
        rate = len(chosen) * K / statistics.median(times)
        rows.append((name, f"{rate:,.0f}", *(f"{ratio:.2f}" for ratio in ratios), _ndcg(lists[name], later, chosen)))
    return text_table(("way", "ranked edges/s", "× implicit", "× faiss", "NDCG@10 %"), rows)


def _ndcg(ranked: np.ndarray, later: sparse.csr_array, chosen: np.ndarray) -> str:
    if not len(ranked):
        return "as above"
    relevant = binary(later[chosen])
    return f"{100 * mean(ndcg(hits(ranked[:, :10], relevant), np.diff(relevant.indptr))).value:.2f}"


def memory_row(config: ExportSpeed) -> str:
    """Return what a process took that exported all users; R has 200 random edges a product of its group."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "shop.lbug"
        with open_store(f"ladybug:{given}") as store:
            fill_store(store, config)
        words = ["--users", str(config.users), "--products", str(config.products), "--given", str(given)]
        words += ["--seed", str(config.seed)]
        command = [sys.executable, "-m", "benchmarks.export_speed", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def exported(config: ExportSpeed, given: Path) -> str:
    """Export all users of the store ``given`` and return how long it took and how much memory."""
    rng = np.random.default_rng(config.seed)
    group = np.arange(config.products) // 200 * 200
    target = np.minimum(group[:, None] + rng.permuted(np.tile(np.arange(200), (config.products, 1)), axis=1)[:, :EDGES],
                        config.products - 1).ravel()  # fmt: skip
    source = np.repeat(np.arange(config.products), EDGES)
    related = sparse.csr_array((rng.random(len(source)), (source, target)), shape=(config.products,) * 2)
    del group, target, source
    made = _peak()
    start = time.perf_counter()
    with open_store(f"ladybug:{given}", read_only=True) as store:
        graph = build_graph(store.read_graph(purchases=False))
        now = store.last_purchase() + 1
        purchases = PurchasesInStore(store, graph, fingerprint=store.fingerprint(), now=now)
        users, items = graph.users["id"], graph.products["id"]
        edges = edges_of(purchases, related, config, users=users, items=items)
        read, counted = time.perf_counter() - start, _peak()
        delivery = deliver_shards(
            edges, given.parent / "lists", plan={"kind": "bought", "run": "speed"},
            form=ShardFormat(edges.columns, "parquet"), per_shard=10_240, called="users",
        )  # fmt: skip
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_size for file in delivery.folder.iterdir())
    return (
        f"{config.users:,} users × {config.products:,} products × {K}: {delivery.rows:,} ranked edges in "
        f"{seconds:,.0f} s ({delivery.rows / seconds:,.0f} a second; {read:,.0f} s of it to read nodes and count best "
        f"sellers), {size / delivery.rows:.1f} bytes each, peak memory {_peak():,.0f} MB; {made:,.0f} MB with R made, "
        f"{counted:,.0f} MB before the first list; users' ids {users.estimated_size() / 1e6:,.0f} MB"
    )


def _peak() -> float:
    """Return this process's peak memory in MB; what ``getrusage`` says of a child counts the peak of its parent too."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    """Run the command line."""
    config = tyro.cli(ExportSpeed, prog="python -m benchmarks.export_speed", description=__doc__)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        if config.given:
            print(exported(config, config.given))
        elif config.memory:
            print(memory_row(config))
        else:
            print(speed_table(config))


if __name__ == "__main__":
    run_command(main)
