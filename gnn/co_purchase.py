"""Counts how many users bought both of two products, and makes the co-purchase cosine (ItemKNN) of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse

BLOCK_PRODUCTS = 1024


@dataclass(frozen=True)
class Together:
    """XᵀX, how many bought both, of which some rows are made at a time."""

    by_user: sparse.csr_array
    by_product: sparse.csr_array

    @classmethod
    def of(cls, bought: sparse.csr_array) -> Together:
        """Return it for X, users × products."""
        by_user = bought.astype(np.float32)
        return cls(by_user, sparse.csr_array(by_user.T))

    def rows(self, start: int, stop: int) -> sparse.csr_array:
        """Return these rows, their columns sorted."""
        rows = sparse.csr_array(self.by_product[start:stop] @ self.by_user)
        rows.sort_indices()
        return rows


@dataclass(frozen=True)
class CoPurchase:
    """B(j, i) = |both| / (sqrt(|j| · |i|) + shrink), its diagonal 0; all of it is the share ``bought``."""

    bought: sparse.csr_array
    """1 where a user bought the product, users × products."""

    shrink: float

    @property
    def way(self) -> str:
        """What it is, for the log."""
        return f"co-purchase cosine, {self.num_products} products"

    @property
    def num_products(self) -> int:
        """The size of B."""
        return int(self.bought.shape[1])

    @property
    def symmetry(self) -> Float[np.ndarray, " products"]:
        """Return ones: B is symmetric."""
        return np.ones(self.num_products, dtype=np.float32)

    def blocks(self) -> Iterator[tuple[int, Float[np.ndarray, "rows products"]]]:
        """Yield the first row of each block and its rows of B."""
        root = np.sqrt(np.asarray(self.bought.sum(0), dtype=np.float32).ravel())
        together = Together.of(self.bought)
        for start in range(0, self.num_products, BLOCK_PRODUCTS):
            both = together.rows(start, min(start + BLOCK_PRODUCTS, self.num_products)).toarray()
            rows = both / (root[start : start + len(both), None] * root[None] + np.float32(self.shrink))
            rows[np.arange(len(rows)), start + np.arange(len(rows))] = 0.0
            yield start, rows

    def other_shares(
        self,
        start: int,  # noqa: ARG002
        stop: int,  # noqa: ARG002
    ) -> dict[str, Float[np.ndarray, "rows products"]]:
        """Return nothing: co-purchases are all there is."""
        return {}
