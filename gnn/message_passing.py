"""The graph network's other kinds: message passing with learned transforms, GraphSAGE or a graph transformer (HGT)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import gcd
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch_geometric.data import HeteroData
from torch_geometric.utils import to_edge_index

from gnn.attention import SparseHGTConv, TypedEdges
from gnn.csr import EdgeType
from gnn.network import (
    AS_IT_COMES,
    BOUGHT,
    START_SCALE,
    MemoryOptions,
    ProductNetwork,
    Relation,
    adjacency,
    as_tensor,
)
from gnn.sage import SparseSAGEConv

REVERSED = ("product", "rev_bought", "user")
HEADS = 4
"""Of HGT, where they divide the dimension."""


class MessagePassingNetwork(ProductNetwork):
    """Product vectors from id and text, passed over every edge type both ways; of users only the type is known.

    GraphSAGE (Hamilton et al. 2017) has a transform for each edge type and takes means over neighbours; HGT (Hu et al.
    2020) weighs neighbours by attention. What the last layer says of a product is turned into its query and its key.
    """

    def __init__(  # noqa: PLR0913
        self,
        data: HeteroData,
        *,
        kind: Literal["sage", "hgt"],
        dimension: int,
        layers: int,
        temperature: float,
        device: torch.device,
        identity_dropout: float,
        seed: int,
        memory: MemoryOptions = AS_IT_COMES,
    ) -> None:
        rng = torch.Generator().manual_seed(seed)
        super().__init__(
            data["product"].x,
            dimension=dimension,
            temperature=temperature,
            identity_dropout=identity_dropout,
            rng=rng,
            memory=memory,
        )
        self.num_nodes = {label: data[label].num_nodes for edge_type in data.edge_types for label in edge_type[::2]}
        self.edge_types = list(data.edge_types)
        self.kind = kind
        self._fixed = _FixedEdges(data, device, self._weighed)
        others = sorted(set(self.num_nodes) - {"product"})
        self.types = nn.ParameterDict(
            {label: nn.Parameter(START_SCALE * torch.randn(dimension, generator=rng)) for label in others}
        )
        self.key_turn = nn.Parameter(torch.eye(dimension))
        # PyG's layers draw from torch's global state: it is put back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.convolutions = nn.ModuleList(
                _convolution(kind, dimension, self.edge_types, self.num_nodes) for _ in range(layers)
            )

    def forward(
        self, bought: Relation
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        """Return the queries, and the keys at unit length, with these purchases (users × products) as edges."""
        purchases = {BOUGHT: self._weighed(bought.backward), REVERSED: self._weighed(bought.forward)}
        every = {**self._fixed.but_purchases, **purchases}
        found = {edge_type: every[edge_type] for edge_type in self.edge_types}
        # Of the last layer only the products are asked for.
        outer = {edge_type: matrix for edge_type, matrix in found.items() if edge_type[2] == "product"}
        edges = [*[self._edges(found)] * (self.layers - 1), self._edges(outer)]
        return self._propagated({**self._alike(self.num_nodes), "product": self.start()}, edges)

    def of_batch(
        self, batch: HeteroData
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        """Return the queries and keys of a sampled batch's seeds, which are products, in its order.

        ``batch`` comes from a loader over :func:`gnn.mini_batches.node_batches`. Where it has all neighbours (-1) of as
        many hops as there are layers they are those of :meth:`forward`, else an estimate of them. A layer is computed
        for the nodes alone that the next one reads. Of a batch that does not say at which hop a node was found
        (``num_sampled_nodes``) it is all products: those with too few hops around them lack neighbours.
        """
        reached = [_reached(batch, self.num_nodes, hops=self.layers - number) for number in range(self.layers + 1)]
        incoming = {each: self._weighed(_incoming(batch, each)) for each in self.edge_types}
        last = self.layers - 1
        edges = [
            self._edges(
                {
                    each: _corner(matrix, rows=reached[number + 1][each[2]], columns=reached[number][each[0]])
                    for each, matrix in incoming.items()
                    if number < last or each[2] == "product"
                }
            )
            for number in range(self.layers)
        ]
        products = batch["product"].n_id[: reached[0]["product"]]
        return self._propagated({**self._alike(reached[0]), "product": self.start(products)}, edges)

    @property
    def layers(self) -> int:
        """How often messages are passed."""
        return len(self.convolutions)

    def start_of(self, batch: HeteroData) -> dict[str, Float[Tensor, "nodes dimension"]]:
        """Return the vectors of a batch's nodes (``n_id``, by type) before any layer; one for all that are alike."""
        counts = {label: batch[label].num_nodes for label in self.types}
        return {**self._alike(counts), "product": self.start(batch["product"].n_id)}

    def layer(
        self, number: int, label: str, x_dict: dict[str, Tensor], batch: HeteroData
    ) -> Float[Tensor, "nodes dimension"]:
        """Return what layer ``number`` says of a batch's nodes of a type, given what the one below it says of all."""
        incoming = {each: self._weighed(_incoming(batch, each)) for each in self.edge_types if each[2] == label}
        return self._layer(number, x_dict, self._edges(incoming))[label]

    def turned(
        self, x: Float[Tensor, "products dimension"]
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        """Return the queries and keys of products of which the last layer says this."""
        with self.reduced():
            query, key = x @ self.turn, x @ self.key_turn
        return query.float(), normalize(key.float(), dim=1)

    def _alike(self, counts: Mapping[str, int]) -> dict[str, Tensor]:
        """Return the vectors before any layer of nodes that only have a type; GraphSAGE needs but one of each."""
        if self.kind == "sage":
            return {label: vector[None] for label, vector in self.types.items()}
        return {label: vector.expand(counts[label], -1) for label, vector in self.types.items()}

    def _propagated(
        self, x_dict: dict[str, Tensor], edges: Sequence[dict[EdgeType, Tensor] | TypedEdges]
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        """Return the queries and keys that the layers make, each over its edges."""
        with self.reduced():
            for number, each in enumerate(edges):
                x_dict = self.recomputed(partial(self._layer, number, x_dict, each))
        return self.turned(x_dict["product"])

    def _edges(self, incoming: dict[EdgeType, Tensor]) -> dict[EdgeType, Tensor] | TypedEdges:
        if self.kind == "hgt":
            return TypedEdges.of(incoming)
        return incoming

    def _weighed(self, incoming: Tensor) -> Tensor:
        """Return a CSR matrix, targets × sources, as the layers multiply it: GraphSAGE's are means, HGT's attention."""
        return _row_means(incoming) if self.kind == "sage" else incoming

    def _layer(
        self, number: int, x_dict: dict[str, Tensor], edges: dict[EdgeType, Tensor] | TypedEdges
    ) -> dict[str, Tensor]:
        if number:
            x_dict = {label: x.relu() for label, x in x_dict.items()}
        made: dict[str, Tensor] = self.convolutions[number](x_dict, edges)
        return made


@dataclass(frozen=True)
class _FixedEdges:
    """The edges that are the same in every pass over the full graph; not there before the first such pass."""

    data: HeteroData
    device: torch.device
    weighed: Callable[[Tensor], Tensor]

    @cached_property
    def but_purchases(self) -> dict[tuple[str, str, str], Tensor]:
        return {
            edge_type: self.weighed(as_tensor(adjacency(self.data, edge_type).T, self.device))
            for edge_type in self.data.edge_types
            if edge_type not in (BOUGHT, REVERSED)
        }


def edge_pairs(data: HeteroData) -> dict[tuple[str, str, str], Int[Tensor, "2 edges"]]:
    """Return the edges of every type that messages are passed along, each once, as pairs of source and target."""
    cpu = torch.device("cpu")
    return {each: _pairs(as_tensor(adjacency(data, each).T, cpu)) for each in data.edge_types}


def _convolution(
    kind: Literal["sage", "hgt"], dimension: int, edge_types: Sequence[EdgeType], num_nodes: Mapping[str, int]
) -> nn.Module:
    if kind == "hgt":
        metadata = (sorted(num_nodes), edge_types)
        layer: nn.Module = SparseHGTConv(dimension, dimension, metadata, heads=gcd(HEADS, dimension))
        return layer
    return SparseSAGEConv(dimension, edge_types, num_nodes=num_nodes)


def _row_means(incoming: Tensor) -> Tensor:
    """Return a CSR matrix, targets × sources, with the same entries at 1 / (entries of the row)."""
    start, source = incoming.crow_indices(), incoming.col_indices()
    counts = start.diff()
    values = counts.clamp(min=1).reciprocal().repeat_interleave(counts)
    return torch.sparse_csr_tensor(start, source, values, size=incoming.shape, check_invariants=False)


def _incoming(batch: HeteroData, edge_type: EdgeType) -> Tensor:
    """Return a CSR matrix, targets × sources, with an entry for each edge; one drawn twice has two."""
    source, target = batch[edge_type].edge_index
    size = (batch[edge_type[2]].num_nodes, batch[edge_type[0]].num_nodes)
    # Our sampler draws them in this order.
    if (target.diff() < 0).any():
        source = source[target.argsort(stable=True)]
    start = torch.cat([target.new_zeros(1), torch.bincount(target, minlength=size[0]).cumsum(0)])
    ones = torch.ones(len(source), device=source.device)
    return torch.sparse_csr_tensor(start, source, ones, size=size, check_invariants=False)


def _reached(batch: HeteroData, labels: Iterable[str], *, hops: int) -> dict[str, int]:
    """Return how many of the batch's nodes of each type, the first ones, lie within so many hops of a seed."""
    return {
        label: sum(batch[label].num_sampled_nodes[: hops + 1])
        if "num_sampled_nodes" in batch[label]
        else batch[label].num_nodes
        for label in labels
    }


def _corner(matrix: Tensor, *, rows: int, columns: int) -> Tensor:
    """Return the first rows of a CSR matrix, none of whose entries lies beyond these first columns."""
    start = matrix.crow_indices()[: rows + 1]
    entries = slice(int(start[-1]))
    places, values = matrix.col_indices()[entries], matrix.values()[entries]
    return torch.sparse_csr_tensor(start, places, values, size=(rows, columns), check_invariants=False)


def _pairs(incoming: Tensor) -> Int[Tensor, "2 edges"]:
    """Return the places of a CSR matrix's entries, targets × sources, as pairs of source and target."""
    pairs: Tensor = to_edge_index(incoming)[0].flip(0)
    return pairs
