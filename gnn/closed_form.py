"""The closed form over the graph: collective EASE, whose every entry is a sum of exact shares, one a relation.

EASE (Steck 2019) finds the product-product weights B with a zero diagonal that best rebuild the purchases X from
themselves under a ridge; collective EASE (Jeunen, Van Balen and Goethals, RecSys 2020) lets the similarities of other
relations add to the Gram matrix::

    G = XᵀX + Σ_r w_r S_r + ridge · I,   P = G⁻¹,   B = I - P · diag(1 / diag P)

Since P G = I, B is off its diagonal the sum over relations (purchases are one of them, with S = XᵀX and w = 1) of

    B_r = w_r (P S_r - P · diag(diag(P S_r) / diag P))

A similarity is S_r = F_r F_rᵀ and is never made: only its features F_r are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.linalg import lapack
from torch import Tensor

from gnn.similarity import LARGEST_EXACT, woodbury_fits
from loaders.errors import InputError

BLOCK_PRODUCTS = 1024
LARGEST_BLOCK = 100_000_000
"""Numbers of a block of rows at the most, 32 bits each."""

SINGULAR = "the closed form cannot be solved with a ridge of {:g}: it is too small; give a larger --closed-form.ridge"


@dataclass(frozen=True)
class Similarity:
    """What makes products alike in one respect: S = weight · F Fᵀ."""

    share: str
    """The share of a RELATED edge that it counts towards, one of :data:`kg.schema.SHARES`."""

    features: sparse.csr_array | Float[np.ndarray, "products features"]
    """F, products × features."""

    weight: float


@dataclass(frozen=True)
class Dense:
    """All of P in memory."""

    way: str
    inverse: Float[np.ndarray, "products products"]
    diagonal: Float[np.ndarray, " products"]

    def rows(self, start: int, stop: int) -> Float[np.ndarray, "rows products"]:
        """Return these rows of P."""
        return self.inverse[start:stop]

    def after(self, weights: sparse.csr_array) -> Float[np.ndarray, "rows products"]:
        """Return ``weights`` (rows × products, 32 bits) times P."""
        product: np.ndarray = weights @ self.inverse
        return product

    def times(self, features: Float[np.ndarray, "products features"]) -> Float[np.ndarray, "products features"]:
        """Return P times ``features``."""
        product: np.ndarray = self.inverse @ features
        return product


@dataclass(frozen=True)
class Woodbury:
    """P = (I - Z (ridge · I + Zᵀ Z)⁻¹ Zᵀ) / ridge, where Z has a column for each user and feature: small if few."""

    way: str
    left: sparse.csr_array
    """The sparse columns of Z: purchases and sparse features, products × columns."""

    dense_left: Tensor
    """Its other columns: dense features, which a sparse product would be slow with."""

    small_inverse: Tensor
    """(ridge · I + Zᵀ Z)⁻¹, columns of Z × columns of Z."""

    ridge: float
    diagonal: Float[np.ndarray, " products"]

    @cached_property
    def right(self) -> Tensor:
        """(ridge · I + Zᵀ Z)⁻¹ Zᵀ, columns of Z × products: made when rows are asked for, as it is most of the work."""
        split = self.left.shape[1]
        # Sparse times dense: purchases are few. Row by row in memory, as the products of single rows read it.
        by_sparse = (_as_tensor(self.left) @ self.small_inverse[:split]).T.contiguous()
        return by_sparse.addmm_(self.small_inverse[:, split:], self.dense_left.T)

    def rows(self, start: int, stop: int) -> Float[np.ndarray, "rows products"]:
        """Return these rows of P."""
        split = self.left.shape[1]
        through = _as_tensor(self.left[start:stop]) @ self.right[:split]
        through += self.dense_left[start:stop] @ self.right[split:]
        block = through.numpy()
        block *= np.float32(-1.0 / self.ridge)
        block[np.arange(stop - start), np.arange(start, stop)] += np.float32(1.0 / self.ridge)
        return block

    def after(self, weights: sparse.csr_array) -> Float[np.ndarray, "rows products"]:
        """Return ``weights`` (rows × products, 32 bits) times P."""
        # Dense: a user's purchases lead to nearly all other users.
        own = torch.cat([torch.from_numpy((weights @ self.left).toarray()), _as_tensor(weights) @ self.dense_left], 1)
        product: np.ndarray = weights.toarray() - self._back((own @ self.small_inverse).T).numpy().T
        return product / np.float32(self.ridge)

    def times(self, features: Float[np.ndarray, "products features"]) -> Float[np.ndarray, "products features"]:
        """Return P times ``features``."""
        given = torch.from_numpy(features)
        own = torch.cat([_as_tensor(sparse.csr_array(self.left.T)) @ given, self.dense_left.T @ given])
        product: np.ndarray = (features - self._back(self.small_inverse @ own).numpy()) / np.float32(self.ridge)
        return product

    def _back(self, small: Float[Tensor, "columns any"]) -> Float[Tensor, "products any"]:
        """Return Z times ``small``."""
        split = self.left.shape[1]
        return _as_tensor(self.left) @ small[:split].contiguous() + self.dense_left @ small[split:]


Inverse = Dense | Woodbury


@dataclass(frozen=True)
class ClosedForm:
    """B and its shares, made row by row."""

    inverse: Inverse
    similarities: tuple[Similarity, ...]

    @cached_property
    def spread(self) -> tuple[Float[np.ndarray, "products features"] | None, ...]:
        """P F of each similarity with dense features; None where they are sparse, and P F would be large."""
        return tuple(
            self.inverse.times(s.features) if isinstance(s.features, np.ndarray) else None for s in self.similarities
        )

    @cached_property
    def shift(self) -> tuple[Float[np.ndarray, " products"], ...]:
        """diag(P S_r) / diag P of each similarity (its weight in it)."""
        both = zip(self.similarities, self.spread, strict=True)
        return tuple(_diagonal_through(self.inverse, s, spread) / self.inverse.diagonal for s, spread in both)

    @property
    def way(self) -> str:
        """How it was found, for the log."""
        return f"closed form, {self.inverse.way}"

    @property
    def num_products(self) -> int:
        """The size of B."""
        return len(self.inverse.diagonal)

    @property
    def symmetry(self) -> Float[np.ndarray, " products"]:
        """Return d with B(i, j) = B(j, i) · d(i) / d(j): P is symmetric."""
        return self.inverse.diagonal

    def rows(self, start: int, stop: int) -> Float[np.ndarray, "rows products"]:
        """Return these rows of B; their diagonal is 0."""
        block: np.ndarray = self.inverse.rows(start, stop) / -self.inverse.diagonal
        block[np.arange(stop - start), np.arange(start, stop)] = 0.0
        return block

    def blocks(self) -> Iterator[tuple[int, Float[np.ndarray, "rows products"]]]:
        """Yield the first row of each block and its rows of B."""
        at_once = max(1, min(BLOCK_PRODUCTS, LARGEST_BLOCK // self.num_products))
        for start in range(0, self.num_products, at_once):
            yield start, self.rows(start, min(start + at_once, self.num_products))

    def scores(self, history: sparse.csr_array) -> Float[np.ndarray, "users products"]:
        """Return ``history`` (users × products) times B, without making B."""
        weights = sparse.csr_array(history, dtype=np.float32)
        # history · (I - P · diag(1 / diag P)); I, so that the diagonal of B is 0.
        scores: np.ndarray = history.toarray() - self.inverse.after(weights) / self.inverse.diagonal
        return scores

    def other_shares(self, start: int, stop: int) -> dict[str, Float[np.ndarray, "rows products"]]:
        """Return the shares of the similarities in these rows of B; what they leave of B is that of the purchases."""
        if not self.similarities:
            return {}
        inverse = self.inverse.rows(start, stop)
        own = (np.arange(stop - start), np.arange(start, stop))
        shares: dict[str, np.ndarray] = {}
        for similarity, spread, shift in zip(self.similarities, self.spread, self.shift, strict=True):
            part = _through(inverse, similarity, None if spread is None else spread[start:stop]) - inverse * shift
            part[own] = 0.0
            shares[similarity.share] = shares[similarity.share] + part if similarity.share in shares else part
        return shares


def exact_way(
    bought: sparse.csr_array, similarities: Sequence[Similarity], *, largest: int = LARGEST_EXACT
) -> Literal["woodbury", "dense"] | None:
    """Return how P can be found, by size alone: the cheaper of both, or None where neither fits."""
    num_users, num_products = bought.shape
    num_columns = num_users + sum(s.features.shape[1] for s in similarities if s.weight > 0)
    if woodbury_fits(num_columns, num_products, largest=largest):
        return "woodbury"
    return "dense" if num_products <= largest else None


def closed_form(
    bought: sparse.csr_array,
    similarities: Sequence[Similarity],
    *,
    ridge: float,
    way: Literal["woodbury", "dense"] | None = None,
) -> ClosedForm:
    """Fit B to the weighted purchases ``bought`` (users × products) and the similarities of the products.

    ``way`` is chosen by :func:`exact_way` if it is not given. Raises an InputError where G cannot be inverted.
    """
    used = tuple(s for s in similarities if s.weight > 0 and s.features.shape[1])
    way = way or exact_way(bought, used)
    if way is None:
        raise ValueError(f"{bought.shape[1]} products are more than the closed form holds")
    inverse: Inverse = _woodbury(bought, used, ridge=ridge) if way == "woodbury" else _dense(bought, used, ridge=ridge)
    return ClosedForm(inverse=inverse, similarities=used)


def _dense(bought: sparse.csr_array, similarities: Sequence[Similarity], *, ridge: float) -> Dense:
    """Invert G in its own memory by Cholesky."""
    num_products = bought.shape[1]
    gram = np.zeros((num_products, num_products), dtype=np.float32)
    _add_gram(gram, sparse.csr_array(bought.T), 1.0)
    for similarity in similarities:
        _add_gram(gram, similarity.features, similarity.weight)
    gram[np.diag_indices(num_products)] += np.float32(ridge)
    # LAPACK works on columns: the transposed view of a symmetric matrix is itself, without a copy.
    factor, failed = lapack.spotrf(gram.T, lower=0, overwrite_a=1)
    inverse, failed_again = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed or failed_again:
        raise InputError(SINGULAR.format(ridge))
    inverse = inverse.T
    for start in range(0, num_products, BLOCK_PRODUCTS):
        stop = min(start + BLOCK_PRODUCTS, num_products)
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
        corner = np.tril(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = corner + np.tril(corner, -1).T
    return Dense(f"exact, {num_products} products", inverse, np.diagonal(inverse).copy())


def _add_gram(gram: np.ndarray, features: sparse.csr_array | np.ndarray, weight: float) -> None:
    """Add weight · F Fᵀ to ``gram``, block by block."""
    as_torch = _as_tensor(features)
    for start in range(0, len(gram), BLOCK_PRODUCTS):
        block = features[start : start + BLOCK_PRODUCTS]
        rows = torch.from_numpy(np.ascontiguousarray((block if isinstance(block, np.ndarray) else block.toarray()).T))
        gram[start : start + block.shape[0]] += weight * (as_torch @ rows.float()).numpy().T


def _woodbury(bought: sparse.csr_array, similarities: Sequence[Similarity], *, ridge: float) -> Woodbury:
    """Invert the smaller matrix ridge · I + Zᵀ Z, in 64 bits; all else is in 32."""
    num_products = bought.shape[1]
    left, dense_features = stacked(bought, similarities)
    dense_left = torch.from_numpy(dense_features)
    small = _small_gram(left, dense_left).double()
    small.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(small)
    if failed:
        raise InputError(SINGULAR.format(ridge))
    del small
    inverse = torch.cholesky_inverse(factor).float()
    factor = factor.float()
    diagonal = np.empty(num_products, dtype=np.float32)
    for start in range(0, num_products, BLOCK_PRODUCTS):
        some = slice(start, start + BLOCK_PRODUCTS)
        columns = torch.cat([torch.from_numpy(left[some].toarray()), dense_left[some]], dim=1).T
        half = torch.linalg.solve_triangular(factor, columns, upper=False)
        diagonal[some] = (1.0 - half.square().sum(0).numpy()) / ridge
    way = f"by Woodbury, {len(inverse)} users and features for {num_products} products"
    return Woodbury(way, left, dense_left, inverse, ridge, diagonal)


def stacked(
    bought: sparse.csr_array, similarities: Sequence[Similarity]
) -> tuple[sparse.csr_array, Float[np.ndarray, "products features"]]:
    """Return Z of G = Z Zᵀ + ridge · I, 32 bits: its sparse columns, purchases first, and its dense ones."""
    roots = [np.sqrt(s.weight) * s.features for s in similarities if not isinstance(s.features, np.ndarray)]
    left = sparse.csr_array(sparse.hstack([bought.T, *roots], format="csr"), dtype=np.float32)
    dense = [np.sqrt(s.weight) * s.features for s in similarities if isinstance(s.features, np.ndarray)]
    none = np.empty((bought.shape[1], 0), np.float32)
    return left, np.hstack([none, *dense]).astype(np.float32)


def _small_gram(left: sparse.csr_array, dense_left: Tensor) -> Float[Tensor, "columns columns"]:
    """Return Zᵀ Z, by sparse products where Z is sparse."""
    transposed = _as_tensor(sparse.csr_array(left.T))
    split, across = left.shape[1], transposed @ dense_left
    small = torch.empty(split + dense_left.shape[1], split + dense_left.shape[1])
    small[:split, :split] = transposed @ torch.from_numpy(left.toarray())
    small[:split, split:], small[split:, :split] = across, across.T
    small[split:, split:] = dense_left.T @ dense_left
    return small


def _through(
    inverse_rows: np.ndarray, similarity: Similarity, spread: np.ndarray | None
) -> Float[np.ndarray, "rows products"]:
    """Return rows of P times weight · F Fᵀ; ``spread`` are these rows of P F, where they are known."""
    features = _as_tensor(similarity.features)
    if spread is None:
        through = _as_tensor(_transposed(similarity.features)) @ torch.from_numpy(inverse_rows.T.copy())
    else:
        through = torch.from_numpy(spread.T)
    product: np.ndarray = (features @ through).numpy().T * np.float32(similarity.weight)
    return np.ascontiguousarray(product)


def _diagonal_through(
    inverse: Inverse, similarity: Similarity, spread: np.ndarray | None
) -> Float[np.ndarray, " products"]:
    """Return diag(P · weight · F Fᵀ): the sum over features of (P F) ∘ F."""
    if spread is not None:
        whole: np.ndarray = (spread * similarity.features).sum(1) * np.float32(similarity.weight)
        return whole
    transposed = _as_tensor(_transposed(similarity.features))
    num_products = len(inverse.diagonal)
    parts = []
    for start in range(0, num_products, BLOCK_PRODUCTS):
        stop = min(start + BLOCK_PRODUCTS, num_products)
        through = (transposed @ torch.from_numpy(inverse.rows(start, stop).T.copy())).numpy()
        own = sparse.csr_array(similarity.features[start:stop])
        parts.append(np.asarray(own.multiply(through.T).sum(1)).ravel())
    diagonal: np.ndarray = np.concatenate(parts) * similarity.weight
    return diagonal.astype(np.float32)


def _transposed(features: sparse.csr_array | np.ndarray) -> sparse.csr_array | np.ndarray:
    return features.T if isinstance(features, np.ndarray) else sparse.csr_array(features.T)


def _as_tensor(matrix: sparse.csr_array | np.ndarray) -> Tensor:
    """Return a matrix as a torch tensor of 32-bit floats, CSR if it is sparse."""
    if isinstance(matrix, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
    rows = sparse.csr_array(matrix)
    parts = (rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data.astype(np.float32))
    indptr, indices, values = (torch.from_numpy(part) for part in parts)
    return torch.sparse_csr_tensor(indptr, indices, values, size=rows.shape, check_invariants=False)
