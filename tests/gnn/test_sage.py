"""GraphSAGE's layer along sparse matrices says what PyG's says along pairs of nodes, and learns the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv

from gnn.csr import EdgeType
from gnn.message_passing import edge_pairs
from gnn.network import adjacency
from gnn.sage import SparseSAGEConv
from tests.gnn.networks import few_purchases

Made = tuple[dict[str, Tensor], dict[str, Tensor]]
"""What a layer says, and its gradients."""


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


def means(shop: HeteroData, edge_type: EdgeType) -> Tensor:
    """Return the CSR matrix of means, targets × sources, in 64 bits."""
    dense = torch.from_numpy(adjacency(shop, edge_type).T.toarray()).double()
    return (dense / dense.sum(1, keepdim=True).clamp(min=1)).to_sparse_csr()


def made_by(layer: torch.nn.Module, shop: HeteroData, edges: dict[EdgeType, Tensor], *, alike: bool = False) -> Made:
    """Return what the layer, its weights drawn, says of drawn vectors, and the gradients of all that was drawn.

    Where they are ``alike`` all nodes but the products have one vector, which our layer is given but once.
    """
    rng = torch.Generator().manual_seed(0)
    layer.double()
    with torch.no_grad():
        for _, weight in sorted(layer.named_parameters()):
            weight.copy_(torch.randn(weight.shape, generator=rng))
    vectors = {}
    for label in shop.node_types:
        drawn = torch.randn(shop[label].num_nodes, 8, generator=rng).double()
        vectors[label] = (drawn[:1] if alike and label != "product" else drawn).requires_grad_()
    given = vectors
    if not isinstance(layer, SparseSAGEConv):
        given = {label: each.expand(shop[label].num_nodes, -1) for label, each in vectors.items()}
    made = layer(given, edges)
    torch.stack([(each[:30].square() * torch.arange(8)).sum() for each in made.values()]).sum().backward()
    learned = {**dict(layer.named_parameters()), **vectors}
    return made, {name: each.grad for name, each in learned.items() if each.grad is not None and each.grad.any()}


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("targets", [{"user", "product", "brand", "category"}, {"product"}])
@pytest.mark.parametrize("rows", [None, 30])
def test_the_layer_and_its_gradients_are_pygs(
    shop: HeteroData, targets: set[str], rows: int | None, *, alike: bool
) -> None:
    asked = [edge_type for edge_type in shop.edge_types if edge_type[2] in targets]
    incoming = {}
    for each in asked:
        whole = means(shop, each)
        incoming[each] = whole if rows is None else whole.to_dense()[:rows].to_sparse_csr()
    num_nodes = {label: shop[label].num_nodes for label in shop.node_types}
    ours = made_by(SparseSAGEConv(8, shop.edge_types, num_nodes=num_nodes), shop, incoming, alike=alike)
    pyg = HeteroConv({each: SAGEConv(8, 8, aggr="mean") for each in shop.edge_types}, aggr="mean")
    pairs = {edge_type: ends for edge_type, ends in edge_pairs(shop).items() if edge_type in asked}
    theirs = made_by(pyg, shop, pairs, alike=alike)
    assert ours[0].keys() == targets
    torch.testing.assert_close(ours[0], {label: each[:rows] for label, each in theirs[0].items()})
    torch.testing.assert_close(ours[1], theirs[1])
