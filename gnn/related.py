"""Makes the ``RELATED`` edges: co-purchases gated by the network, and its own proposals, cut to the largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse
from tqdm import tqdm

from gnn.fit import FittedNetwork

BLOCK_PRODUCTS = 1024


@dataclass(frozen=True)
class Recipe:
    """How the two shares of an edge are made.

    ``bought`` is the co-purchase cosine B(j, i) = |both| / (sqrt(|j| · |i|) + shrink). The network's share is what its
    gate adds to that and what it proposes by itself: B · (exp(gate · cos(q_j, k_i)) - 1) + proposal · p(i | j), where
    p(i | j) is the softmax over products of cos(q_j, k_i) / temperature + log |i|.
    """

    per_product: int
    shrink: float
    gate: float = 0.0
    proposal: float = 0.0


@dataclass(frozen=True)
class Related:
    """Weighted edges between products, each the sum of its shares; at most ``per_product`` start at a product."""

    source: Int[np.ndarray, " edges"]
    target: Int[np.ndarray, " edges"]
    bought: Float[np.ndarray, " edges"]
    network: Float[np.ndarray, " edges"]

    @property
    def weight(self) -> Float[np.ndarray, " edges"]:
        """What an edge adds to a score for each unit of history weight."""
        weight: np.ndarray = self.bought + self.network
        return weight

    def matrix(self, num_products: int) -> sparse.csr_array:
        """Return R, products × products: row j says what a purchase of j speaks for."""
        return sparse.csr_array((self.weight, (self.source, self.target)), shape=(num_products, num_products))


def related_edges(bought: sparse.csr_array, recipe: Recipe, *, fitted: FittedNetwork | None) -> Related:
    """Return the edges of ``recipe`` for the 0/1 matrix ``bought`` (users × products).

    Without a network, or with ``gate`` and ``proposal`` 0, it is ItemKNN (cosine with shrinkage). Products × products
    are never in memory at once: rows are made and cut in blocks.
    """
    if fitted is None and (recipe.gate or recipe.proposal):
        raise ValueError("a gate or a proposal needs a fitted network")
    parts = []
    buyers = np.asarray(bought.sum(0), dtype=np.float32).ravel()
    for start, both in _co_purchase_blocks(bought):
        cosine = _co_purchase_cosine(both, buyers, start=start, shrink=recipe.shrink)
        network = np.zeros_like(cosine)
        if fitted is not None and (recipe.gate or recipe.proposal):
            network = _network_share(cosine, fitted, start=start, recipe=recipe, buyers=buyers)
        parts.append(_largest(cosine, network, start=start, keep=recipe.per_product))
    return Related(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _co_purchase_blocks(bought: sparse.csr_array) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first product of each block of rows, and how many users bought its products and each product."""
    users_by_product = sparse.csr_array(bought.T.astype(np.float32))
    by_user = bought.astype(np.float32)
    num_products = bought.shape[1]
    with tqdm(total=num_products, desc="RELATED", unit="product", disable=None) as progress:
        for start in range(0, num_products, BLOCK_PRODUCTS):
            block = users_by_product[start : start + BLOCK_PRODUCTS]
            yield start, (block @ by_user).toarray()
            progress.update(block.shape[0])


def _co_purchase_cosine(
    both: np.ndarray, buyers: Float[np.ndarray, " products"], *, start: int, shrink: float
) -> Float[np.ndarray, "rows products"]:
    root = np.sqrt(buyers)
    rows = np.arange(len(both))
    cosine: np.ndarray = both / (root[start : start + len(both), None] * root[None] + np.float32(shrink))
    cosine[rows, start + rows] = 0.0
    return cosine


def _network_share(
    cosine: np.ndarray, fitted: FittedNetwork, *, start: int, recipe: Recipe, buyers: np.ndarray
) -> np.ndarray:
    queries = fitted.queries[start : start + len(cosine)]
    length = np.linalg.norm(queries, axis=1, keepdims=True)
    near = (queries / np.where(length > 0, length, 1.0)) @ fitted.keys.T
    share: np.ndarray = cosine * np.expm1(np.float32(recipe.gate) * near)
    if recipe.proposal:
        rows = np.arange(len(cosine))
        likely = near / np.float32(fitted.temperature) + np.log(np.maximum(buyers, 1.0))
        likely = np.exp(likely - likely.max(axis=1, keepdims=True))
        likely[rows, start + rows] = 0.0
        share += np.float32(recipe.proposal) * likely / likely.sum(axis=1, keepdims=True)
    return share


def _largest(bought: np.ndarray, network: np.ndarray, *, start: int, keep: int) -> tuple[np.ndarray, ...]:
    """Return source, target and both shares of each row's ``keep`` entries of largest absolute weight."""
    size = np.abs(bought + network)
    keep = min(keep, size.shape[1])
    columns = np.argpartition(-size, keep - 1, axis=1)[:, :keep]
    columns.sort(axis=1)
    rows = np.arange(len(size))[:, None]
    kept = size[rows, columns] > 0
    source = np.broadcast_to(start + rows, columns.shape)[kept]
    shares = [part[rows, columns][kept].astype(np.float64) for part in (bought, network)]
    return source, columns[kept], *shares


def related_matrix(edges: pl.DataFrame, products: Int[np.ndarray, " products"]) -> sparse.csr_array:
    """Return R on the sorted positions ``products`` from stored edges (``source``, ``target``, ``weight``)."""
    kept = edges.filter(pl.col("source").is_in(products), pl.col("target").is_in(products))
    ends = tuple(np.searchsorted(products, kept[column].to_numpy()) for column in ("source", "target"))
    return sparse.csr_array((kept["weight"].to_numpy(), ends), shape=(len(products), len(products)))
