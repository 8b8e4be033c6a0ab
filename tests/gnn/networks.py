"""Graph networks for tests: their weights are drawn, not trained, over a small part of the made-up shop."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy.special import log_softmax
from torch_geometric.data import HeteroData

from gnn.config import NetworkConfig
from gnn.fit import FittedNetwork, make_network
from gnn.hetero import hetero_data
from gnn.message_passing import MessagePassingNetwork
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import graph_of

CPU = torch.device("cpu")
Kind = Literal["sage", "hgt"]


def network_of(data: HeteroData, kind: Kind, *, layers: int = 2) -> MessagePassingNetwork:
    """Return a network whose weights are drawn, and no embedding too small to matter."""
    config = NetworkConfig(kind=kind, dimension=8, layers=layers)
    network = make_network(data, config, device=CPU, seed=5)
    assert isinstance(network, MessagePassingNetwork)
    rng = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for vector in [network.identity, network.turn, network.key_turn, *network.types.values()]:
            vector.copy_(torch.randn(vector.shape, generator=rng))
    return network.eval()


def few_purchases() -> HeteroData:
    """Return the made-up shop with so few purchases that two steps do not reach everything."""
    graph = graph_of(synthetic_shop())
    text = np.random.default_rng(0).normal(size=(len(graph.products), 6)).astype(np.float32)
    # The last product has no edges of users.
    past = graph.bought.gather_every(40)
    return hetero_data(graph, past=past, products=np.arange(len(graph.products)), text=text)


def cosines_of(network: FittedNetwork) -> np.ndarray:
    """Return cos(q_j, k_i) of all rows j with every product i, plainly."""
    length = np.linalg.norm(network.queries, axis=1, keepdims=True)
    return (network.queries / np.where(length > 0, length, 1.0)) @ network.keys.T


def log_probabilities_of(network: FittedNetwork) -> np.ndarray:
    """Return log p(i | j) of all products: what the network expects next of somebody who only bought j."""
    likelihood: np.ndarray = log_softmax(
        cosines_of(network) / np.float32(network.temperature) + network.popularity, axis=1
    )
    return likelihood
