"""HGT's layer over sparse matrices: attention by products along edges, never a vector for each edge in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import gelu
from torch_geometric.nn import HGTConv

from gnn.csr import EdgeType

BLOCK_EDGES = 16_384
"""Edges whose two vectors are there at once: so many of 64 numbers stay in a core's cache."""


@dataclass(frozen=True)
class Edges:
    """Edges in the order of their targets, and how to go over them in the order of their sources."""

    start: Int[Tensor, " targets_and_1"]
    """Where the edges of each target begin, and where the last ones end."""

    target: Int[Tensor, " edges"]
    source: Int[Tensor, " edges"]
    source_start: Int[Tensor, " sources_and_1"]
    by_source: Int[Tensor, " edges"]
    """The edges in the order of their sources."""

    @classmethod
    def of(cls, target: Tensor, source: Tensor, *, num_targets: int, num_sources: int) -> Edges:
        """Return the edges between these ends, in any order; one that is there twice counts twice."""
        order = target.argsort(stable=True)
        target, source = target[order], source[order]
        return cls(_starts(target, num_targets), target, source, _starts(source, num_sources), source.argsort())


class _Products(torch.autograd.Function):
    """Inner products along edges; the gradients are sums along them."""

    @staticmethod
    def forward(ctx: Any, targets: Tensor, sources: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(targets, sources)
        ctx.edges = edges
        return _products(targets, sources, edges)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        targets, sources = ctx.saved_tensors
        edges: Edges = ctx.edges
        return _sums(gradient, sources, edges), _sums_to_sources(gradient, targets, edges), None


class _Sums(torch.autograd.Function):
    """Weighted sums along edges; the gradients are products and sums along them."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, sources: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(weights, sources)
        ctx.edges = edges
        return _sums(weights, sources, edges)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, sources = ctx.saved_tensors
        edges: Edges = ctx.edges
        return _products(gradient, sources, edges), _sums_to_sources(weights, gradient, edges), None


def _products(
    targets: Float[Tensor, "targets heads dimension"], sources: Float[Tensor, "sources heads dimension"], edges: Edges
) -> Float[Tensor, "edges heads"]:
    """Return for each edge and head the inner product of its ends."""
    made = targets.new_empty(len(edges.target), targets.shape[1])
    # By rows of all heads: to choose them by head takes twice as long.
    left, right = targets.flatten(1), sources.flatten(1)
    blocks = (torch.split(each, BLOCK_EDGES) for each in (made, edges.target, edges.source))
    for block, target, source in zip(*blocks, strict=True):
        multiplied = left.index_select(0, target).mul_(right.index_select(0, source))
        torch.sum(multiplied.view(len(target), *targets.shape[1:]), dim=2, out=block)
    return made


def _sums(
    weights: Float[Tensor, "edges heads"], sources: Float[Tensor, "sources heads dimension"], edges: Edges
) -> Float[Tensor, "targets heads dimension"]:
    """Return for each target and head the weighted sum over its edges of their sources."""
    return _multiplied(weights, sources, start=edges.start, columns=edges.source)


def _sums_to_sources(
    weights: Float[Tensor, "edges heads"], targets: Float[Tensor, "targets heads dimension"], edges: Edges
) -> Float[Tensor, "sources heads dimension"]:
    """Return for each source and head the weighted sum over its edges of their targets."""
    order = edges.by_source
    own = weights.index_select(0, order)
    return _multiplied(own, targets, start=edges.source_start, columns=edges.target[order])


def _multiplied(weights: Tensor, vectors: Tensor, *, start: Tensor, columns: Tensor) -> Tensor:
    size = (len(start) - 1, len(vectors))
    # In as many bits as the starts: torch wants both alike.
    places = columns.to(start.dtype)
    heads = [
        torch.sparse_csr_tensor(start, places, of_head, size=size, check_invariants=False) @ vectors[:, head]
        for head, of_head in enumerate(weights.T.contiguous())
    ]
    return torch.stack(heads, dim=1)


def _starts(ends: Tensor, count: int) -> Tensor:
    """Return where the edges of each of ``count`` nodes begin when they are in order."""
    counts = torch.bincount(ends, minlength=count)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()


@dataclass(frozen=True)
class TypedEdges:
    """The edges of all types at once: targets of all labels one after the other, sources of all edge types."""

    edges: Edges
    edge_types: tuple[EdgeType, ...]
    targets: dict[str, int]
    """Label of the targets → how many there are, the first nodes of their type."""

    @classmethod
    def of(cls, incoming: Mapping[EdgeType, Tensor]) -> TypedEdges:
        """Return the edges of CSR matrices, targets × sources."""
        sizes = {edge_type[2]: matrix.shape[0] for edge_type, matrix in incoming.items()}
        offsets = dict(zip(sizes, _offsets(sizes.values()), strict=True))
        source_offsets = _offsets(matrix.shape[1] for matrix in incoming.values())
        pairs = [
            torch.stack([_rows(matrix) + offsets[edge_type[2]], matrix.col_indices().long() + offset])
            for (edge_type, matrix), offset in zip(incoming.items(), source_offsets, strict=True)
        ]
        target, source = torch.cat(pairs, dim=1)
        num_sources = sum(matrix.shape[1] for matrix in incoming.values())
        edges = Edges.of(target, source, num_targets=sum(sizes.values()), num_sources=num_sources)
        return cls(edges, tuple(incoming), sizes)


def _offsets(sizes: Iterable[int]) -> list[int]:
    return [0, *accumulate(sizes)][:-1]


def _rows(matrix: Tensor) -> Int[Tensor, " entries"]:
    """Return the row of each entry of a CSR matrix."""
    counts = matrix.crow_indices().diff()
    return torch.arange(len(counts), device=counts.device).repeat_interleave(counts)


class SparseHGTConv(HGTConv):  # type: ignore[misc]
    """PyG's layer of the heterogeneous graph transformer (Hu et al. 2020), computed along :class:`TypedEdges`.

    Its weights and what it says are PyG's; pairs of nodes are left to PyG, whose explainers need them.
    """

    def forward(self, x_dict: dict[str, Tensor], edges: TypedEdges | Mapping[EdgeType, Tensor]) -> dict[str, Tensor]:
        """Return the vectors of all targets."""
        if not isinstance(edges, TypedEdges):
            made: dict[str, Tensor] = super().forward(x_dict, edges)
            return made
        heads, size = self.heads, self.out_channels // self.heads
        own = {label: each.view(-1, 3, heads, size).unbind(1) for label, each in self.kqv_lin(x_dict).items()}
        # The attention's scale is the source's, so that no number is kept for each edge.
        scale = size**-0.5
        keys = [
            scale * self.p_rel["__".join(each)].view(heads, 1) * self._turned(self.k_rel.weight, own[each[0]][0], each)
            for each in edges.edge_types
        ]
        values = [self._turned(self.v_rel.weight, own[each[0]][2], each) for each in edges.edge_types]
        queries = torch.cat([own[label][1][:count] for label, count in edges.targets.items()])
        # At least in 32 bits: on a CPU torch has no sparse product in 16.
        exact = torch.promote_types(queries.dtype, torch.float32)
        with torch.autocast(queries.device.type, enabled=False):
            sent, told = torch.cat(keys).to(exact), torch.cat(values).to(exact)
            attended = _attended(queries.to(exact), sent, told, edges.edges).flatten(1)
        parts = torch.split(attended, list(edges.targets.values()))
        turned = self.out_lin({label: gelu(part) for label, part in zip(edges.targets, parts, strict=True)})
        kept = {label: self.skip[label].sigmoid() for label in edges.targets}
        return {
            label: kept[label] * turned[label] + (1 - kept[label]) * x_dict[label][:count]
            for label, count in edges.targets.items()
        }

    def _turned(
        self, matrices: Float[Tensor, "matrices d d"], vectors: Float[Tensor, "nodes heads d"], edge_type: EdgeType
    ) -> Float[Tensor, "nodes heads d"]:
        """Return the vectors as they are sent along an edge type; PyG keeps its matrices by head, then edge type."""
        by_head = matrices.view(self.heads, len(self.edge_types), *matrices.shape[1:])
        return torch.einsum("nhd,hde->nhe", vectors, by_head[:, self.edge_types_map[edge_type]])


def _attended(
    queries: Float[Tensor, "targets heads dimension"],
    keys: Float[Tensor, "sources heads dimension"],
    values: Float[Tensor, "sources heads dimension"],
    edges: Edges,
) -> Float[Tensor, "targets heads dimension"]:
    """Return for each target the mean of its sources' values by the softmax of query · key; zeros without a source."""
    scores: Tensor = _Products.apply(queries, keys, edges)
    largest = scores.new_full((len(queries), scores.shape[1]), -torch.inf).scatter_reduce_(
        0, edges.target[:, None].expand_as(scores), scores.detach(), "amax"
    )
    weights = (scores - largest.index_select(0, edges.target)).exp()
    # With a column of ones the sum that they are divided by comes with them.
    summed: Tensor = _Sums.apply(weights, torch.cat([values, values.new_ones(*values.shape[:2], 1)], dim=2), edges)
    return summed[..., :-1] / summed[..., -1:].clamp(min=torch.finfo(summed.dtype).tiny)
