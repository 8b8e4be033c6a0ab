"""The co-purchase cosine (ItemKNN): the plainest product-product weights, and those of the largest shops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse

BLOCK_PRODUCTS = 1024


def co_purchases(bought: sparse.csr_array) -> Iterator[tuple[int, Float[np.ndarray, "rows products"]]]:
    """Yield the first row of each block of XᵀX, and its rows: how many bought both."""
    users_by_product = sparse.csr_array(bought.T.astype(np.float32))
    by_user = bought.astype(np.float32)
    for start in range(0, bought.shape[1], BLOCK_PRODUCTS):
        yield start, (users_by_product[start : start + BLOCK_PRODUCTS] @ by_user).toarray()


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
        for start, both in co_purchases(self.bought):
            rows = both / (root[start : start + len(both), None] * root[None] + np.float32(self.shrink))
            rows[np.arange(len(rows)), start + np.arange(len(rows))] = 0.0
            yield start, rows

    def scores(self, history: sparse.csr_array) -> Float[np.ndarray, "users products"]:
        """Return ``history`` (users × products) times B."""
        weights = sparse.csr_array(history, dtype=np.float32)
        scores = np.zeros(history.shape, dtype=np.float32)
        for start, rows in self.blocks():
            scores += weights[:, start : start + len(rows)] @ rows
        return scores

    def other_shares(
        self,
        start: int,  # noqa: ARG002
        stop: int,  # noqa: ARG002
    ) -> dict[str, Float[np.ndarray, "rows products"]]:
        """Return nothing: co-purchases are all there is."""
        return {}
