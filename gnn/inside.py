"""Looks inside the edges that an explanation names: what the gate made of each, and what the graph network said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gnn.inside_facts import Messages, messages_of
from gnn.inside_gate import Gate, gate_of
from gnn.inside_messages import Method, explain_pair, neighbourhood
from gnn.inside_split import Split, linear_parts
from gnn.message_passing import MessagePassingNetwork, edge_pairs
from gnn.network import QueryKeyNetwork
from gnn.rebuilt import RebuiltNetwork, rebuilt_network
from gnn.run import RunFolder
from kg.store import GraphStore
from loaders.errors import InputError


@dataclass(frozen=True)
class StoredEdge:
    """A ``RELATED`` edge as the store has it."""

    source: str
    """Id of the product that was bought."""

    target: str
    """Id of the product that it speaks for."""

    weight: float
    network: float
    """Its share ``network``: all of it, where only the graph network proposed it."""

    noise: float
    """How far off the weight may be: it is the sum of shares of 32 bits, which may be far larger and cancel out."""


@dataclass(frozen=True)
class Inside:
    """How the networks made an edge."""

    gate: Gate
    split: Split | None
    """Of a linear graph network."""

    messages: Messages | None
    """Of a graph network of the kinds sage and hgt."""


def look_inside(
    folder: RunFolder, store: GraphStore, edges: Sequence[StoredEdge], *, explainer: Method | None
) -> list[Inside]:
    """Return the inside of each edge; ``explainer`` is for networks that pass messages, by default ``ig``.

    Raise where the run has no networks, or they are not those that made the edges.
    """
    rebuilt, fitted = rebuilt_network(folder, store), folder.edges()
    if rebuilt is None or fitted is None:
        name = folder.path.name
        raise InputError(
            f"the run {name!r} has no networks, so there is nothing inside its edges but the closed form's shares; "
            "leave out --inside, or train with --networks always"
        )
    ends = [(rebuilt.row(edge.source), rebuilt.row(edge.target)) for edge in edges]
    gates = [
        gate_of(fitted.network, folder.edge_file().edge(*each), stored=edge.weight, noise=edge.noise)
        for edge, each in zip(edges, ends, strict=True)
    ]
    if isinstance(rebuilt.network, QueryKeyNetwork):
        if explainer is not None:
            raise InputError(
                f"--explainer {explainer!r} is for networks of the kinds sage and hgt; that of run "
                f"{folder.path.name!r} is linear and is split exactly, so leave it out"
            )
        shares = [edge.network for edge in edges]
        splits = _splits(rebuilt, rebuilt.network, ends, shares)
        return [Inside(gate, split, None) for gate, split in zip(gates, splits, strict=True)]
    messages = _messages(rebuilt, ends, explainer=explainer or "ig", seed=folder.config().seed)
    return [Inside(gate, None, found) for gate, found in zip(gates, messages, strict=True)]


def _splits(
    rebuilt: RebuiltNetwork, network: QueryKeyNetwork, ends: Sequence[tuple[int, int]], shares: Sequence[float]
) -> list[Split]:
    rows = sorted({row for pair in ends for row in pair})
    parts = linear_parts(network, rebuilt.bought, rows=torch.tensor(rows, dtype=torch.int64))
    return [
        parts.split(rows.index(source), rows.index(target), share=share)
        for (source, target), share in zip(ends, shares, strict=True)
    ]


def _messages(
    rebuilt: RebuiltNetwork, ends: Sequence[tuple[int, int]], *, explainer: Method, seed: int
) -> list[Messages]:
    network = rebuilt.network
    if not isinstance(network, MessagePassingNetwork):
        raise TypeError(f"no kind of network that can be looked into: {type(network).__name__}")
    pairs = edge_pairs(rebuilt.data)
    found = []
    for products in ends:
        around = neighbourhood(pairs, num_nodes=network.num_nodes, products=products, hops=len(network.convolutions))
        masked = explain_pair(network, around, method=explainer, seed=seed)
        found.append(messages_of(masked, around, graph=rebuilt.graph, products=rebuilt.products, explainer=explainer))
    return found
