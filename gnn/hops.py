"""Samples neighbourhoods hop by hop with numpy, all nodes of a hop at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch_geometric.sampler import HeteroSamplerOutput

from gnn.csr import CompressedEdges, CompressedGraph, EdgeType
from gnn.draws import drawn_places, first_not_below

LARGEST_TABLE = 2
"""Nodes of a graph, for each that a batch has, up to which a table of all is quicker than a search among the batch's: 9
of 31 ms for 800,000 among 1 million, 2.4 of 2.2 for 125,000."""


def sample_by_numpy(
    graph: CompressedGraph,
    seeds: Mapping[str, Tensor],
    times: Mapping[str, Tensor] | None,
    *,
    fan_outs: Mapping[EdgeType, Sequence[int]],
    replace: bool,
    in_trees: bool,
    rng: np.random.Generator,
) -> HeteroSamplerOutput:
    """Return what was drawn around ``seeds`` (label → node numbers), with edges before their ``times``.

    ``fan_outs`` holds how many neighbours a node gets at most in each hop, -1 for all; ``in_trees`` gives every seed a
    subgraph of its own. The places of the output are those of PyG: seeds first, as given, then the nodes of each hop.
    """
    nodes = _seed_nodes(seeds, labels=list(graph.num_nodes), in_trees=in_trees)
    time_of_tree = None if times is None else np.concatenate([times[label].numpy() for label in seeds])
    drawn: dict[EdgeType, list[_Drawn]] = {edge_type: [] for edge_type in graph.edges}
    sources: dict[EdgeType, list[np.ndarray]] = {edge_type: [] for edge_type in graph.edges}
    for hop in range(max((len(counts) for counts in fan_outs.values()), default=0)):
        for edge_type, counts in fan_outs.items():
            targets, most = nodes[edge_type[2]], counts[hop]
            edges = graph.edges[edge_type]
            found = _draw(edges, targets, most=most, replace=replace, time_of_tree=time_of_tree, rng=rng)
            drawn[edge_type].append(found)
        for label, known in nodes.items():
            into = [edge_type for edge_type in graph.edges if edge_type[0] == label]
            parts = [drawn[edge_type][-1] for edge_type in into]
            node, tree = _joined([part.source for part in parts]), _joined([part.tree for part in parts])
            nodes[label], place = known.joined(node, tree, num_nodes=graph.num_nodes[label])
            ends = np.cumsum([len(part.source) for part in parts])[:-1]
            for edge_type, places in zip(into, np.split(place, ends) if into else [], strict=True):
                sources[edge_type].append(places)
    return HeteroSamplerOutput(
        node={label: torch.from_numpy(known.node) for label, known in nodes.items()},
        row={edge_type: torch.from_numpy(_joined(parts)) for edge_type, parts in sources.items()},
        col={each: torch.from_numpy(_joined([part.target for part in parts])) for each, parts in drawn.items()},
        edge={each: torch.from_numpy(_joined([part.edge for part in parts])) for each, parts in drawn.items()},
        batch={label: torch.from_numpy(known.tree) for label, known in nodes.items()} if in_trees else None,
        num_sampled_nodes={label: list(known.per_hop) for label, known in nodes.items()},
        num_sampled_edges={each: [len(part.edge) for part in parts] for each, parts in drawn.items()},
    )


@dataclass(frozen=True)
class _Nodes:
    """The nodes of one type that a batch has so far: the seeds as they were given, then hop by hop."""

    node: Int[np.ndarray, " nodes"]
    tree: Int[np.ndarray, " nodes"]
    """The seed in whose subgraph it is; 0 where all share one."""

    per_hop: tuple[int, ...]

    @property
    def newest(self) -> slice:
        """Those that came last."""
        return slice(len(self.node) - self.per_hop[-1], len(self.node))

    def joined(
        self, node: Int[np.ndarray, " edges"], tree: Int[np.ndarray, " edges"], *, num_nodes: int
    ) -> tuple[_Nodes, Int[np.ndarray, " edges"]]:
        """Return the nodes with those that were found now, each once, and at which place each found one is."""
        both = np.concatenate([self.tree * num_nodes + self.node, tree * num_nodes + node])
        count = len(self.node)
        if self.tree.any() or tree.any() or num_nodes > LARGEST_TABLE * len(both):
            values, code = (part.numpy() for part in torch.unique(torch.from_numpy(both), return_inverse=True))
        else:
            values, code = np.arange(num_nodes), both
        is_there = np.zeros(len(values), dtype=bool)
        is_there[code] = True
        place = np.full(len(values), -1)
        # From the last to the first: of a seed that is given twice, the first is what edges lead from.
        place[code[:count][::-1]] = np.arange(count)[::-1]
        new = np.flatnonzero(is_there & (place < 0))
        place[new] = count + np.arange(len(new))
        new_tree, new_node = np.divmod(values[new], max(num_nodes, 1))
        nodes = _Nodes(
            np.concatenate([self.node, new_node]),
            np.concatenate([self.tree, new_tree]),
            (*self.per_hop, len(new)),
        )
        return nodes, place[code[count:]]


@dataclass(frozen=True)
class _Drawn:
    """Edges of one type, drawn in one hop."""

    source: Int[np.ndarray, " edges"]
    """Node number in the graph."""

    target: Int[np.ndarray, " edges"]
    """Place in the batch."""

    tree: Int[np.ndarray, " edges"]
    edge: Int[np.ndarray, " edges"]


def _seed_nodes(seeds: Mapping[str, Tensor], *, labels: Sequence[str], in_trees: bool) -> dict[str, _Nodes]:
    """Return the seeds of every label; subgraphs are numbered through all labels, in the order of ``seeds``."""
    none = np.zeros(0, dtype=np.int64)
    nodes = {label: _Nodes(none, none, (0,)) for label in labels}
    trees = 0
    for label, given in seeds.items():
        node = given.numpy().astype(np.int64)
        tree = trees + np.arange(len(node)) if in_trees else np.zeros_like(node)
        nodes[label] = _Nodes(node, tree, (len(node),))
        trees += len(node)
    return nodes


def _draw(
    edges: CompressedEdges,
    targets: _Nodes,
    *,
    most: int,
    replace: bool,
    time_of_tree: Int[np.ndarray, " trees"] | None,
    rng: np.random.Generator,
) -> _Drawn:
    """Draw edges of one type into the nodes that came last."""
    newest = targets.newest
    node, tree = targets.node[newest], targets.tree[newest]
    first, stop = edges.start[node], edges.start[node + 1]
    if edges.time is not None and time_of_tree is not None:
        # A target's edges are sorted by time: those before the seed's are the first ones.
        stop = first_not_below(edges.time, time_of_tree[tree], first=first, stop=stop)
    place, taken = drawn_places(first, stop - first, most=most, replace=replace, rng=rng)
    return _Drawn(
        source=edges.source[place],
        target=np.repeat(np.arange(newest.start, newest.stop), taken),
        tree=np.repeat(tree, taken),
        edge=edges.edge[place],
    )


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
