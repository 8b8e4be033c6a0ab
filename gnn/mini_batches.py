"""Makes mini-batches of sampled neighbourhoods for a trainer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader

from gnn.csr import CompressedGraph
from gnn.sampler import NeighbourSampler
from loaders.errors import InputError


def node_batches(
    data: HeteroData,
    sampler: NeighbourSampler,
    *,
    seeds: tuple[str, Tensor],
    batch_size: int,
    workers: int = 0,
    time: Tensor | None = None,
    shuffle_seed: int | None = None,
) -> NodeLoader:
    """Return a loader over the neighbourhoods of ``seeds`` (their label and node numbers), each batch a ``HeteroData``.

    The sampler's graph is that of ``data``, from which the batches get their attributes; raise if it is not.
    ``workers`` processes draw; the batches are the same with any number. ``time`` holds each seed's moment where the
    graph has times. ``shuffle_seed`` puts the seeds in another order, a pass's own; without it they come as given. For
    links there is PyG's ``LinkLoader``, which takes the same sampler.
    """
    _require_same_graph(data, sampler.graph)
    order = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
    return NodeLoader(
        data,
        sampler,
        input_nodes=seeds,
        input_time=time,
        batch_size=batch_size,
        num_workers=workers,
        shuffle=order is not None,
        generator=order,
    )


def _require_same_graph(data: HeteroData, graph: CompressedGraph) -> None:
    found = {label: data[label].num_nodes for label in data.node_types}
    edges = {edge_type: data[edge_type].num_edges for edge_type in data.edge_types}
    sampled = {edge_type: len(each.source) for edge_type, each in graph.edges.items()}
    for kind, own, wanted in (("nodes", found, dict(graph.num_nodes)), ("edges", edges, sampled)):
        if own != wanted:
            raise InputError(f"the sampler's graph has {kind} {wanted} and the data {own}; make the graph of this data")
