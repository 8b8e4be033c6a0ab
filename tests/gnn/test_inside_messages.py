"""What made a cosine of GraphSAGE and HGT: the same vectors as the trained form, and planted signals found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.nn import MessagePassing
from torch_geometric.transforms import ToUndirected

from gnn.fit import _fitted
from gnn.inside_messages import (
    EXACT,
    Method,
    Neighbourhood,
    PairNetwork,
    explain_pair,
    neighbourhood,
    start_vectors,
)
from gnn.message_passing import MessagePassingNetwork, edge_pairs
from gnn.network import BOUGHT, Relation, adjacency
from tests.gnn.networks import CPU, Kind, cosines_of, few_purchases, network_of


def around_of(data: HeteroData, products: tuple[int, int], *, hops: int) -> Neighbourhood:
    num_nodes = {label: int(data[label].num_nodes) for label in data.node_types}
    return neighbourhood(edge_pairs(data), num_nodes=num_nodes, products=products, hops=hops)


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_the_vectors_over_pairs_are_those_of_the_trained_form(shop: HeteroData, kind: Kind) -> None:
    network = network_of(shop, kind)
    with torch.no_grad():
        queries, keys = network(Relation.of(adjacency(shop, BOUGHT), CPU))
        # Many steps reach all that the two hang on: half of the shop.
        around = around_of(shop, (0, 1), hops=9)
        rows = around.nodes["product"]
        assert len(rows) == 60
        found = PairNetwork(network, around).vectors(start_vectors(network, around), around.edges)
    torch.testing.assert_close(found[0], queries[rows], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], keys[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_the_cosine_in_the_neighbourhood_is_that_of_the_whole_graph(shop: HeteroData, kind: Kind) -> None:
    network = network_of(shop, kind)
    fitted = _fitted(network, partial(network, Relation.of(adjacency(shop, BOUGHT), CPU)), epochs=1)
    network.eval()
    for source, target in ((0, 1), (17, 80), (5, 5)):
        around = around_of(shop, (source, target), hops=2)
        assert len(around.nodes["user"]) < shop["user"].num_nodes
        cosine = PairNetwork(network, around)(start_vectors(network, around), around.edges)
        assert cosine.item() == pytest.approx(cosines_of(fitted)[source, target], abs=1e-5)


def test_a_neighbourhood_by_hand() -> None:
    # 0 and 1 share brand 0; 2 has brand 1, and user 0 bought 1 and 2, user 1 nothing but 3, which is linked to 2.
    data = HeteroData()
    data["product"].x = torch.eye(4)
    data["user"].num_nodes, data["brand"].num_nodes = 2, 2
    data["user", "bought", "product"].edge_index = torch.tensor([[0, 0, 1], [1, 2, 3]])
    data["product", "has_brand", "brand"].edge_index = torch.tensor([[0, 1, 2], [0, 0, 1]])
    data["product", "viewed", "product"].edge_index = torch.tensor([[3], [2]])
    data = ToUndirected(merge=False)(data)
    one = around_of(data, (0, 1), hops=1)
    assert {label: nodes.tolist() for label, nodes in one.nodes.items()} == {
        "product": [0, 1], "user": [0], "brand": [0],
    }  # fmt: skip
    assert one.ends == (0, 1)
    assert one.found(("brand", "rev_has_brand", "product")).tolist() == [[0, 0], [0, 1]]
    assert one.found(("product", "has_brand", "brand")).shape == (2, 0)
    two = around_of(data, (1, 0), hops=2)
    assert two.ends == (1, 0)
    assert two.nodes["product"].tolist() == [0, 1, 2]
    assert two.found(("product", "rev_bought", "user")).tolist() == [[1, 2], [0, 0]]
    # Nothing reaches 2 that 2 tells user 0, who tells 1: that would be a third step.
    assert two.found(("user", "bought", "product")).tolist() == [[0], [1]]
    assert two.found(("product", "viewed", "product")).shape == (2, 0)


@dataclass(frozen=True)
class Planted:
    """A shop in which two products are alike over one type of edges alone."""

    data: HeteroData
    network: MessagePassingNetwork

    @property
    def around(self) -> Neighbourhood:
        return around_of(self.data, (0, 1), hops=1)


LOUD = ("brand", "rev_has_brand", "product")


def planted(kind: Kind) -> Planted:
    """Return products 0 and 1 with a brand, a category, two buyers and a link each; only what brands say is loud."""
    data = HeteroData()
    data["product"].x = torch.zeros(4, 2)
    data["user"].num_nodes, data["brand"].num_nodes, data["category"].num_nodes = 4, 1, 2
    data["user", "bought", "product"].edge_index = torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1]])
    data["product", "has_brand", "brand"].edge_index = torch.tensor([[0, 1], [0, 0]])
    data["product", "in_category_1", "category"].edge_index = torch.tensor([[0, 1], [0, 1]])
    data["product", "viewed", "product"].edge_index = torch.tensor([[2, 3], [0, 1]])
    data = ToUndirected(merge=False)(data)
    network = network_of(data, kind, layers=1)
    with torch.no_grad():
        # Of their own, the two are at a right angle.
        network.identity.copy_(torch.eye(4, 8))
        network.turn.copy_(torch.eye(8))
        network.key_turn.copy_(torch.eye(8))
        for label, vector in network.types.items():
            vector.copy_(torch.eye(8)[5] if label == "brand" else 0.3 * torch.randn(8))
        layer: Any = network.convolutions[0]
        if kind == "sage":
            for edge_type, each in layer.convs.items():
                each.lin_l.weight.mul_(0.2)
                each.lin_l.bias.zero_()
                each.lin_r.weight.copy_(torch.eye(8))
                if edge_type == LOUD:
                    each.lin_l.weight.copy_(9 * torch.eye(8))
        else:
            loud = layer.edge_types_map[LOUD]
            for each in range(len(layer.v_rel.weight)):
                layer.v_rel.weight[each] *= 40.0 if each % len(layer.edge_types) == loud else 0.2
            for lin in layer.out_lin.lins.values():
                lin.bias.zero_()
            layer.kqv_lin.lins["product"].bias.zero_()
    return Planted(data, network)


@pytest.mark.parametrize("kind", ["sage", "hgt"])
@pytest.mark.parametrize("method", ["gnn", "ig"])
def test_the_edge_type_that_alone_carries_the_signal_ranks_first(kind: Kind, method: Method) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shop = planted(kind)
    found = explain_pair(shop.network, shop.around, method=method, seed=0)
    assert found.cosine > 0.45
    assert found.without < 0.1
    by_type = {edge_type: float(part.abs().mean()) for edge_type, part in found.mask.items()}
    assert max(by_type, key=lambda edge_type: by_type[edge_type]) == LOUD
    others = max(mass for edge_type, mass in by_type.items() if edge_type != LOUD)
    assert by_type[LOUD] > 1.5 * others
    if method == "ig":
        assert abs(found.missing) <= EXACT
    else:
        assert found.kept == pytest.approx(found.cosine, abs=0.1)


@pytest.mark.parametrize("kind", ["sage", "hgt"])
@pytest.mark.parametrize("method", ["gnn", "ig"])
def test_the_same_seed_gives_the_same_masks_and_the_network_stays_as_it_was(
    shop: HeteroData, kind: Kind, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnn.inside_messages.STEPS", 16)
    monkeypatch.setattr("gnn.inside_messages.EPOCHS", 3)
    network, around = network_of(shop, kind), around_of(shop, (0, 1), hops=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, again = (explain_pair(network, around, method=method, seed=0) for _ in range(2))
    assert first.mask.keys() == again.mask.keys()
    assert all(torch.equal(first.mask[each], again.mask[each]) for each in first.mask)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    if method == "ig":
        assert abs(first.missing) <= EXACT
    else:
        other = explain_pair(network, around, method=method, seed=1)
        assert any(not torch.equal(first.mask[each], other.mask[each]) for each in first.mask)


def test_other_layers_can_be_made_after_hgt_was_explained(shop: HeteroData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnn.inside_messages.EPOCHS", 1)
    explain_pair(network_of(shop, "hgt"), around_of(shop, (0, 1), hops=2), method="gnn", seed=0)
    # PyG writes the code that passes messages into the class of a layer, from which all others inherit.
    assert MessagePassing.propagate.__module__ == "torch_geometric.nn.conv.message_passing"


def test_two_products_that_nothing_hangs_on_have_nothing_to_explain(shop: HeteroData) -> None:
    network, around = network_of(shop, "sage"), around_of(shop, (0, 1), hops=0)
    found = explain_pair(network, around, method="ig", seed=0)
    assert (found.mask, found.kept, found.missing) == ({}, None, 0.0)
    assert found.cosine == found.without
