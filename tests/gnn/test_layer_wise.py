"""Layer by layer, some nodes at a time, a network says what it says in one pass over the full graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from gnn.csr import CompressedGraph
from gnn.layer_wise import layer_wise_vectors
from gnn.network import BOUGHT, Relation, adjacency
from tests.gnn.networks import CPU, Kind, few_purchases, network_of


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


@pytest.mark.parametrize("block_edges", [500, 1_000_000])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_the_vectors_are_those_of_one_pass_over_the_full_graph(
    shop: HeteroData, kind: Kind, layers: int, block_edges: int
) -> None:
    network = network_of(shop, kind, layers=layers)
    with torch.no_grad():
        queries, keys = network(Relation.of(adjacency(shop, BOUGHT), CPU))
    found_queries, found_keys = layer_wise_vectors(network, CompressedGraph.of(shop), block_edges=block_edges)
    torch.testing.assert_close(found_queries, queries, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found_keys, keys, rtol=1e-4, atol=1e-4)


def test_no_layer_is_given_all_nodes_at_once(shop: HeteroData, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(shop, "sage")
    seen: list[int] = []
    layer = network.layer

    def watched(number: int, label: str, x_dict: dict[str, torch.Tensor], batch: HeteroData) -> torch.Tensor:
        seen.append(sum(len(rows) for rows in x_dict.values()))
        return layer(number, label, x_dict, batch)

    monkeypatch.setattr(network, "layer", watched)
    graph = CompressedGraph.of(shop)
    layer_wise_vectors(network, graph, block_edges=60)
    # A block has its own nodes and at most a neighbour for each edge; one node may have more edges by itself.
    most = max(
        sum(np.diff(edges.start) for kind, edges in graph.edges.items() if kind[2] == label).max()
        for label in network.num_nodes
    )
    assert max(seen) <= max(60, 1 + most) < sum(network.num_nodes.values()) / 2
