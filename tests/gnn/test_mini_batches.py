"""Mini-batches for a trainer: with all neighbours a network says of the seeds what it says on the full graph."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from gnn import hops
from gnn.csr import CompressedGraph
from gnn.mini_batches import node_batches
from gnn.network import BOUGHT, Relation, adjacency
from gnn.sampler import NeighbourSampler
from loaders.errors import InputError
from tests.gnn.networks import CPU, Kind, few_purchases, network_of


@pytest.fixture(scope="module")
def shop() -> HeteroData:
    return few_purchases()


@pytest.mark.parametrize(("layers", "disjoint"), [(1, False), (2, False), (2, True), (3, False)])
@pytest.mark.parametrize("kind", ["sage", "hgt"])
def test_with_all_neighbours_the_seeds_have_the_vectors_of_the_full_graph(
    shop: HeteroData, kind: Kind, layers: int, *, disjoint: bool
) -> None:
    network = network_of(shop, kind, layers=layers)
    sampler = NeighbourSampler(CompressedGraph.of(shop), [-1] * layers, disjoint=disjoint)
    seeds = torch.tensor([5, 0, 17, 30, 2, 9, 41, 11, 3, 8])
    with torch.no_grad():
        queries, keys = network(Relation.of(adjacency(shop, BOUGHT), CPU))
        found = [
            (network.of_batch(batch), batch["product"].n_id[: batch["product"].batch_size])
            for batch in node_batches(shop, sampler, seeds=("product", seeds), batch_size=7)
        ]
    assert torch.cat([nodes for _, nodes in found]).equal(seeds)
    for (batch_queries, batch_keys), nodes in found:
        # What the seeds do not read is not computed.
        assert len(batch_queries) == len(nodes)
        torch.testing.assert_close(batch_queries[: len(nodes)], queries[nodes], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(batch_keys[: len(nodes)], keys[nodes], rtol=1e-4, atol=1e-4)


def test_a_batch_is_smaller_than_the_graph_and_with_few_neighbours_another_estimate(shop: HeteroData) -> None:
    network = network_of(shop, "sage")
    sampler = NeighbourSampler(CompressedGraph.of(shop), [2, 2], seed=0)
    batch = next(iter(node_batches(shop, sampler, seeds=("product", torch.arange(4)), batch_size=4)))
    assert batch["product"].num_nodes < shop["product"].num_nodes
    with torch.no_grad():
        whole, _ = network(Relation.of(adjacency(shop, BOUGHT), CPU))
        queries, _ = network.of_batch(batch)
    assert not torch.allclose(queries[:4], whole[:4], atol=1e-3)


def test_an_edge_that_was_drawn_twice_counts_twice_in_the_mean() -> None:
    data = HeteroData()
    data["user"].num_nodes = 2
    data["product"].x = torch.zeros(3, 2)
    data[BOUGHT].edge_index = torch.tensor([[0, 1], [0, 0]])
    data["product", "rev_bought", "user"].edge_index = torch.tensor([[0, 0], [0, 1]])
    data["product", "link", "product"].edge_index = torch.tensor([[1, 2], [0, 0]])
    network = network_of(data, "sage")
    batch = data.clone()
    batch["product"].n_id = torch.arange(3)
    batch["product", "link", "product"].edge_index = torch.tensor([[1, 2, 1], [0, 0, 0]])
    heavier = data.clone()
    heavier["product"].n_id = torch.tensor([0, 1, 2, 1])
    heavier["product"].num_nodes = 4
    heavier["product", "link", "product"].edge_index = torch.tensor([[1, 2, 3], [0, 0, 0]])
    with torch.no_grad():
        torch.testing.assert_close(network.of_batch(batch)[0][0], network.of_batch(heavier)[0][0])


def test_seeds_are_shuffled_by_their_own_seed(shop: HeteroData) -> None:
    sampler = NeighbourSampler(CompressedGraph.of(shop), [1])

    def order(shuffle_seed: int | None) -> list[int]:
        seeds = ("product", torch.arange(20))
        loader = node_batches(shop, sampler, seeds=seeds, batch_size=7, shuffle_seed=shuffle_seed)
        return [int(node) for batch in loader for node in batch["product"].n_id[: batch["product"].batch_size]]

    assert order(None) == list(range(20))
    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list(range(20))


def test_a_graph_of_other_data_is_refused(shop: HeteroData) -> None:
    other = shop.clone()
    other[BOUGHT].edge_index = other[BOUGHT].edge_index[:, 1:]
    sampler = NeighbourSampler(CompressedGraph.of(other), [1])
    with pytest.raises(InputError, match=r"the sampler's graph has edges .*; make the graph of this data"):
        node_batches(shop, sampler, seeds=("product", torch.arange(3)), batch_size=3)


@pytest.mark.parametrize("counts", [[3, 2], [-1, -1]])
def test_batches_are_the_same_whichever_way_their_nodes_are_found(
    shop: HeteroData, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = NeighbourSampler(CompressedGraph.of(shop), counts, engine="numpy")
    found = []
    for largest in (0, 1_000_000):
        monkeypatch.setattr(hops, "LARGEST_TABLE", largest)
        # A seed that is given twice, too.
        found.append(next(iter(node_batches(shop, sampler, seeds=("product", torch.tensor([7, 2, 7])), batch_size=3))))
    for label in shop.node_types:
        assert torch.equal(found[0][label].n_id, found[1][label].n_id)
    for edge_type in shop.edge_types:
        assert torch.equal(found[0][edge_type].edge_index, found[1][edge_type].edge_index)
