"""Delivers ranked edges: shards and a manifest for the catalog team, ``RECOMMENDED`` edges for the graph."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import polars as pl
import tyro

from gnn.bought_edges import BoughtEdges, to_rank_by
from gnn.columns import ENDS, Kind
from gnn.diff import difference
from gnn.preferences import user_preferences
from gnn.profile_export import export_profiles
from gnn.program import program_commit, program_versions
from gnn.purchases import Purchases, PurchasesInMemory, PurchasesInStore, require_unchanged
from gnn.ray_engine import RayEngine
from gnn.read_delivery import delivered_edges
from gnn.related_edges import RelatedEdges
from gnn.run import Manifest, RunFolder
from gnn.shard_files import Format, ShardFormat
from gnn.shard_work import Engine
from gnn.shards import Delivery, deliver_shards
from gnn.verify import print_faults
from kg.build import build_graph, results_by_position
from kg.graph import Graph
from kg.store import GraphStore, open_store
from kg.text_table import text_table
from loaders.errors import InputError, run_command

FOLDERS: dict[Kind, str] = {"bought": "ranked_edges", "related": "related_edges"}
"""Where a delivery is in the run's folder, unless another place is given."""

PRODUCTS_AT_ONCE = 4_096
"""Whose ``RELATED`` edges are in memory with their ids."""

RANKING = ("polars", "numpy", "scipy")
"""Libraries that rank and write: another version of one may write other bytes."""


@dataclass(frozen=True)
class ExportConfig:
    """Rank products for all users by a run and deliver the edges as files and in the graph, or check a delivery."""

    run: str | None = None
    """Name of the run."""

    verify: str | None = None
    """Folder of a delivery to check, against its manifest and the graph in its store, in place of making one."""

    diff: tuple[str, str] | None = None
    """Folders of an older and a newer delivery to compare, in place of making one; --out may name a Parquet file."""

    store: str | None = None
    """Address of the graph that --verify and --diff check against; by default that of the delivery's run in --runs, or
    what the manifest names where that is a file (ladybug:PATH)."""

    runs: str = "runs"
    """Folder of all runs."""

    edges: Kind = "bought"
    """What is delivered: bought (user to product) or related (product to product)."""

    k: int = 100
    """Products recommended to each user, or related to each product."""

    format: Format = "parquet"
    """Kind of the files."""

    bom: bool = False
    """Begin CSV files with a byte order mark, for spreadsheets that do not know UTF-8 without."""

    out: str | None = None
    """Folder of the delivery, replaced if it is there; by default ranked_edges or related_edges in the run's folder."""

    rules: str | None = None
    """File of the shop's rules (YAML, docs/delivery.md) for the lists of users."""

    explain_rules: bool = False
    """Count what each of the --rules takes out of the lists, and deliver nothing."""

    fill: bool = True
    """Fill lists that are too short with best sellers, marked as such."""

    per_shard: int = 10_240
    """Users (or products) in a file; memory depends on it."""

    engine: Literal["local", "ray"] = "local"
    """What makes the files: this process, or Ray on many cores or machines (docs/ray.md)."""

    ray_address: str | None = None
    """Address of a Ray cluster that runs; by default RAY_ADDRESS, else all cores of this machine."""

    to_graph: bool = True
    """Write the ranked edges of users back to the store as RECOMMENDED too, and PREFERS; all purchases and all lists
    are in memory then, and without it those of one file."""

    profiles: bool = False
    """Deliver the profiles of all users (docs/profiles.md) and not ranked edges; by default to profiles in the run."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""


@dataclass(frozen=True)
class Sources:
    """What a delivery is made from."""

    graph: Graph
    """Its own purchases are not looked at."""

    purchases: Purchases
    related: pl.DataFrame
    """The run's ``RELATED`` by position; for lists of users what :func:`gnn.bought_edges.to_rank_by` keeps of it."""

    fingerprint: str
    """Of the graph."""


def export_run(folder: RunFolder, config: ExportConfig) -> Delivery:
    """Rank and deliver by a finished run, with all purchases that are in its store now.

    Only what is written back to the graph needs all of them, and all lists, in memory at once.
    """
    # First, so that whoever has no Ray need not wait for the graph.
    engine = RayEngine.of(config.ray_address) if config.engine == "ray" else None
    manifest, preferring = folder.manifest(), folder.config().profiles
    to_graph = config.to_graph and config.edges == "bought"
    with open_store(manifest.store, read_only=not to_graph, password_file=config.password_file) as store:
        sources = _read(store, manifest, edges=config.edges, all_purchases=to_graph)
        delivery = deliver(sources, folder, manifest, config=config, engine=engine)
        if to_graph:
            now = sources.purchases.now
            write_recommended(delivery, store, manifest, now=now)
            preferred = user_preferences(sources.graph, now=now, config=preferring)
            store.write_results("PREFERS", preferred, run=manifest.record(now=now))
    return delivery


def explained_rules(folder: RunFolder, config: ExportConfig) -> str:
    """Return a table of what each rule of ``config`` takes out of the lists that a finished run would deliver."""
    manifest = folder.manifest()
    with open_store(manifest.store, read_only=True, password_file=config.password_file) as store:
        sources = _read(store, manifest, edges="bought", all_purchases=False)
        edges = _bought_edges(sources, folder, manifest, config=config)
        starts = range(0, len(edges.owners), config.per_shard)
        parts = [edges.removed(edges.part(start, min(start + config.per_shard, len(edges.owners)))) for start in starts]
    removed = sum(parts[1:], start=parts[0])
    rows = [(name, places, removed.users[name]) for name, places in removed.places.items()]
    return text_table(("rule", "places it takes", "of users"), rows)


def _read(store: GraphStore, manifest: Manifest, *, edges: Kind, all_purchases: bool) -> Sources:
    """Return what the store holds, with all purchases in memory, or with none: they are read when they are needed."""
    manifest.require_own_results(store)
    loaded, now = store.fingerprint(), store.last_purchase() + 1
    tables = store.read_graph(purchases=all_purchases)
    # Where all is read, of what is there: somebody may have changed it by hand since it was loaded.
    fingerprint = tables.fingerprint() if all_purchases else loaded
    graph = build_graph(tables)
    del tables
    related = _related(store, manifest.run, graph, edges=edges)
    manifest.require_own_results(store)
    require_unchanged(store, loaded)
    purchases: Purchases
    if all_purchases:
        purchases = PurchasesInMemory.of(graph.bought, now=now)
    else:
        purchases = PurchasesInStore(store, graph, fingerprint=fingerprint, now=now)
    return Sources(graph, purchases, related, fingerprint)


def _related(store: GraphStore, run: str, graph: Graph, *, edges: Kind) -> pl.DataFrame:
    """Return a run's ``RELATED`` for lists of users, or for those of products, read some products at a time.

    With ids and all shares 20 million edges take several GB.
    """
    parts = []
    for start in range(0, len(graph.products), PRODUCTS_AT_ONCE):
        some = graph.products["id"].slice(start, PRODUCTS_AT_ONCE)
        read = results_by_position(store.read_results("RELATED", run, sources=some), graph, relation="RELATED")
        parts.append(to_rank_by(read) if edges == "bought" else read)
    return pl.concat(parts)


def deliver(
    sources: Sources, folder: RunFolder, manifest: Manifest, *, config: ExportConfig, engine: Engine | None = None
) -> Delivery:
    """Deliver what ``config`` wants of a run, shard by shard; ``engine`` makes the files, by default this process."""
    edges: BoughtEdges | RelatedEdges
    if config.edges == "related":
        edges = RelatedEdges.of(sources.graph, edges=sources.related, manifest=manifest, k=config.k)
        rules = None
    else:
        edges = _bought_edges(sources, folder, manifest, config=config)
        rules = edges.rules.given if edges.rules else None
        _require_everybody(edges, config)
    versions = program_versions()
    plan: dict[str, Any] = {
        "kind": config.edges,
        "program": {"commit": program_commit(), **{name: versions[name] for name in RANKING}},
        "run": manifest.run,
        "made_at": manifest.made_at,
        "model": folder.hash_of("model.safetensors"),
        "calibration": folder.hash_of("calibration.json"),
        "store": manifest.store,
        "graph": sources.fingerprint,
        "now": sources.purchases.now,
        "weighing": asdict(manifest.weighing),
        "repeat": manifest.repeat,
        "options": {name: getattr(config, name) for name in ("k", "format", "bom", "fill", "per_shard")},
        "rules": rules,
        "columns": [asdict(column) for column in edges.columns],
    }
    return deliver_shards(
        edges,
        Path(config.out) if config.out else folder.path / FOLDERS[config.edges],
        plan=plan,
        form=ShardFormat(edges.columns, config.format, bom=config.bom),
        per_shard=config.per_shard,
        called=ENDS[config.edges].owners,
        otherwise=f"the rules in {config.rules!r} leave no list at all; take some of them out" if rules else None,
        engine=engine,
    )


def _require_everybody(edges: BoughtEdges, config: ExportConfig) -> None:
    """Raise where the lists of some users would take the place of everybody's in the graph."""
    if config.to_graph and edges.rules and not edges.rules.users.all():
        raise InputError(
            f"the rules in {config.rules!r} are for {int(edges.rules.users.sum())} of {len(edges.owners)} users, and "
            "RECOMMENDED in the graph would be theirs alone; give --no-to-graph"
        )


def _bought_edges(sources: Sources, folder: RunFolder, manifest: Manifest, *, config: ExportConfig) -> BoughtEdges:
    return BoughtEdges.of(
        sources.graph,
        sources.purchases,
        edges=sources.related,
        manifest=manifest,
        calibration=folder.calibration(),
        k=config.k,
        fill=config.fill,
        rules_file=Path(config.rules) if config.rules else None,
    )


def write_recommended(delivery: Delivery, store: GraphStore, manifest: Manifest, *, now: int) -> None:
    """Put the delivered edges into the graph in the place of this run's old ones, but those that only fill a list."""
    kept = ("rank", "score", "reason_kind", "reason_via", "reason_share")
    edges = pl.concat(
        shard.filter(~pl.col("filled")).select(*kept, source="user_id", target="product_id")
        for shard in delivered_edges(delivery.folder)
    )
    store.write_results("RECOMMENDED", edges, run=manifest.record(now=now))


def delivery_text(delivery: Delivery, config: ExportConfig) -> str:
    """Return what was delivered, in a sentence."""
    called = ENDS[config.edges].owners
    left_out = "; ".join(f"{count} left out: {why}" for why, count in delivery.left_out.items())
    made = "" if delivery.made else ", as it was"
    where = ", and RECOMMENDED in the graph" if config.to_graph and config.edges == "bought" else ""
    few = f"k is {config.k} and only {delivery.items} products are ranked, so lists are shorter\n"
    return (few if config.k > delivery.items else "") + (
        f"{delivery.rows} ranked edges for {delivery.owners} {called}{f' ({left_out})' if left_out else ''} in "
        f"{delivery.folder}{made}{where}"
    )


def main() -> None:
    """Run the command line."""
    config = tyro.cli(ExportConfig, prog="python -m gnn.export", description=ExportConfig.__doc__)
    _require_used(config)
    if config.verify is not None:
        print_faults(Path(config.verify), store=config.store, runs=config.runs, password_file=config.password_file)
        return
    if config.diff is not None:
        old, new = map(Path, config.diff)
        print(
            difference(
                old, new, out=config.out, store=config.store, runs=config.runs, password_file=config.password_file
            )
        )
        return
    _require_possible(config)
    if config.run is None:
        raise InputError("nothing to export; give --run NAME, or --verify FOLDER to check what was exported")
    folder = RunFolder.open(config.runs, config.run)
    if config.profiles:
        print(export_profiles(folder, out=config.out, to_graph=config.to_graph, password_file=config.password_file))
        return
    if config.explain_rules:
        print(explained_rules(folder, config))
        return
    print(delivery_text(export_run(folder, config), config))


def _require_used(config: ExportConfig) -> None:
    """Raise where an option is given that what is asked for does not look at."""
    if config.out == "":
        raise InputError("--out is empty; give a name, or leave it out")
    allowed: tuple[str, ...]
    if config.verify is not None:
        task, allowed = "--verify", ("verify", "store", "runs", "password_file")
    elif config.diff is not None:
        task, allowed = "--diff", ("diff", "out", "store", "runs", "password_file")
    elif config.profiles:
        unused = ("edges", "fill", "per_shard", "engine", "ray_address")
        task, allowed = "--profiles", tuple(each.name for each in fields(config) if each.name not in unused)
    elif config.edges == "related":
        task, allowed = "--edges related", tuple(each.name for each in fields(config) if each.name != "fill")
    else:
        return
    given = [each for each in fields(config) if getattr(config, each.name) != each.default and each.name not in allowed]
    if given:
        words = " and ".join(
            f"--{'no-' if each.default is True else ''}{each.name.replace('_', '-')}" for each in given
        )
        raise InputError(f"{task} makes no use of {words}; leave out the one or the other")


def _require_possible(config: ExportConfig) -> None:
    for name in ("k", "per_shard"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)}; give 1 or more")
    if config.ray_address is not None and config.engine != "ray":
        raise InputError("--ray-address is of a Ray cluster; give --engine ray too, or leave it out")
    if config.explain_rules and config.engine == "ray":
        raise InputError("--explain-rules makes no use of --engine ray; leave out the one or the other")
    if config.store is not None:
        raise InputError("--store is for --verify and --diff, and an export reads the graph of its run; leave it out")
    if config.bom and config.format != "csv":
        raise InputError(f"a byte order mark is for CSV files, and the format is {config.format}; leave out --bom")
    if config.rules and (config.edges == "related" or config.profiles):
        raise InputError("rules are for the lists of users; leave out --rules, or --edges related and --profiles")
    if config.explain_rules and not config.rules:
        raise InputError("there are no rules to explain; give --rules FILE")
    if config.profiles and (config.format, config.k) != (ExportConfig.format, ExportConfig.k):
        raise InputError("profiles are Parquet and are of all users; leave out --format and --k")


if __name__ == "__main__":
    run_command(main)
