"""Makes the ``RELATED`` edges: co-purchases gated by the network, and its own proposals, cut to the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    p(i | j) is the softmax over products of cos(q_j, k_i) / temperature + log |i|. Both are multiplied by the
    candidate's trend(i) ^ trend.
    """

    per_product: int
    shrink: float
    gate: float = 0.0
    trend: float = 0.0
    proposal: float = 0.0

    @property
    def needs_network(self) -> bool:
        """Whether any of it comes from the network."""
        return bool(self.gate or self.proposal)


@dataclass(frozen=True)
class Related:
    """Weighted edges between products, each the sum of its shares; at most ``per_product`` start at a product."""

    source: Int[np.ndarray, " edges"]
    target: Int[np.ndarray, " edges"]
    bought: Float[np.ndarray, " edges"]
    network: Float[np.ndarray, " edges"]

    @property
    def weight(self) -> Float[np.ndarray, " edges"]:
        """What an edge adds to a score for each unit of history weight, in 64 bits: exactly the sum of its shares."""
        weight: np.ndarray = self.bought.astype(np.float64) + self.network
        return weight

    def matrix(self, num_products: int) -> sparse.csr_array:
        """Return R, products × products: row j says what a purchase of j speaks for."""
        return sparse.csr_array((self.weight, (self.source, self.target)), shape=(num_products, num_products))


def related_edges(
    bought: sparse.csr_array,
    recipes: Sequence[Recipe],
    *,
    fitted: FittedNetwork | None,
    trend: Float[np.ndarray, " products"],
) -> list[Related]:
    """Return the edges of each recipe for the 0/1 matrix ``bought`` (users × products).

    A recipe without a gate, proposals and trend is ItemKNN (cosine with shrinkage). Products × products are never in
    memory at once: rows are made in blocks, for all recipes together since co-purchases take most of the time, and cut.
    """
    if fitted is None and any(recipe.needs_network for recipe in recipes):
        raise ValueError("a gate or a proposal needs a fitted network")
    buyers = np.asarray(bought.sum(0), dtype=np.float32).ravel()
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in recipes]
    for start, both in _co_purchase_blocks(bought):
        near = None if fitted is None else _cosine_to_keys(fitted, start=start, rows=len(both))
        roots = _roots(buyers, start=start, rows=len(both))
        for recipe, blocks in zip(recipes, parts, strict=True):
            own = both / (roots + np.float32(recipe.shrink))
            own[np.arange(len(own)), start + np.arange(len(own))] = 0.0
            network = np.zeros_like(own)
            if near is not None and fitted is not None and recipe.needs_network:
                network = _network_share(
                    own, near, recipe=recipe, buyers=buyers, start=start, temperature=fitted.temperature
                )
            if recipe.trend:
                factor = trend.astype(np.float32) ** np.float32(recipe.trend)
                own, network = own * factor, network * factor
            blocks.append(_largest(own, network, start=start, keep=recipe.per_product))
    return [Related(*(np.concatenate(columns) for columns in zip(*blocks, strict=True))) for blocks in parts]


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


def _roots(buyers: Float[np.ndarray, " products"], *, start: int, rows: int) -> Float[np.ndarray, "rows products"]:
    """Return sqrt(|j| · |i|) for the rows j of a block."""
    root = np.sqrt(buyers)
    product: np.ndarray = root[start : start + rows, None] * root[None]
    return product


def _cosine_to_keys(fitted: FittedNetwork, *, start: int, rows: int) -> Float[np.ndarray, "rows products"]:
    queries = fitted.queries[start : start + rows]
    length = np.linalg.norm(queries, axis=1, keepdims=True)
    near: np.ndarray = (queries / np.where(length > 0, length, 1.0)) @ fitted.keys.T
    return near


def _network_share(
    own: Float[np.ndarray, "rows products"],
    near: Float[np.ndarray, "rows products"],
    *,
    recipe: Recipe,
    buyers: Float[np.ndarray, " products"],
    start: int,
    temperature: float,
) -> Float[np.ndarray, "rows products"]:
    """Return what the gate adds to the co-purchases ``own``, and what the network proposes by itself."""
    share: np.ndarray = own * np.expm1(np.float32(recipe.gate) * near)
    if recipe.proposal:
        likely = near / np.float32(temperature) + np.log(np.maximum(buyers, 1.0))
        likely = np.exp(likely - likely.max(axis=1, keepdims=True))
        likely[np.arange(len(own)), start + np.arange(len(own))] = 0.0
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
    source = np.broadcast_to(start + rows, columns.shape)[kept].astype(np.int32)
    return source, columns[kept].astype(np.int32), bought[rows, columns][kept], network[rows, columns][kept]


def related_matrix(edges: pl.DataFrame, products: Int[np.ndarray, " products"]) -> sparse.csr_array:
    """Return R on the sorted positions ``products`` from stored edges (``source``, ``target``, ``weight``)."""
    kept = edges.filter(pl.col("source").is_in(products), pl.col("target").is_in(products))
    ends = tuple(np.searchsorted(products, kept[column].to_numpy()) for column in ("source", "target"))
    return sparse.csr_array((kept["weight"].to_numpy(), ends), shape=(len(products), len(products)))
