"""Has ``pyg-lib`` sample neighbourhoods, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch_geometric.typing
from torch import Tensor
from torch_geometric.sampler import HeteroSamplerOutput

from gnn.csr import CompressedGraph, EdgeType

EARLIEST = torch.iinfo(torch.int64).min


def pyg_lib_installed() -> bool:
    """Return whether there is a ``pyg-lib`` that knows times of edges."""
    return bool(torch_geometric.typing.WITH_PYG_LIB and torch_geometric.typing.WITH_EDGE_TIME_NEIGHBOR_SAMPLE)


def sample_by_pyg_lib(
    graph: CompressedGraph,
    seeds: Mapping[str, Tensor],
    times: Mapping[str, Tensor] | None,
    *,
    fan_outs: Mapping[EdgeType, Sequence[int]],
    replace: bool,
    in_trees: bool,
    rng: np.random.Generator,
) -> HeteroSamplerOutput:
    """Return the same as :func:`gnn.hops.sample_by_numpy`; the arguments are those that PyG's own sampler gives it."""
    edge_type_of = {"__".join(edge_type): edge_type for edge_type in graph.edges}
    edges_of = {name: graph.edges[edge_type] for name, edge_type in edge_type_of.items()}
    edge_time = {name: torch.from_numpy(edges.time) for name, edges in edges_of.items() if edges.time is not None}
    # It draws from torch's global state: it is put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.integers(2**63).item())
        row, col, node, edge, num_nodes, num_edges = torch.ops.pyg.hetero_neighbor_sample(
            list(graph.num_nodes),
            list(graph.edges),
            {name: torch.from_numpy(edges.start) for name, edges in edges_of.items()},
            {name: torch.from_numpy(edges.source) for name, edges in edges_of.items()},
            {label: nodes.long() for label, nodes in seeds.items()},
            {name: list(fan_outs[edge_type]) for name, edge_type in edge_type_of.items()},
            None,
            edge_time or None,
            # It allows edges at the seed's very time.
            None
            if times is None
            else {label: time.long().clamp(min=EARLIEST + 1) - 1 for label, time in times.items()},
            None,
            True,  # noqa: FBT003
            replace,
            True,  # noqa: FBT003
            in_trees,
            "uniform",
            True,  # noqa: FBT003
        )
    batch = {label: pairs[:, 0].contiguous() for label, pairs in node.items()} if in_trees else None
    return HeteroSamplerOutput(
        node={label: pairs[:, 1].contiguous() for label, pairs in node.items()} if in_trees else dict(node),
        row={edge_type: row[name] for name, edge_type in edge_type_of.items()},
        col={edge_type: col[name] for name, edge_type in edge_type_of.items()},
        edge={each: torch.from_numpy(edges_of[name].edge[edge[name].numpy()]) for name, each in edge_type_of.items()},
        batch=batch,
        num_sampled_nodes=dict(num_nodes),
        num_sampled_edges={edge_type: num_edges[name] for name, edge_type in edge_type_of.items()},
    )
