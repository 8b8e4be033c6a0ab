"""Finds the vectors of largest inner product by faiss, without looking at all of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from loaders.errors import InputError

VECTORS_A_LIST = 39
"""The fewest vectors that faiss wants of each list."""

LISTS_READ = 64
"""Lists whose vectors are looked at for each query."""


@dataclass(frozen=True)
class Nearest:
    """An inverted file over vectors: each lies in the list of its nearest centre, and a query reads the nearest lists.

    Source: Jégou, Douze and Schmid 2011, "Product quantization for nearest neighbor search", section IV, with the
    vectors in the place of their codes (faiss' ``IndexIVFFlat``). With up to :data:`LISTS_READ` lists it is exact.
    """

    index: Any
    """faiss has no types."""

    @classmethod
    def of(cls, vectors: Float[np.ndarray, "vectors dimension"]) -> Nearest:
        """Return the index of these vectors; raise an InputError where faiss is not installed."""
        faiss = _faiss(len(vectors))
        # faiss and torch each have OpenMP of their own; what is asked of torch shall hold for both.
        faiss.omp_set_num_threads(torch.get_num_threads())
        given = np.ascontiguousarray(vectors, dtype=np.float32)
        lists = max(1, min(isqrt(len(given)), len(given) // VECTORS_A_LIST))
        dimension = given.shape[1]
        centres = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFFlat(centres, dimension, lists, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = LISTS_READ
        index.train(given)
        index.add(given)
        return cls(index)

    def largest(
        self, queries: Float[np.ndarray, "queries dimension"], count: int
    ) -> tuple[Float[np.ndarray, "queries count"], Int[np.ndarray, "queries count"]]:
        """Return the inner products and positions of the ``count`` vectors of each query, the largest first.

        Where the lists that were read hold fewer, the last positions are -1.
        """
        wanted = min(count, self.index.ntotal)
        products, positions = self.index.search(np.ascontiguousarray(queries, dtype=np.float32), wanted)
        return products, positions


def _faiss(num_products: int) -> ModuleType:
    """Return faiss, which only large shops need: it is read when it is used."""
    try:
        import faiss  # noqa: PLC0415
    except ImportError:
        raise InputError(
            f"a shop of {num_products} ranked products needs faiss, which is not installed; "
            "install it by: python -m pip install faiss-cpu (it is the extra 'large' of this package)"
        ) from None
    module: ModuleType = faiss
    return module
