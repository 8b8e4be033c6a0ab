"""Counts how many users bought both of two products, and makes the co-purchase cosine (ItemKNN) of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse

BLOCK_PRODUCTS = 1024

SHORT = 0.1
"""Part of the products up to which a row is quicker cut when it is sparse."""


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

    def blocks(self) -> Iterator[tuple[int, Float[np.ndarray, "rows products"] | sparse.csr_array]]:
        """Yield the first row of each block and its rows of B, sparse where they are short, as in a large shop."""
        root = np.sqrt(np.asarray(self.bought.sum(0), dtype=np.float32).ravel())
        together = Together.of(self.bought)
        for start in range(0, self.num_products, BLOCK_PRODUCTS):
            rows = together.rows(start, min(start + BLOCK_PRODUCTS, self.num_products))
            source = start + np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
            rows.data /= root[source] * root[rows.indices] + np.float32(self.shrink)
            rows.data[source == rows.indices] = 0.0
            yield start, rows if rows.nnz < SHORT * rows.shape[0] * rows.shape[1] else rows.toarray()

    def other_shares(
        self,
        start: int,  # noqa: ARG002
        stop: int,  # noqa: ARG002
    ) -> dict[str, Float[np.ndarray, "rows products"]]:
        """Return nothing: co-purchases are all there is."""
        return {}
