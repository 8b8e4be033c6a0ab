"""Makes a trained message-passing network's vectors one layer, and one block of nodes, at a time.

What training sees of a large graph is sampled, and so small; the vectors after it are to be exact. A layer's outputs of
some nodes need the outputs below of these and their neighbours alone, so no device ever has those of all nodes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch_geometric.data import HeteroData

from gnn.csr import CompressedGraph
from gnn.message_passing import MessagePassingNetwork

BLOCK_EDGES = 1_000_000
"""Edges into the nodes of a block at the most, but of a node that has more by itself."""


def layer_wise_vectors(
    network: MessagePassingNetwork, graph: CompressedGraph, *, block_edges: int = BLOCK_EDGES
) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
    """Return the queries, and the keys at unit length, of all products: those of a forward pass over ``graph``.

    They are on the CPU, as the outputs of a layer are while the next one is made; no gradient is kept.
    """
    below: dict[str, Tensor] = {}
    with torch.no_grad():
        for number in range(network.layers):
            last = number + 1 == network.layers
            below = {
                label: _layer(network, graph, number, label, below, block_edges=block_edges)
                # Nobody reads what the last layer says of anything else.
                for label in (("product",) if last else network.num_nodes)
            }
        rows = torch.split(below["product"], block_edges)
        parts = [network.turned(each.to(network.device)) for each in rows]
    return torch.cat([query.cpu() for query, _ in parts]), torch.cat([key.cpu() for _, key in parts])


def _layer(
    network: MessagePassingNetwork,
    graph: CompressedGraph,
    number: int,
    label: str,
    below: dict[str, Tensor],
    *,
    block_edges: int,
) -> Float[Tensor, "nodes dimension"]:
    """Return what a layer says of all nodes of a type, by what the one below (if there is one) says of all nodes."""
    found = []
    for first, last in _blocks(graph, label, block_edges=block_edges):
        batch = _around(graph, label, first, last)
        rows = {each: part[batch[each].n_id].to(network.device) for each, part in below.items()}
        batch = batch.to(network.device)
        found.append(network.layer(number, label, rows or network.start_of(batch), batch)[: last - first].cpu())
    return torch.cat(found)


def _blocks(graph: CompressedGraph, label: str, *, block_edges: int) -> Iterator[tuple[int, int]]:
    """Yield the first node of each block, and the one after its last; a node counts as an edge to itself."""
    num_nodes = graph.num_nodes[label]
    edges = np.arange(num_nodes + 1) + sum(each.start for kind, each in graph.edges.items() if kind[2] == label)
    first = 0
    while first < num_nodes:
        last = max(int(np.searchsorted(edges, edges[first] + block_edges, side="right")) - 1, first + 1)
        yield first, last
        first = last


def _around(graph: CompressedGraph, label: str, first: int, last: int) -> HeteroData:
    """Return the nodes ``first`` to ``last`` of a type, before all others of it, with all edges into them."""
    batch = HeteroData()
    into = {
        kind: edges.source[edges.start[first] : edges.start[last]]
        for kind, edges in graph.edges.items()
        if kind[2] == label
    }
    for each in graph.num_nodes:
        ends = [sources for kind, sources in into.items() if kind[0] == each]
        reached = np.unique(np.concatenate(ends)) if ends else np.zeros(0, dtype=np.int64)
        if each == label:
            reached = np.concatenate([np.arange(first, last), reached[(reached < first) | (reached >= last)]])
        batch[each].n_id = torch.from_numpy(reached)
        batch[each].num_nodes = len(reached)
    for kind, sources in into.items():
        target = np.repeat(np.arange(last - first), np.diff(graph.edges[kind].start[first : last + 1]))
        pairs = np.stack([_places(batch[kind[0]].n_id.numpy(), sources), target])
        batch[kind].edge_index = torch.from_numpy(pairs)
    return batch


def _places(nodes: Int[np.ndarray, " nodes"], wanted: Int[np.ndarray, " edges"]) -> Int[np.ndarray, " edges"]:
    """Return where each wanted number stands among ``nodes``, which has them all, each once."""
    order = np.argsort(nodes)
    place: np.ndarray = order[np.searchsorted(nodes, wanted, sorter=order)]
    return place
