"""GraphSAGE's layer over sparse matrices: PyG's weights, each transform on as few rows as there can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch_geometric.nn import HeteroConv, SAGEConv

from gnn.csr import EdgeType
from gnn.network import propagate


class SparseSAGEConv(HeteroConv):  # type: ignore[misc]
    """A layer of GraphSAGE (Hamilton et al. 2017): means over the neighbours of each edge type, and the mean of these.

    Its weights and what it says are those of PyG's ``HeteroConv`` of ``SAGEConv``.
    """

    def __init__(self, dimension: int, edge_types: Sequence[EdgeType], *, num_nodes: Mapping[str, int]) -> None:
        super().__init__({each: SAGEConv(dimension, dimension, aggr="mean") for each in edge_types}, aggr="mean")
        # By the graph and not by the batch: a layer does the same in any of them.
        self.turned_first = {each: num_nodes[each[0]] < num_nodes[each[2]] for each in edge_types}

    def forward(self, x_dict: Mapping[str, Tensor], incoming: Mapping[EdgeType, Tensor]) -> dict[str, Tensor]:
        """Return the vectors of the targets by type, given CSR matrices, targets × sources, whose rows are means.

        The targets are the first nodes of their type, as many as the matrices have rows. A single vector of a type
        stands for all its nodes, which are alike then.
        """
        return {label: self._of_type(label, x_dict, incoming) for label in {each[2]: None for each in incoming}}

    def _of_type(
        self, label: str, x_dict: Mapping[str, Tensor], incoming: Mapping[EdgeType, Tensor]
    ) -> Float[Tensor, "targets dimension"]:
        into = {edge_type: matrix for edge_type, matrix in incoming.items() if edge_type[2] == label}
        layers = [self.convs[edge_type] for edge_type in into]
        # What each edge type makes of the target itself is added up before the product, not after it.
        own = torch.stack([layer.lin_r.weight for layer in layers]).mean(dim=0)
        bias = torch.stack([layer.lin_l.bias for layer in layers]).mean(dim=0)
        (rows,) = {matrix.shape[0] for matrix in into.values()}
        made: Tensor = torch.nn.functional.linear(x_dict[label][:rows], own, bias)
        for (edge_type, matrix), layer in zip(into.items(), layers, strict=True):
            weight = layer.lin_l.weight / len(layers)
            made = made + _told(x_dict[edge_type[0]], matrix, weight, turned_first=self.turned_first[edge_type])
        return made


def _told(
    sources: Float[Tensor, "sources dimension"],
    means: Tensor,
    weight: Float[Tensor, "out dimension"],
    *,
    turned_first: bool,
) -> Float[Tensor, "targets out"]:
    """Return what each target is told: the mean over its sources, zeros where it has none, times the weight."""
    if len(sources) == 1 != means.shape[1]:
        has_any = (means.crow_indices().diff() > 0).to(sources)
        return has_any[:, None] * (sources @ weight.T)
    if turned_first:
        return _product(means, sources @ weight.T)
    return _product(means, sources) @ weight.T


def _product(means: Tensor, vectors: Float[Tensor, "sources dimension"]) -> Float[Tensor, "targets dimension"]:
    """Return the product, in 32 bits at least: on a CPU torch has no sparse one in 16."""
    exact = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    with torch.autocast(vectors.device.type, enabled=False):
        return propagate(exact, means)
