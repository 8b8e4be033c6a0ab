"""Makes the ``RELATED`` edges: product-product weights gated by the network, times the trend, cut to the largest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse
from tqdm import tqdm

from gnn.fit import FittedNetwork
from kg.schema import SHARES


@runtime_checkable
class Base(Protocol):
    """Product-product weights B learned from purchases and the graph, made in blocks of rows."""

    @property
    def way(self) -> str:
        """What it is and how it was found, for the log."""
        ...

    @property
    def num_products(self) -> int:
        """The size of B."""
        ...

    def blocks(self) -> Iterator[tuple[int, Float[np.ndarray, "rows products"]]]:
        """Yield the first row of each block and its rows of B; the diagonal is 0."""
        ...

    def other_shares(self, start: int, stop: int) -> Mapping[str, Float[np.ndarray, "rows products"]]:
        """Return the part of these rows that each relation but the purchases has; the rest is ``bought``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How an edge is made: R(j, i) = B(j, i) · exp(gate · cos(q_j, k_i)) · trend(i) ^ trend.

    B's own shares are multiplied by the trend, and the network's share is what its gate adds:
    B · (exp(gate · cos) - 1), times the trend. The first three settings are those of B, the closed form; a ridge of 1
    and a content of 1 are as large as the mean diagonal of XᵀX, so that one value fits shops of all sizes.
    """

    per_product: int
    ridge: float = 20.0
    row_power: float = 0.0
    """X's rows are multiplied by (number of products of the user) ^ -row_power."""

    content: float = 0.0
    """Multiplies the weights of all similarities; 0 is no graph."""

    trend: float = 0.0
    gate: float = 0.0


@dataclass(frozen=True)
class Related:
    """Weighted edges between products, each the sum of its shares; at most ``per_product`` start at a product."""

    source: Int[np.ndarray, " edges"]
    target: Int[np.ndarray, " edges"]
    shares: Mapping[str, Float[np.ndarray, " edges"]]
    """Each of :data:`kg.schema.SHARES` → its part of the weight, 32 bits."""

    @property
    def weight(self) -> Float[np.ndarray, " edges"]:
        """What an edge adds to a score for each unit of history weight, in 64 bits: exactly the sum of its shares."""
        weight = np.zeros(len(self.source))
        for share in SHARES:
            weight += self.shares[share]
        return weight

    def matrix(self, num_products: int) -> sparse.csr_array:
        """Return R, products × products: row j says what a purchase of j speaks for."""
        return sparse.csr_array((self.weight, (self.source, self.target)), shape=(num_products, num_products))


def related_edges(
    base: Base,
    recipes: Sequence[Recipe],
    *,
    fitted: FittedNetwork | None,
    trend: Float[np.ndarray, " products"],
    with_shares: bool = True,
) -> list[Related]:
    """Return the edges of each recipe; without ``with_shares`` all of B counts as ``bought``, which is faster.

    Products × products are never in memory at once: rows are made in blocks, for all recipes together, and cut.
    """
    if fitted is None and any(recipe.gate for recipe in recipes):
        raise ValueError("a gate needs a fitted network")
    parts: list[list[Related]] = [[] for _ in recipes]
    with tqdm(total=base.num_products, desc="RELATED", unit="product", disable=None) as progress:
        for start, rows in base.blocks():
            others = base.other_shares(start, start + len(rows)) if with_shares else {}
            near = None if fitted is None else _cosine_to_keys(fitted, start=start, rows=len(rows))
            for recipe, blocks in zip(recipes, parts, strict=True):
                blocks.append(_cut_block(rows, others, near, recipe=recipe, trend=trend, start=start))
            progress.update(len(rows))
    return [_joined(blocks) for blocks in parts]


def _cut_block(
    rows: Float[np.ndarray, "rows products"],
    others: Mapping[str, Float[np.ndarray, "rows products"]],
    near: Float[np.ndarray, "rows products"] | None,
    *,
    recipe: Recipe,
    trend: Float[np.ndarray, " products"],
    start: int,
) -> Related:
    """Return each row's ``per_product`` entries of largest absolute weight, in their shares."""
    factor = trend.astype(np.float32) ** np.float32(recipe.trend)
    gated = rows * factor
    if recipe.gate and near is not None:
        gated *= np.exp(np.float32(recipe.gate) * near)
    size = np.abs(gated)
    keep = min(recipe.per_product, size.shape[1])
    columns = np.argpartition(-size, keep - 1, axis=1)[:, :keep]
    columns.sort(axis=1)
    places = np.arange(len(size))[:, None]
    kept = size[places, columns] > 0
    source = np.broadcast_to(start + places, columns.shape)[kept].astype(np.int32)
    target = columns[kept].astype(np.int32)
    row = source - start
    own = rows[row, target] * factor[target]
    shares = dict.fromkeys(SHARES, np.zeros_like(own))
    shares |= {share: part[row, target] * factor[target] for share, part in others.items()}
    shares["bought"] = own - sum(shares[share] for share in others)
    shares["network"] = gated[row, target] - own
    return Related(source=source, target=target, shares=shares)


def _joined(blocks: Sequence[Related]) -> Related:
    return Related(
        source=np.concatenate([block.source for block in blocks]),
        target=np.concatenate([block.target for block in blocks]),
        shares={share: np.concatenate([block.shares[share] for block in blocks]) for share in SHARES},
    )


def _cosine_to_keys(fitted: FittedNetwork, *, start: int, rows: int) -> Float[np.ndarray, "rows products"]:
    queries = fitted.queries[start : start + rows]
    length = np.linalg.norm(queries, axis=1, keepdims=True)
    near: np.ndarray = (queries / np.where(length > 0, length, 1.0)) @ fitted.keys.T
    return near


def related_matrix(edges: pl.DataFrame, products: Int[np.ndarray, " products"]) -> sparse.csr_array:
    """Return R on the sorted positions ``products`` from stored edges (``source``, ``target``, ``weight``)."""
    kept = edges.filter(pl.col("source").is_in(products), pl.col("target").is_in(products))
    ends = tuple(np.searchsorted(products, kept[column].to_numpy()) for column in ("source", "target"))
    return sparse.csr_array((kept["weight"].to_numpy(), ends), shape=(len(products), len(products)))
