"""HGT's layer along sparse matrices says what PyG's says along pairs of nodes, and learns the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from gnn import attention
from gnn.attention import SparseHGTConv, TypedEdges
from gnn.message_passing import edge_pairs
from gnn.network import adjacency, as_tensor
from tests.gnn.networks import CPU, few_purchases


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


def layer_and_vectors(shop: HeteroData) -> tuple[SparseHGTConv, dict[str, Tensor]]:
    """Return a layer and vectors in 64 bits that are drawn, the same at each call."""
    rng = torch.Generator().manual_seed(0)
    labels = sorted({label for edge_type in shop.edge_types for label in edge_type[::2]})
    layer = SparseHGTConv(8, 8, (labels, shop.edge_types), heads=2).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng))
    vectors = {label: torch.randn(shop[label].num_nodes, 8, generator=rng).double() for label in labels}
    return layer, {label: each.requires_grad_() for label, each in vectors.items()}


@pytest.mark.parametrize("targets", [{"user", "product", "brand", "category"}, {"product"}])
def test_the_layer_and_its_gradients_are_pygs(shop: HeteroData, targets: set[str]) -> None:
    asked = [edge_type for edge_type in shop.edge_types if edge_type[2] in targets]
    incoming = TypedEdges.of({each: as_tensor(adjacency(shop, each).T, CPU) for each in asked})
    pairs = {edge_type: ends for edge_type, ends in edge_pairs(shop).items() if edge_type in asked}
    found = []
    for edges in (incoming, pairs):
        layer, vectors = layer_and_vectors(shop)
        with pytest.MonkeyPatch.context() as patch:
            # Several blocks, the last of them not whole.
            patch.setattr(attention, "BLOCK_EDGES", 7)
            made = {label: each for label, each in layer(vectors, edges).items() if label in targets}
        torch.stack([(each.square() * torch.arange(8)).sum() for each in made.values()]).sum().backward()
        learned = {**dict(layer.named_parameters()), **vectors}
        gradients = {name: torch.zeros_like(each) if each.grad is None else each.grad for name, each in learned.items()}
        found.append((made, gradients))
    assert found[0][0].keys() == targets
    torch.testing.assert_close(found[0], found[1])
