"""The graph network: query and key vectors of products, propagated linearly over the typed edges of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint
from torch_geometric.data import HeteroData

from gnn.tables import rows

Made = TypeVar("Made")

BOUGHT = ("user", "bought", "product")
START_SCALE = 0.01
ITSELF = "the product itself"


class _Propagate(torch.autograd.Function):
    """``adjacency @ x``, whose gradient uses the stored transpose: torch would transpose the matrix at every step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Tensor, transpose: Tensor | None) -> Tensor:
        ctx.adjacency, ctx.transpose = adjacency, transpose
        return adjacency @ x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        transpose = _transposed(ctx.adjacency) if ctx.transpose is None else ctx.transpose
        return transpose @ gradient, None, None


def propagate(
    x: Float[Tensor, "columns dimension"], adjacency: Tensor, *, transpose: Tensor | None = None
) -> Float[Tensor, "rows dimension"]:
    """Return ``adjacency @ x`` of a CSR matrix, with a gradient by its ``transpose``.

    One that is of use but once, as a sampled batch's, need not be given: it is made where a gradient is asked for.
    """
    return _Propagate.apply(x, adjacency, transpose)  # type: ignore[no-any-return]


def _transposed(matrix: Tensor) -> Tensor:
    """Return the transpose of a CSR matrix as one."""
    if matrix.device.type != "cpu":
        return matrix.t().to_sparse_csr()
    parts = (matrix.values().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy())
    # In linear time, where torch sorts: 42 against 154 ms of 2.5 million entries.
    turned = sparse.csr_array(parts, shape=tuple(matrix.shape)).tocsc()
    start, places, values = (torch.from_numpy(part) for part in (turned.indptr, turned.indices, turned.data))
    return torch.sparse_csr_tensor(start, places, values, size=matrix.shape[::-1], check_invariants=False)


@dataclass(frozen=True)
class Relation:
    """A relation's symmetrically normalised adjacency D^-½ A D^-½ (Kipf and Welling 2017), both ways round."""

    forward: Tensor
    """Sources × targets, CSR."""

    backward: Tensor
    """Targets × sources, CSR."""

    @classmethod
    def of(cls, pairs: sparse.csr_array, device: torch.device) -> Relation:
        """Return the relation of a 0/1 matrix sources × targets."""
        # A training makes it anew at every step, and products with diagonal matrices take several times as long.
        of_source = np.repeat(_inverse_root(pairs.sum(1)), np.diff(pairs.indptr))
        values = pairs.data * of_source * _inverse_root(pairs.sum(0))[pairs.indices]
        scaled = sparse.csr_array((values.astype(np.float32), pairs.indices, pairs.indptr), shape=pairs.shape)
        return cls(forward=as_tensor(scaled, device), backward=as_tensor(scaled.T, device))

    def to_sources(self, x: Float[Tensor, "targets dimension"]) -> Float[Tensor, "sources dimension"]:
        """Return what each source gets from its targets."""
        return propagate(x, self.forward, transpose=self.backward)

    def to_targets(self, x: Float[Tensor, "sources dimension"]) -> Float[Tensor, "targets dimension"]:
        """Return what each target gets from its sources."""
        return propagate(x, self.backward, transpose=self.forward)


def as_tensor(matrix: sparse.sparray, device: torch.device) -> Tensor:
    """Return a scipy matrix as a torch CSR tensor of 32-bit floats."""
    rows = sparse.csr_array(matrix)
    parts = (rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data.astype(np.float32))
    indptr, indices, values = (torch.from_numpy(part) for part in parts)
    return torch.sparse_csr_tensor(indptr, indices, values, size=rows.shape, check_invariants=False).to(device)


def adjacency(data: HeteroData, edge_type: tuple[str, str, str]) -> sparse.csr_array:
    """Return the 0/1 matrix of an edge type, sources × targets."""
    source, target = data[edge_type].edge_index.numpy()
    shape = (data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes)
    matrix = sparse.csr_array((np.ones(len(source), dtype=np.float32), (source, target)), shape=shape)
    matrix.data[:] = 1.0
    return matrix


def product_relations(data: HeteroData, device: torch.device) -> dict[str, Relation]:
    """Return every relation of products other than purchases; reverse edge types are the same relation's other way."""
    return {
        edge_type[1]: Relation.of(adjacency(data, edge_type), device)
        for edge_type in data.edge_types
        if edge_type != BOUGHT and not edge_type[1].startswith("rev_")
    }


@dataclass(frozen=True)
class MemoryOptions:
    """What training does to need less memory; what the network says after it is computed in 32 bits in any case."""

    bfloat16: bool = False
    """Scores and message passing are computed in 16 bits."""

    recompute: bool = False
    """What layers compute is thrown away, and computed again in the backward pass."""

    table: Literal["float32", "float16", "cpu"] = "float32"
    """How what grows with the products is kept: as all else, in 16 bits, or on the CPU."""


AS_IT_COMES = MemoryOptions()


class ProductNetwork(nn.Module):
    """What all kinds share: product vectors to start from, by id and text, and how a user's score is made of the last.

    No user has an id here: she is the sum of the queries of what she bought.
    """

    def __init__(
        self,
        text: Float[Tensor, "products text"],
        *,
        dimension: int,
        temperature: float,
        identity_dropout: float,
        rng: torch.Generator,
        memory: MemoryOptions = AS_IT_COMES,
    ) -> None:
        super().__init__()
        self.memory = memory
        self.identity_dropout = identity_dropout
        self.rng = rng
        self.text: Tensor
        self.register_buffer("text", _centred(text), persistent=False)
        num_products, text_dimension = text.shape
        identity = START_SCALE * torch.randn(num_products, dimension, generator=rng)
        self.identity = nn.Parameter(identity.half() if memory.table == "float16" else identity)
        # Else small gradients of a table in 16 bits were 0.
        self.identity.grad_dtype = torch.float32
        bound = text_dimension**-0.5
        self.projection = nn.Parameter(bound * (2 * torch.rand(text_dimension, dimension, generator=rng) - 1))
        self.turn = nn.Parameter(torch.eye(dimension))
        self.popularity = nn.Parameter(torch.zeros(num_products))
        self.log_temperature = nn.Parameter(torch.tensor(float(np.log(temperature))))

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.projection.device

    @property
    def tables(self) -> tuple[nn.Parameter, ...]:
        """The parameters whose gradient is sparse: of those that grow with the products only rows are read."""
        return () if self.memory.table == "float32" else (self.identity, self.popularity)

    def to_device(self, device: torch.device) -> None:
        """Move the network to where it computes, but for tables that stay on the CPU."""
        self.to(device)
        if self.memory.table == "cpu":
            for table in (self.identity, self.popularity, self.text):
                table.data = table.data.cpu()

    def reduced(self) -> torch.autocast:
        """Return the context of what training computes in 16 bits, if it does."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.training and self.memory.bfloat16)

    def recomputed(self, compute: Callable[[], Made]) -> Made:
        """Return what ``compute``, which draws nothing, gives; in training it may be thrown away and computed again."""
        if self.training and self.memory.recompute:
            made: Made = checkpoint(compute, use_reentrant=False, preserve_rng_state=False)
            return made
        return compute()

    def start(self, products: Int[Tensor, " chosen"] | None = None) -> Float[Tensor, "chosen dimension"]:
        """Return the vectors before any propagation, of all products or of these, by row.

        In training a random part of them goes without its id.
        """
        identity = self._rows(self.identity, products)
        text = self.text if products is None else self.text[products.to(self.text.device)]
        by_text = text.to(self.device) @ self.projection
        if not self.training or not self.identity_dropout:
            return identity + by_text
        kept = torch.rand(len(identity), 1, generator=self.rng) >= self.identity_dropout
        return identity * (kept.to(identity) / (1.0 - self.identity_dropout)) + by_text

    def factors(
        self,
        users: Float[Tensor, "users dimension"],
        keys: Float[Tensor, "products dimension"],
        products: Int[Tensor, " products"] | None = None,
    ) -> tuple[Float[Tensor, "users factors"], Float[Tensor, "products factors"]]:
        """Return what the scores are a product of, in the precision that training multiplies it in.

        A score is cosine / temperature + popularity; the larger, the likelier. ``keys`` are those of ``products``.
        """
        scaled = normalize(users, dim=1) / self.log_temperature.exp()
        with_one = torch.cat([scaled, scaled.new_ones(len(scaled), 1)], dim=1)
        with_popularity = torch.cat([keys, self._rows(self.popularity, products)[:, None]], dim=1)
        if self.training and self.memory.bfloat16:
            return with_one.bfloat16(), with_popularity.bfloat16()
        return with_one, with_popularity

    def _rows(self, table: Tensor, products: Tensor | None) -> Tensor:
        if self.tables:
            return rows(table, products, device=self.device)
        return table if products is None else table[products]


class QueryKeyNetwork(ProductNetwork):
    """Product vectors from id and text, mixed over relations with learned weights; nothing in it but the text is given.

    The query says what a product's buyer wants next, the key how a product answers. Both are linear in the start
    vectors: a weighted sum of the vectors themselves, of their neighbours over each relation, and of co-purchases
    propagated 1, 2, … times (the light convolution of He et al. 2020, LightGCN, equation 7).
    """

    def __init__(  # noqa: PLR0913
        self,
        text: Float[Tensor, "products text"],
        *,
        relations: Mapping[str, Relation],
        one_hop: frozenset[str],
        dimension: int,
        layers: int,
        temperature: float,
        identity_dropout: float,
        rng: torch.Generator,
        memory: MemoryOptions = AS_IT_COMES,
    ) -> None:
        super().__init__(
            text,
            dimension=dimension,
            temperature=temperature,
            identity_dropout=identity_dropout,
            rng=rng,
            memory=memory,
        )
        self.relations = dict(relations)
        self.one_hop = one_hop
        self.layers = layers
        parts = 1 + len(self.relations) + len(self.one_hop) + layers
        self.query_weights = nn.Parameter(torch.ones(parts))
        self.key_weights = nn.Parameter(torch.ones(parts))

    def forward(
        self, bought: Relation
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        """Return the queries, and the keys at unit length, as these purchases (users × products) propagate them."""
        return self.recomputed(partial(self._mixed, self.start(), bought))

    def _mixed(
        self, start: Float[Tensor, "products dimension"], bought: Relation
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        parts = torch.stack(list(self.parts(start, bought).values()))
        # One product in the place of a sum over parts each, which takes four times as long.
        mixed = torch.stack([self.query_weights, self.key_weights]) @ parts.flatten(1)
        query, key = mixed.view(2, *start.shape)
        return query @ self.turn, normalize(key, dim=1)

    def parts(
        self, start: Float[Tensor, "products dimension"], bought: Relation
    ) -> dict[str, Float[Tensor, "products dimension"]]:
        """Return what queries and keys are weighted sums of, in the order of the weights: linear in ``start``.

        A part is :data:`ITSELF`, the name of a relation (with `` back`` for a link from the other end), or
        ``co-purchase`` and how many times it was propagated.
        """
        parts = {ITSELF: start}
        for name, relation in self.relations.items():
            if name in self.one_hop:
                parts |= {name: relation.to_sources(start), f"{name} back": relation.to_targets(start)}
            else:
                parts[name] = relation.to_sources(relation.to_targets(start))
        spread = start
        for layer in range(1, self.layers + 1):
            spread = bought.to_targets(bought.to_sources(spread))
            parts[f"co-purchase {layer}"] = spread
        return parts


def _centred(text: Float[Tensor, "products text"]) -> Float[Tensor, "products text"]:
    """Return the vectors without what all texts share, at unit length; a product without a text keeps its zeros."""
    given = text.norm(dim=1, keepdim=True) > 0
    mean = text.sum(0) / given.sum().clamp(min=1)
    return torch.where(given, normalize(text - mean, dim=1), 0.0)


def _inverse_root(degree: np.ndarray) -> np.ndarray:
    return np.where(degree > 0, degree, 1.0) ** -0.5
