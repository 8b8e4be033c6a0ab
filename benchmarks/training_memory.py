"""Measures what spares memory in the graph network's training: memory, time and quality of each option, in one table.

``python -m benchmarks.training_memory``: every row is trained in a process of its own, on the same users and by the
same seed, and differs from the first of its network in one option; the row of another seed says how far chance goes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
import tyro
from scipy import sparse
from torch_geometric.data import HeteroData

from gnn.checkpoint import Checkpoint
from gnn.config import NetworkConfig, TrainConfig
from gnn.cost import costed
from gnn.evaluate import evaluate
from gnn.fit import FittedNetwork, fit_network
from gnn.hetero import hetero_data
from gnn.measured import MEASURE
from gnn.memory import give_back_freed_memory
from gnn.metrics import Mean
from gnn.network_alone import NetworkAlone
from gnn.prepare import ShopConfig, prepare
from gnn.task import Task
from loaders.errors import InputError, run_command

HISTORY, GRAPH, MEASURED, VECTORS = "history.npz", "graph.npz", "measured.json", "vectors.npz"
BEAUTY_LINKS = ("ALSO_BOUGHT", "ALSO_VIEWED", "BOUGHT_TOGETHER")
NETWORKS = {
    "linear, full graph": NetworkConfig(),
    # Without dropout of ids, as among the baselines: else four fifths of what a table learns is not there.
    "sage, 15-10 neighbours": NetworkConfig(kind="sage", num_neighbors=(15, 10), identity_dropout=0.0),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "bfloat16": {"precision": "bfloat16"},
    "accumulate 4": {"accumulate": 4},
    "recompute": {"recompute": True},
}
TABLES: dict[str, dict[str, Any]] = {"table float16": {"table": "float16"}, "table cpu": {"table": "cpu"}}


@dataclass(frozen=True)
class MemoryConfig:
    """What to train, and on what."""

    shop: str = "amazon-beauty"
    """complete-journey, amazon-beauty (split A), amazon-beauty-b, synthetic, or your own shop's folder (see README)."""

    raw: str | None = None
    """Folder of the raw files of amazon-beauty; by default ../shared/data/amazon_beauty."""

    leave_out: tuple[str, ...] = BEAUTY_LINKS
    """Links between products that nothing is learned from; give none where the shop has others."""

    users_share: float = 1.0
    """Part of the users, of whom and of whose products alone the shop is to consist."""

    kind: tuple[Literal["linear", "sage"], ...] = ("linear", "sage")
    """The networks to train."""

    epochs: int = 4
    """Passes over the users."""

    dimension: int = 64
    """Length of the vectors."""

    threads: int = 1
    """Threads of each process; one runs at a time."""

    seed: int = 0
    """All chance comes from it, but for the row of another seed."""

    cache: str = "data/text"
    """Folder where text vectors are kept from run to run."""

    row: int | None = None
    """For the process of one row: its number, from 0 on."""

    folder: str | None = None
    """For the process of one row: the folder that it reads the graph from and writes to."""

    def __post_init__(self) -> None:
        TrainConfig(seed=self.seed, network=NetworkConfig(dimension=self.dimension))
        if not self.kind:
            raise InputError("kind is empty; give linear, sage or both")
        for name in ("epochs", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if (self.row is None) != (self.folder is None):
            raise InputError(f"row is {self.row} and folder {self.folder}; give both or, to make the table, none")
        if self.row is not None and not 0 <= self.row < len(rows_of(self)):
            raise InputError(f"row is {self.row}; give 0 to {len(rows_of(self)) - 1}")


@dataclass(frozen=True)
class Option:
    """A row of the table."""

    network: str
    name: str
    config: NetworkConfig
    seed: int


@dataclass(frozen=True)
class Measured:
    """What a training took."""

    start_mb: float
    """What its process held when it began: libraries, graph and text vectors."""

    peak_mb: float
    """The most that the process held until the vectors of all products were made, above the start."""

    epoch_seconds: float
    """Of the processor, on all threads together: less moved by what else the machine does."""


def rows_of(config: MemoryConfig) -> list[Option]:
    """Return the rows: of each network the defaults first."""
    found = []
    for network, given in NETWORKS.items():
        if given.kind not in config.kind:
            continue
        plain = replace(given, dimension=config.dimension)
        options = {"defaults": {}} | OPTIONS | (TABLES if plain.num_neighbors else {})
        found += [Option(network, name, replace(plain, **each), config.seed) for name, each in options.items()]
        found.append(Option(network, "defaults, another seed", plain, config.seed + 1))
    return found


def load(config: MemoryConfig) -> tuple[Task, HeteroData]:
    """Return what is to be learned and found, before the validation part, and the graph."""
    prepared = prepare(
        ShopConfig(
            shop=config.shop,
            raw=config.raw,
            leave_out=config.leave_out,
            users_share=config.users_share,
            cache=config.cache,
            device="cpu",
            seed=config.seed,
        )
    )
    task = prepared.validation_task()
    text = prepared.content.text[task.products]
    return task, hetero_data(prepared.graph, past=task.known, products=task.products, text=text)


def write_graph(data: HeteroData, history: sparse.csr_array, folder: Path) -> None:
    """Write what a training reads: a process that loads the shop keeps memory that training would use again unseen."""
    sparse.save_npz(folder / HISTORY, history)
    nodes = {label: np.array(data[label].num_nodes) for label in data.node_types}
    edges = {"/".join(edge_type): data[edge_type].edge_index.numpy() for edge_type in data.edge_types}
    np.savez(folder / GRAPH, text=data["product"].x.numpy(), **nodes, **edges)


def read_graph(folder: Path) -> tuple[HeteroData, sparse.csr_array]:
    """Return what :func:`write_graph` wrote."""
    data = HeteroData()
    with np.load(folder / GRAPH) as arrays:
        for name, array in arrays.items():
            if name == "text":
                data["product"].x = torch.from_numpy(array)
            elif "/" in name:
                data[tuple(name.split("/"))].edge_index = torch.from_numpy(array)
            else:
                data[name].num_nodes = int(array)
    return data, sparse.csr_array(sparse.load_npz(folder / HISTORY))


def train(config: MemoryConfig, option: Option, folder: Path) -> None:
    """Train in this process on the graph in ``folder``, and leave there what it took and made."""
    give_back_freed_memory()
    torch.set_num_threads(config.threads)
    data, history = read_graph(folder)
    ends: list[float] = []
    with costed() as before:
        start = time.process_time()
    with costed() as cost:
        fitted = fit_network(
            data,
            history,
            config=option.config,
            device=torch.device("cpu"),
            seed=option.seed,
            epochs=config.epochs,
            checkpoint=Checkpoint("graph network", record=lambda _: ends.append(time.process_time())),
        )
    measured = Measured(before.memory_mb, cost.memory_mb - before.memory_mb, (ends[-1] - start) / config.epochs)
    (folder / MEASURED).write_text(json.dumps(asdict(measured)), encoding="utf-8")
    np.savez(
        folder / VECTORS,
        queries=fitted.queries,
        keys=fitted.keys,
        temperature=np.array(fitted.temperature),
        popularity=fitted.popularity,
    )


def in_own_process(config: MemoryConfig, number: int, folder: Path) -> tuple[Measured, FittedNetwork]:
    """Train row ``number`` in a process of its own on the graph in ``folder``."""
    given = {name: getattr(config, name) for name in ("epochs", "dimension", "threads", "seed")}
    given |= {"row": number, "folder": folder}
    words = ["--kind", *config.kind, *(word for name, value in given.items() for word in (f"--{name}", str(value)))]
    done = subprocess.run([sys.executable, "-m", "benchmarks.training_memory", *words], check=False)
    if done.returncode:
        raise InputError(f"row {number} ended with code {done.returncode}; see its output above")
    measured = Measured(**json.loads((folder / MEASURED).read_text(encoding="utf-8")))
    with np.load(folder / VECTORS) as arrays:
        weights = {"popularity": torch.from_numpy(arrays["popularity"])}
        fitted = FittedNetwork(
            arrays["queries"], arrays["keys"], float(arrays["temperature"]), weights, epochs=config.epochs
        )
    return measured, fitted


def table(options: list[Option], results: list[tuple[Measured, Mean]]) -> list[str]:
    """Return the lines of a Markdown table; changes are against the defaults of the same network."""
    lines = [
        "| network | option | MB above start | change | s an epoch | change | NDCG@10 % | change |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    base, base_ndcg = results[0]
    for option, (found, ndcg) in zip(options, results, strict=True):
        first = option.name == "defaults"
        if first:
            base, base_ndcg = found, ndcg
        changes = (
            f"{100 * (found.peak_mb / base.peak_mb - 1):+.0f} %",
            f"{100 * (found.epoch_seconds / base.epoch_seconds - 1):+.0f} %",
            f"{100 * (ndcg.value - base_ndcg.value):+.2f}",
        )
        values = (
            f"{found.peak_mb:,.0f}",
            f"{found.epoch_seconds:.1f}",
            f"{100 * ndcg.value:.2f} ± {100 * ndcg.interval:.2f}",
        )
        cells = [cell for pair in zip(values, ("-",) * 3 if first else changes, strict=True) for cell in pair]
        lines.append(f"| {' | '.join((option.network, option.name, *cells))} |")
    return lines


def main() -> None:
    """Print the table, or train the row that is asked for."""
    config = tyro.cli(MemoryConfig, prog="python -m benchmarks.training_memory", description=__doc__)
    options = rows_of(config)
    if config.row is not None and config.folder is not None:
        train(config, options[config.row], Path(config.folder))
        return
    task, data = load(config)
    results: list[tuple[Measured, Mean]] = []
    with TemporaryDirectory() as place:
        write_graph(data, task.history, Path(place))
        for number, option in enumerate(options):
            measured, fitted = in_own_process(config, number, Path(place))
            ndcg = evaluate(NetworkAlone("graph network", task.history, fitted), task).measures[MEASURE]
            results.append((measured, ndcg))
            print(f"{option.network}, {option.name}: {measured}, {ndcg}", flush=True)
    num_users, num_products = task.history.shape
    print(
        f"\n{config.shop}: {num_users:,} users, {num_products:,} products, {task.history.nnz:,} purchases; "
        f"{config.epochs} epochs, dimension {config.dimension}, threads: {config.threads}; a process holds "
        f"{max(measured.start_mb for measured, _ in results):,.0f} MB when its training starts\n"
    )
    print("\n".join(table(options, results)))


if __name__ == "__main__":
    run_command(main)
