"""Samples the neighbourhoods of nodes or links, as PyG's loaders ask a ``BaseSampler`` to, never what came later."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    NumNeighbors,
    SamplerOutput,
)
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample

from gnn.csr import NODE, ONLY_EDGES, CompressedGraph, EdgeType, require_nodes
from gnn.draws import ALL
from gnn.hops import sample_by_numpy
from gnn.pyg_lib import pyg_lib_installed, sample_by_pyg_lib
from loaders.errors import InputError

Engine = Literal["numpy", "pyg-lib"]
Seeds = dict[str, Tensor]


@dataclass(frozen=True)
class NeighbourSampler(BaseSampler):  # type: ignore[misc]
    """Draws neighbours hop by hop, along every edge type into each node found in the hop before.

    Where the graph has times of edges, every seed needs a time: it gets a subgraph of its own, in which all edges with
    a time are before the seed's, so that the link to be predicted, and what came with it, is not in it.
    The draws come from ``seed`` and from what is asked (the seeds in their order, their times), from nothing else: the
    same batches in any number of workers, in any order.
    """

    graph: CompressedGraph
    num_neighbors: NumNeighbors | Sequence[int] | Mapping[EdgeType, Sequence[int]]
    """How many a node gets at most in each hop, -1 for all; the same along every edge type, or for each its own."""

    replace: bool = False
    """Draw with replacement: an edge may come more than once."""

    disjoint: bool = False
    """Give every seed a subgraph of its own, also where there are no times."""

    seed: int = 0
    engine: Engine | None = None
    """What draws; by default ``pyg-lib`` where it is installed, else numpy. Draws differ, their chances do not."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f"the seed is {self.seed}; give 0 or more")
        if self.engine == "pyg-lib" and not pyg_lib_installed():
            raise InputError("the engine 'pyg-lib' is not installed (0.4 or newer); install it, or take 'numpy'")
        _ = self.fan_outs

    @property
    def ran(self) -> Engine:
        """What draws here."""
        return self.engine or ("pyg-lib" if pyg_lib_installed() else "numpy")

    @property
    def in_trees(self) -> bool:
        """Whether every seed gets a subgraph of its own."""
        return self.disjoint or self.graph.timed

    @cached_property
    def fan_outs(self) -> dict[EdgeType, list[int]]:
        """How many neighbours a node gets at most in each hop, by edge type."""
        given = self.num_neighbors
        try:
            values, default = (given.values, given.default) if isinstance(given, NumNeighbors) else (given, None)
            # A new one: it remembers the first graph that it was asked about.
            fresh = NumNeighbors(dict(values) if isinstance(values, Mapping) else list(values), default)
            found = dict(fresh.get_values(list(self.graph.edges)))
        except (TypeError, ValueError) as error:
            known = ", ".join(map(str, self.graph.edges))
            raise InputError(f"num_neighbors is {self.num_neighbors} ({error}); the edge types are {known}") from error
        for edge_type, counts in found.items():
            wrong = [count for count in counts if isinstance(count, bool) or not isinstance(count, int) or count < ALL]
            if wrong or not counts:
                raise InputError(
                    f"the numbers of neighbours of {edge_type} are {list(counts)}; give one for each hop, "
                    "each 0 or more, or -1 for all neighbours"
                )
        return found

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> HeteroSamplerOutput | SamplerOutput:
        """Return the neighbourhoods of nodes, as ``NodeLoader`` asks."""
        label = self._label(index.input_type)
        self._require_seeds(label, index.node, index.time)
        rng = self._rng("nodes", label, index.input_id, index.node, index.time)
        return node_sample(index, lambda seeds, times: self._sample(seeds, times, rng))

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> HeteroSamplerOutput | SamplerOutput:
        """Return the neighbourhoods of both ends of links, and of random ones beside them, as ``LinkLoader`` asks.

        A random link gets the time of the link that it stands beside; it may be a link of the graph.
        """
        ends = index.input_type[::2] if index.input_type else (None, None)
        labels = [self._label(end) for end in ends]
        for label, nodes in zip(labels, (index.row, index.col), strict=True):
            self._require_seeds(label, nodes, index.time)
        if neg_sampling is not None:
            self._require_negatives(neg_sampling, labels)
        rng = self._rng("links", *labels, index.input_id, index.row, index.col, index.time)
        num_nodes = dict(self.graph.num_nodes) if index.input_type else self.graph.num_nodes[NODE]
        # PyG draws the random links from torch's global state: it is put back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.integers(2**63).item())
            return edge_sample(
                index,
                lambda seeds, times: self._sample(seeds, times, rng),
                num_nodes,
                self.in_trees,
                neg_sampling=neg_sampling,
            )

    def _label(self, given: str | None) -> str:
        label = NODE if given is None else given
        if label not in self.graph.num_nodes:
            raise InputError(f"the seeds are {label!r} nodes; the graph has {', '.join(self.graph.num_nodes)}")
        return label

    def _require_seeds(self, label: str, nodes: Tensor, time: Tensor | None) -> None:
        if time is None and self.graph.timed:
            raise InputError(
                "the graph has times of edges and the seeds have none; give the loader their input_time or "
                "edge_label_time, or make the graph without a time"
            )
        if time is not None and not self.graph.timed:
            raise InputError("the seeds have times and the graph has none; name the time when the graph is made")
        if time is not None and (time.shape != nodes.shape or time.is_floating_point()):
            raise InputError(
                f"the times of {len(nodes)} seeds are {time.dtype} of shape {tuple(time.shape)}; "
                "give a whole number for each"
            )
        require_nodes(nodes.numpy(), self.graph.num_nodes[label], what="the list of seeds", label=label)

    def _require_negatives(self, sampling: NegativeSampling, labels: Sequence[str]) -> None:
        if self.in_trees and sampling.amount != math.ceil(sampling.amount):
            # PyG numbers the subgraphs by the remainder of their place, which then is another link's.
            raise InputError(
                f"{sampling.amount} random links for each, every one with a subgraph of its own; give a whole number"
            )
        for label, weight in zip(labels, (sampling.src_weight, sampling.dst_weight), strict=True):
            if weight is not None and len(weight) != self.graph.num_nodes[label]:
                raise InputError(
                    f"the weights of random {label!r} nodes are {len(weight)}; give one for each of the "
                    f"{self.graph.num_nodes[label]} nodes"
                )

    def _rng(self, *asked: str | Tensor | None) -> np.random.Generator:
        digest = hashlib.blake2b(digest_size=16)
        for part in asked:
            content = part.encode() if isinstance(part, str) else b"" if part is None else part.numpy().tobytes()
            digest.update(len(content).to_bytes(8, "little") + content)
        return np.random.default_rng([self.seed, int.from_bytes(digest.digest(), "little")])

    def _sample(
        self, seeds: Seeds | Tensor, times: Seeds | Tensor | None, rng: np.random.Generator
    ) -> HeteroSamplerOutput | SamplerOutput:
        hetero = isinstance(seeds, dict)
        by_label = seeds if isinstance(seeds, dict) else {NODE: seeds}
        time_of = times if isinstance(times, dict) or times is None else {NODE: times}
        sample = sample_by_pyg_lib if self.ran == "pyg-lib" else sample_by_numpy
        out = sample(
            self.graph,
            by_label,
            time_of,
            fan_outs=self.fan_outs,
            replace=self.replace,
            in_trees=self.in_trees,
            rng=rng,
        )
        return out if hetero else _homogeneous(out)


def _homogeneous(out: HeteroSamplerOutput) -> SamplerOutput:
    return SamplerOutput(
        node=out.node[NODE],
        row=out.row[ONLY_EDGES],
        col=out.col[ONLY_EDGES],
        edge=out.edge[ONLY_EDGES],
        batch=out.batch[NODE] if out.batch else None,
        num_sampled_nodes=out.num_sampled_nodes[NODE],
        num_sampled_edges=out.num_sampled_edges[ONLY_EDGES],
    )
