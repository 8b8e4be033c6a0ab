"""Measures the neighbour sampler on The Complete Journey: ``python -m benchmarks.sampler`` prints a Markdown table.

Beside it, in the same run and on the same batches, runs what anybody would write without ``pyg-lib``: a Python loop
over the nodes of a hop, each with a draw of numpy's. PyG has no fall-back of its own to compare with: without
``pyg-lib`` and ``torch-sparse`` its sampler raises. Where ``pyg-lib`` is installed, it is in the table too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch_geometric.sampler import NodeSamplerInput

from gnn.csr import CompressedGraph, EdgeList, EdgeType
from gnn.pyg_lib import pyg_lib_installed
from gnn.sampler import NeighbourSampler
from kg.build import build_graph, graph_tables
from kg.graph import Graph
from loaders.errors import run_command
from loaders.shops import load_shop

Batch = tuple[np.ndarray, np.ndarray]
"""Users, and the moment of each (seconds, UTC)."""


@dataclass(frozen=True)
class SamplerBenchmark:
    """What to measure."""

    shop: str = "complete-journey"
    """Shop whose graph is sampled."""

    fan_out: tuple[int, ...] = (10, 5)
    """Neighbours along each edge type, hop by hop."""

    seeds: int = 512
    """Users in a batch."""

    batches: int = 7
    """Batches of each kind; the median is shown."""

    seed: int = 0
    """Of the choice of users and moments, and of all draws."""


def compressed(graph: Graph, *, timed: bool) -> CompressedGraph:
    """Return purchases, brands and categories as edges both ways, purchases with their times if ``timed``."""
    lists: dict[EdgeType, EdgeList] = {}

    def add(
        source: str, relation: str, target: str, ends: tuple[np.ndarray, np.ndarray], at: np.ndarray | None
    ) -> None:
        lists[source, relation, target] = EdgeList(*ends, at)
        lists[target, f"rev_{relation}", source] = EdgeList(*ends[::-1], at)

    bought = graph.bought
    pairs = (bought["user"].to_numpy().astype(np.int64), bought["product"].to_numpy().astype(np.int64))
    add("user", "bought", "product", pairs, bought["at"].to_numpy().astype(np.int64) if timed else None)
    for target, edges in (("brand", graph.has_brand), ("category", graph.in_category)):
        ends = (edges["source"].to_numpy().astype(np.int64), edges["target"].to_numpy().astype(np.int64))
        add("product", f"has_{target}", target, ends, None)
    frames = {"user": graph.users, "product": graph.products, "brand": graph.brands, "category": graph.categories}
    return CompressedGraph.of_lists(lists, num_nodes={label: len(frame) for label, frame in frames.items()})


def loop(
    graph: CompressedGraph, batch: Batch, *, fan_out: tuple[int, ...], replace: bool, rng: np.random.Generator
) -> int:
    """Sample as ``NeighbourSampler`` does, node by node; return how many edges were drawn."""
    tree = graph.timed
    users, moments = batch
    nodes: dict[str, list[tuple[int, int]]] = {label: [] for label in graph.num_nodes}
    nodes["user"] = [(number if tree else 0, user) for number, user in enumerate(users.tolist())]
    place_of = {label: {node: place for place, node in enumerate(found)} for label, found in nodes.items()}
    begin = dict.fromkeys(nodes, 0)
    rows: dict[EdgeType, list[int]] = {edge_type: [] for edge_type in graph.edges}
    columns: dict[EdgeType, list[int]] = {edge_type: [] for edge_type in graph.edges}
    ids: dict[EdgeType, list[int]] = {edge_type: [] for edge_type in graph.edges}
    for most in fan_out:
        end = {label: len(found) for label, found in nodes.items()}
        for edge_type, edges in graph.edges.items():
            source, target = edge_type[0], edge_type[2]
            for column in range(begin[target], end[target]):
                number, node = nodes[target][column]
                first, stop = int(edges.start[node]), int(edges.start[node + 1])
                if edges.time is not None:
                    stop = first + int(np.searchsorted(edges.time[first:stop], moments[number]))
                count = stop - first
                if count > most or (replace and count):
                    places = first + rng.choice(count, most, replace=replace, shuffle=False)
                else:
                    places = np.arange(first, stop)
                ids[edge_type].extend(edges.edge[places].tolist())
                for neighbour in edges.source[places].tolist():
                    place = place_of[source].setdefault((number, neighbour), len(nodes[source]))
                    if place == len(nodes[source]):
                        nodes[source].append((number, neighbour))
                    rows[edge_type].append(place)
                    columns[edge_type].append(column)
        begin = end
    for found in (rows, columns, ids):
        for numbers in found.values():
            torch.tensor(numbers)
    return sum(len(numbers) for numbers in rows.values())


def edges_drawn(sampler: NeighbourSampler, batch: Batch) -> int:
    """Sample the batch; return how many edges were drawn."""
    users, moments = (torch.from_numpy(part) for part in batch)
    asked = NodeSamplerInput(None, users, moments if sampler.graph.timed else None, "user")
    out = sampler.sample_from_nodes(asked)
    return sum(len(row) for row in out.row.values())


def timed_in_turns(ways: Mapping[str, Callable[[Batch], int]], batches: list[Batch]) -> dict[str, tuple[float, float]]:
    """Return each way's seconds a batch and edges a batch (medians); the ways take turns, a batch each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    edges: dict[str, list[int]] = {name: [] for name in ways}
    for batch in batches:
        for name, way in ways.items():
            start = time.perf_counter()
            edges[name].append(way(batch))
            seconds[name].append(time.perf_counter() - start)
    return {name: (statistics.median(seconds[name]), statistics.median(edges[name])) for name in ways}


def main(config: SamplerBenchmark) -> None:
    """Measure and print."""
    graph = build_graph(graph_tables(load_shop(config.shop)))
    rng = np.random.default_rng(config.seed)
    chosen = [rng.integers(len(graph.bought), size=config.seeds) for _ in range(config.batches + 1)]
    user, at = (graph.bought[name].to_numpy().astype(np.int64) for name in ("user", "at"))
    batches = [(user[rows], at[rows]) for rows in chosen]
    print(
        f"{config.shop}: {len(graph.bought):,} purchases, {config.seeds} seeds a batch, neighbours {config.fan_out} "
        f"along each of 6 edge types; median of {config.batches} batches; pyg-lib is "
        f"{'' if pyg_lib_installed() else 'not '}installed\n"
    )
    print("| draws | by | ms a batch | seeds/s | edges a batch | edges/s | times the loop |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for kind, timed, replace in (
        ("without replacement", False, False),
        ("with replacement", False, True),
        ("before each seed's moment", True, False),
    ):
        in_memory = compressed(graph, timed=timed)
        with tempfile.TemporaryDirectory() as folder:
            in_memory.write(Path(folder) / "graph")
            mapped = CompressedGraph.open(Path(folder) / "graph")

            def sample(graph: CompressedGraph, engine: str, replace: bool = replace) -> Callable[[Batch], int]:  # noqa: FBT001
                settings = {"replace": replace, "seed": config.seed, "engine": engine}
                return lambda batch: edges_drawn(NeighbourSampler(graph, config.fan_out, **settings), batch)

            ways = {
                "a loop over nodes": lambda batch, graph=in_memory, replace=replace: loop(
                    graph, batch, fan_out=config.fan_out, replace=replace, rng=rng
                ),
                "numpy": sample(in_memory, "numpy"),
                "numpy, mapped from files": sample(mapped, "numpy"),
            }
            if pyg_lib_installed():
                ways["pyg-lib"] = sample(in_memory, "pyg-lib")
            timed_in_turns(ways, batches[:1])
            found = timed_in_turns(ways, batches[1:])
        slowest = found["a loop over nodes"][0]
        for name, (seconds, edges) in found.items():
            print(
                f"| {kind} | {name} | {seconds * 1000:,.1f} | {config.seeds / seconds:,.0f} | {edges:,.0f} "
                f"| {edges / seconds:,.0f} | {slowest / seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    run_command(lambda: main(tyro.cli(SamplerBenchmark)))
