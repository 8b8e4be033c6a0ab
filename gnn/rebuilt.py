"""Makes the graph network of a finished run again, with the graph it learned from, to look into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch_geometric.data import HeteroData

from gnn.fit import FittedNetwork, make_network
from gnn.hetero import hetero_data
from gnn.history import ranked_products
from gnn.leave_out import without_links
from gnn.network import BOUGHT, ProductNetwork, Relation, adjacency
from gnn.run import RunFolder
from gnn.split import enough_buyers, split_purchases
from gnn.text import encode_texts
from kg.build import build_graph
from kg.graph import Graph
from kg.store import GraphStore
from loaders.errors import InputError

FLOAT_NOISE = 1e-3
"""How far, of the largest number, the vectors may be from those that the run kept."""


@dataclass(frozen=True)
class RebuiltNetwork:
    """A trained graph network and what it was trained on."""

    fitted: FittedNetwork
    """The vectors and weights that the run kept."""

    network: ProductNetwork
    """The same as a network, not in training."""

    graph: Graph
    """Without the links that the run left out."""

    data: HeteroData
    bought: Relation
    """Users × products."""

    products: Int[np.ndarray, " products"]
    """Positions in the graph of the products that the run ranks: the rows of the vectors."""

    def row(self, product: str) -> int:
        """Return the row of a product by its id; raise if the run does not rank it."""
        position = self.graph.products["id"].index_of(product)
        row = int(np.searchsorted(self.products, -1 if position is None else position))
        if position is None or row == len(self.products) or self.products[row] != position:
            raise InputError(
                f"the run's model knows no product {product!r}, which an edge in the store joins; train again"
            )
        return row


def rebuilt_network(folder: RunFolder, store: GraphStore) -> RebuiltNetwork | None:
    """Return the run's graph network, None where it has none.

    Raise where the store holds another graph than it learned from, or its weights make other vectors of that graph than
    the run kept.
    """
    fitted = folder.network()
    if fitted is None:
        return None
    config, manifest = folder.config(), folder.manifest()
    cpu = torch.device("cpu")
    graph = without_links(build_graph(manifest.require_same_graph(store)), config.leave_out)
    split = split_purchases(graph, config.split, seed=config.seed)
    least = enough_buyers(graph, config.min_buyers)
    products = ranked_products(split.before_test, listed=graph.listed, min_buyers=least)
    text = encode_texts(graph.products["text"].to_list(), folder=config.encoder, cache=Path(config.cache), device=cpu)
    data = hetero_data(graph, past=split.before_test, products=products, text=text[products])
    network = make_network(data, config.network, device=cpu, seed=config.seed)
    wrong = f"the model of run {manifest.run!r} does not fit the graph and the texts as they are now"
    try:
        network.load_state_dict(fitted.weights)
    except RuntimeError as error:
        raise InputError(f"{wrong} ({str(error).splitlines()[-1].strip()}); train again") from error
    network.eval()
    bought = Relation.of(adjacency(data, BOUGHT), cpu)
    with torch.no_grad():
        found = [vectors.numpy() for vectors in network(bought)]
    for made, kept in zip(found, (fitted.queries, fitted.keys), strict=True):
        if made.shape != kept.shape or not np.allclose(made, kept, rtol=0, atol=FLOAT_NOISE * np.abs(kept).max()):
            raise InputError(f"{wrong}, it makes other vectors of them than the run kept; train again")
    return RebuiltNetwork(fitted, network, graph, data, bought, products)
