"""Runs other libraries' models on our exact split, in environments of their own; our measures score their lists.

``python benchmarks/peers.py`` installs RecTools, RecBole and hopwise (wheels only, some 10 GB with their torch) outside
of the project, fits their models on what is known before the test part, and prints one table. But for dimension and
epochs, every model has the settings its library ships with: what comes out of the box, and how fast.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import tyro

from gnn.config import SplitConfig, TrainConfig
from gnn.history import Weighing
from gnn.metrics import Mean, hits, measure
from gnn.ranking import NOBODY
from gnn.split import split_purchases
from gnn.task import Task, make_task
from kg.build import build_graph, graph_tables
from kg.graph import Graph
from loaders.errors import InputError, run_command
from loaders.shops import load_shop, shop_name

K = 10
HERE = Path(__file__).resolve().parent
REQUIREMENTS = {
    "RecTools": ("rectools==0.19.0", "pyarrow<20"),
    # Newer pyarrow wants NumPy 2, which neither of them has. RecBole 1.2.1 calls what NumPy 2 and SciPy 1.11 took away.
    "RecBole": ("recbole==1.2.1", "numpy<2", "scipy<1.11", "pandas<3", "setuptools<80", "dgl==1.1.3", "pyarrow<20"),
    "hopwise": ("hopwise==0.9.1.post1", "pyarrow"),
}
OWN = "Cartograph"


@dataclass(frozen=True)
class PeersConfig:
    """Fit other libraries' models on a shop's past, rank by them, and score their lists by our measures."""

    shop: str = "amazon-beauty"
    """complete-journey, amazon-beauty (split A), amazon-beauty-b, synthetic, or your own shop's folder."""

    raw: str | None = None
    """Folder of the raw files of amazon-beauty; by default ../shared/data/amazon_beauty."""

    library: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """RecTools, RecBole, hopwise or Cartograph; may be given again. By default all."""

    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a model of these libraries, such as LightGCN or "graph network"; may be given again. By default all."""

    min_buyers: int = 0
    """Products with fewer buyers in the past are neither ranked nor learned from."""

    epochs: int = 20
    """Passes of every model that learns by passes."""

    dimension: int = 64
    """Length of the vectors of users and products, where a model has some."""

    threads: int = 2
    """Threads of each process; one runs at a time."""

    links: bool = False
    """Give the shop's own links between products to the models that know a graph, ours among them."""

    seed: int = 0
    """All our chance comes from it."""

    environments: str = "~/.cache/cartograph/peers"
    """Folder of the peers' environments, some gigabytes each."""

    python: str = sys.executable
    """Python that the environments are made with; RecBole's old NumPy needs 3.11."""

    folder: str | None = None
    """Folder of the exported files and of the results; by default runs/peers-SHOP."""

    cache: str = "data/text"
    """Folder where text vectors are kept from run to run."""

    split: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        TrainConfig(seed=self.seed, min_buyers=self.min_buyers, split=self.split)
        for name in ("epochs", "dimension", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in self.library:
            if name not in (*REQUIREMENTS, OWN):
                raise InputError(f"no library {name!r}; there are {', '.join((*REQUIREMENTS, OWN))}")

    @property
    def place(self) -> Path:
        """The folder of this comparison."""
        return Path(self.folder or f"runs/peers-{shop_name(self.shop)}").resolve()


@dataclass(frozen=True)
class Peer:
    """A model of a library."""

    library: str
    model: str
    settings: dict[str, Any]

    @property
    def file(self) -> str:
        """Name of the files that its process writes, without their ending."""
        return f"{self.library}-{self.model}"


@dataclass(frozen=True)
class Row:
    """What came of one model."""

    library: str
    model: str
    measures: dict[str, Mean] | None
    """None where there are no lists."""

    seconds: float | None = None
    epoch_seconds: float | None = None
    epoch_cpu: float | None = None
    """Seconds of an epoch on all cores together; less moved by what else the machine does."""

    peak_mb: float | None = None
    """Of the whole process, libraries and data among it."""

    note: str = ""
    """Why there are no lists."""


def peers_of(config: PeersConfig) -> list[Peer]:
    """Return the models to run, the cheap ones first."""
    learned = {"epochs": config.epochs, "embedding_size": config.dimension, "kg_embedding_size": config.dimension}
    peers = [
        Peer("RecTools", "ItemKNN", {}),
        Peer("RecTools", "iALS", {"factors": config.dimension}),
        *(Peer("RecBole", model, learned) for model in ("ItemKNN", "BPR", "LightGCN")),
        # Beside the model whose speed it is compared with, as a machine's other work changes in time.
        Peer(OWN, "graph network", {}),
        *(Peer("RecBole", model, learned) for model in ("MultiVAE", "CKE", "KGAT")),
        Peer("hopwise", "CFKG", learned),
        Peer("RecTools", "EASE", {}),
        Peer("RecBole", "EASE", learned),
    ]
    asked = [peer for peer in peers if peer.library in (config.library or (*REQUIREMENTS, OWN))]
    names = sorted({peer.model for peer in asked})
    for name in config.model:
        if name not in names:
            raise InputError(f"no model {name!r} of these libraries; there are {', '.join(names)}")
    return [peer for peer in asked if not config.model or peer.model in config.model]


def load(config: PeersConfig) -> tuple[Graph, Task]:
    """Return the shop's graph, with its links if wanted, and its test task; no peer knows times, so none weighs."""
    graph = build_graph(graph_tables(load_shop(config.shop, raw=config.raw)))
    graph = replace(graph, links=graph.links if config.links else {})
    split = split_purchases(graph, config.split, seed=config.seed)
    task = make_task(
        "test",
        graph,
        known=split.before_test,
        later=split.test,
        weighing=Weighing(exponent=0.0, half_life=1.0),
        now=split.test_from,
        min_buyers=config.min_buyers,
    )
    if not task.relevant.nnz:
        raise InputError(f"there is nothing to find in the test part of {config.shop!r}; give another --split")
    return graph, task


def export(graph: Graph, task: Task, folder: Path) -> None:
    """Write what is known of the shop in the peers' formats; ids are rows and columns of the task's matrices.

    Nothing of the test part is written: RecBole wants validation and test files, and gets the first purchase again.
    """
    shop = folder / "shop"
    shop.mkdir(parents=True, exist_ok=True)
    user, product = task.bought.nonzero()
    known = pl.DataFrame({"user": user.astype(np.int64), "product": product.astype(np.int64)}).sort("user", "product")
    known.write_parquet(folder / "known.parquet")
    pairs = known.select(pl.col("user").alias("user_id:token"), pl.col("product").alias("item_id:token"))
    for name, part in (("train", pairs), ("valid", pairs.head(1)), ("test", pairs.head(1))):
        part.write_csv(shop / f"shop.{name}.inter", separator="\t")
    # RecBole knows only products that somebody bought, and stumbles over others.
    bought = known["product"].unique().sort().to_numpy()
    relations = {"has_brand": (graph.has_brand, "brand"), "in_category": (graph.in_category, "category")}
    relations |= {name: (frame, "product") for name, frame in graph.links.items()}
    triples = pl.concat(
        [
            frame.select(
                pl.col("source").alias("head"),
                pl.lit(name).alias("relation_id:token"),
                pl.format("{}-{}", pl.lit(kind), pl.col("target")).alias("tail_id:token"),
            )
            for name, (frame, kind) in relations.items()
        ]
    ).filter(pl.col("head").is_in(task.products[bought]))
    triples.select(
        pl.format("product-{}", pl.col("head")).alias("head_id:token"), "relation_id:token", "tail_id:token"
    ).write_csv(shop / "shop.kg", separator="\t")
    pl.DataFrame({"item_id:token": bought, "product": task.products[bought]}).select(
        "item_id:token", pl.format("product-{}", pl.col("product")).alias("entity_id:token")
    ).write_csv(shop / "shop.link", separator="\t")


def environment(library: str, config: PeersConfig) -> Path:
    """Return the Python of the library's environment, made where there is none; raise if that is not possible."""
    place = Path(config.environments).expanduser() / library.lower()
    python, stamp = place / "bin" / "python", place / "cartograph.json"
    wanted = [config.python, *REQUIREMENTS[library]]
    if stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
        return python
    print(f"installing {' '.join(REQUIREMENTS[library])} into {place}", flush=True)
    for command in (
        [config.python, "-m", "venv", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", "--only-binary=:all:", *REQUIREMENTS[library]],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"does not install: {last_line(done.stderr)}")
    stamp.write_text(json.dumps(wanted), encoding="utf-8")
    return python


def run_peer(peer: Peer, task: Task, config: PeersConfig) -> Row:
    """Return the row of a model, fitted in a process of its own."""
    out = config.place / peer.file
    for old in (out.with_suffix(".json"), out.with_suffix(".parquet")):
        old.unlink(missing_ok=True)
    try:
        python = Path(sys.executable) if peer.library == OWN else environment(peer.library, config)
    except InputError as error:
        return Row(peer.library, peer.model, measures=None, note=str(error))
    print(f"{peer.library} {peer.model} …", flush=True)
    script = {OWN: "peer_own.py", "RecTools": "peer_rectools.py"}.get(peer.library, "peer_recbole.py")
    words = {
        "library": peer.library,
        "model": peer.model,
        "settings": json.dumps(peer.settings),
        "folder": str(config.place),
        "out": str(out),
        "threads": str(config.threads),
        "k": str(K),
    }
    # Ours may be found by PYTHONPATH; a peer must find its own environment alone. DGL, of RecBole's KGAT, else keeps
    # its choice of a backend in the user's home.
    kept = {"DGLBACKEND": "pytorch"} | {
        name: value for name, value in os.environ.items() if peer.library == OWN or name != "PYTHONPATH"
    }
    counts = {f"{name}_NUM_THREADS": str(config.threads) for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
    done = subprocess.run(
        [python, HERE / script, *(f"--{name}={value}" for name, value in words.items())],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **counts},
        # RecBole leaves logs wherever it is started.
        cwd=None if peer.library == OWN else config.place,
    )
    if done.returncode:
        return Row(peer.library, peer.model, measures=None, note=f"fails: {last_line(done.stderr)}")
    facts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    measures = measure(ranked_by(out.with_suffix(".parquet"), task), task.relevant, cutoffs=(K,))
    return Row(peer.library, peer.model, measures=measures, **facts)


def ranked_by(file: Path, task: Task) -> np.ndarray:
    """Return the lists in ``file``, users × K; raise if one of them holds what the user has seen."""
    lists = pl.read_parquet(file)
    ranked = np.full((task.relevant.shape[0], K), NOBODY, dtype=np.int64)
    for user, products in lists.select("user", "products").iter_rows():
        ranked[user, : len(products)] = products[:K]
    seen = int(hits(ranked, task.seen).sum())
    if seen:
        raise ValueError(f"{file} ranks {seen} products for users who have bought them before")
    return ranked


def last_line(text: str) -> str:
    """Return the last line that says something, short enough for a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "it says nothing"


def as_markdown(rows: list[Row], config: PeersConfig, task: Task) -> str:
    """Return the table, and how fast an epoch of ours is beside RecBole's LightGCN."""
    users = int((np.diff(task.relevant.indptr) > 0).sum())
    names = ("NDCG", "Recall", "HitRate")
    head = [
        "library",
        "model",
        *(f"{name}@{K} %" for name in names),
        "training s",
        "s / epoch",
        "CPU s / epoch",
        "peak MB",
        "note",
    ]
    lines = [head, ["---", "---", *["---:"] * 7, "---"]]
    for row in rows:
        values = [row.measures[f"{name}@{K}"] for name in names] if row.measures else []
        quality = [f"{100 * value.value:.2f} ± {100 * value.interval:.2f}" for value in values] or ["-"] * len(names)
        times = [number(row.seconds, 1), number(row.epoch_seconds, 2), number(row.epoch_cpu, 2), number(row.peak_mb, 0)]
        lines.append([row.library, row.model, *quality, *times, row.note])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{config.shop}, test part: {users} users with something to find among {len(task.products)} products, all "
        f"ranked but what the user had bought; settings as shipped, dimension {config.dimension}, {config.epochs} "
        f"epochs, {config.threads} threads; ± is half a 95 % interval.\n\n{table}\n\n{speed(rows)}\n"
    )


def number(value: float | None, digits: int) -> str:
    """Return a number for the table."""
    return "-" if value is None else f"{value:,.{digits}f}"


def speed(rows: list[Row]) -> str:
    """Return the sentence about an epoch of ours and one of RecBole's LightGCN."""
    by_model = {(row.library, row.model): row for row in rows}
    nothing = Row("", "", measures=None)
    ours, theirs = by_model.get((OWN, "graph network"), nothing), by_model.get(("RecBole", "LightGCN"), nothing)
    if not (ours.epoch_seconds and ours.epoch_cpu and theirs.epoch_seconds and theirs.epoch_cpu):
        return "The epochs of our graph network and of RecBole's LightGCN cannot be compared: one of them was not run."
    return (
        f"An epoch of our graph network takes {ours.epoch_seconds:.2f} s ({ours.epoch_cpu:.2f} s of processor time), "
        f"one of RecBole's LightGCN {theirs.epoch_seconds:.2f} s ({theirs.epoch_cpu:.2f} s): "
        f"{theirs.epoch_seconds / ours.epoch_seconds:.2f} times as long ({theirs.epoch_cpu / ours.epoch_cpu:.2f} times "
        "the processor time); wanted: 2 or more."
    )


def main() -> None:
    """Run all peers, one after the other, and print the table."""
    config = tyro.cli(PeersConfig, description=PeersConfig.__doc__)
    # A name that nobody has ends the command before anything is loaded or written.
    peers = peers_of(config)
    graph, task = load(config)
    export(graph, task, config.place)
    (config.place / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
    rows = []
    for peer in peers:
        rows.append(run_peer(peer, task, config))
        (config.place / "peers.json").write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")
    text = as_markdown(rows, config, task)
    (config.place / "peers.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")


if __name__ == "__main__":
    run_command(main)
