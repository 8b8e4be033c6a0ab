"""Makes the graph network's input: the graph as PyG ``HeteroData``, without anything of the future."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch_geometric.data import HeteroData
from torch_geometric.transforms import ToUndirected

from kg.graph import Graph


def hetero_data(
    graph: Graph,
    *,
    past: pl.DataFrame,
    products: Int[np.ndarray, " products"],
    text: Float[np.ndarray, "products dimension"],
) -> HeteroData:
    """Return the graph of ``products`` (sorted positions), their buyers in ``past``, brands, categories and links.

    Each level of the categories is a relation of its own, so that the network can learn how much a department says
    and how much a product type; every relation has its reverse, named ``rev_…``. A relation without edges is left out.
    """
    data = HeteroData()
    data["user"].num_nodes = len(graph.users)
    data["product"].num_nodes = len(products)
    data["product"].x = torch.from_numpy(text)
    data["brand"].num_nodes = len(graph.brands)
    data["category"].num_nodes = len(graph.categories)
    row_of = np.full(len(graph.products), -1, dtype=np.int64)
    row_of[products] = np.arange(len(products))

    def add(source: str, relation: str, target: str, edges: pl.DataFrame) -> None:
        ends = [
            row_of[edges[column].to_numpy()] if label == "product" else edges[column].to_numpy()
            for column, label in (("source", source), ("target", target))
        ]
        pairs = np.stack(ends).astype(np.int64)[:, (ends[0] >= 0) & (ends[1] >= 0)]
        if pairs.shape[1]:
            data[source, relation, target].edge_index = torch.from_numpy(pairs)

    # As one number: purchases are the most there is, and each pair of columns of them gigabytes in a large shop.
    user, product = (past[column].to_numpy().astype(np.int64) for column in ("user", "product"))
    user *= max(len(products), 1)
    user += row_of[product]
    pairs = np.unique(user[row_of[product] >= 0])
    del user, product
    if len(pairs):
        ends = np.empty((2, len(pairs)), dtype=np.int64)
        np.divmod(pairs, len(products), out=(ends[0], ends[1]))
        data["user", "bought", "product"].edge_index = torch.from_numpy(ends)
    add("product", "has_brand", "brand", graph.has_brand)
    levels = graph.categories["level"]
    for level in levels.unique().sort():
        at_level = graph.in_category.filter(levels.gather(graph.in_category["target"]) == level)
        add("product", f"in_category_{level}", "category", at_level)
    for relation, edges in graph.links.items():
        add("product", relation.lower(), "product", edges)
    return ToUndirected(merge=False)(data)
