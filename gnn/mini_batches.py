"""Makes mini-batches of sampled neighbourhoods for a trainer, and says over what a network was propagated."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader

from gnn.csr import CompressedGraph
from gnn.sampler import NeighbourSampler
from loaders.errors import InputError


@dataclass(frozen=True)
class PropagationConfig:
    """Over what a graph network is propagated."""

    num_neighbors: tuple[int, ...] = ()
    """Neighbours that a node gets at most along each edge type, hop by hop, -1 for all. With none, the full graph: the
    better choice wherever it fits in memory, since nothing is estimated."""

    replace: bool = False
    """Draw neighbours with replacement."""

    batch_size: int = 1024
    """Seeds in a batch."""

    workers: int = 0
    """Processes that draw; the batches are the same with any number."""

    def sampler(self, graph: CompressedGraph, *, seed: int) -> NeighbourSampler:
        """Return the sampler of these settings; raise if they ask for the full graph."""
        if not self.num_neighbors:
            raise InputError("num_neighbors is empty, which is the full graph; give a number for each hop to sample")
        return NeighbourSampler(graph, self.num_neighbors, replace=self.replace, seed=seed)


def what_ran(config: PropagationConfig, sampler: NeighbourSampler | None) -> dict[str, object]:
    """Return what a run's ``config.json`` is to say: the settings, and ``full graph`` or what drew the neighbours."""
    return {**asdict(config), "ran": "full graph" if sampler is None else f"sampled by {sampler.ran}"}


def node_batches(
    data: HeteroData,
    sampler: NeighbourSampler,
    *,
    config: PropagationConfig,
    seeds: tuple[str, Tensor],
    time: Tensor | None = None,
    shuffle_seed: int | None = None,
) -> NodeLoader:
    """Return a loader over the neighbourhoods of ``seeds`` (their label and node numbers), each batch a ``HeteroData``.

    The sampler's graph is that of ``data``, from which the batches get their attributes; raise if it is not. ``time``
    holds each seed's moment where the graph has times. ``shuffle_seed`` puts the seeds in another order, a pass's own;
    without it they come as given. For links there is PyG's ``LinkLoader``, which takes the same sampler.
    """
    _require_same_graph(data, sampler.graph)
    order = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
    return NodeLoader(
        data,
        sampler,
        input_nodes=seeds,
        input_time=time,
        batch_size=config.batch_size,
        num_workers=config.workers,
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
