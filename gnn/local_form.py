"""The local closed form: each product is predicted from its support, those most alike to it, so no shop is too large.

Of the Gram matrix G of :mod:`gnn.closed_form` only small parts are made. Let J be the support of product i. The closed
form over J and i alone, P being the inverse of G there, has in its column i

    B(J, i) = -P(J, i) / P(i, i) = G(J, J)⁻¹ G(J, i)

by the inverse of a matrix in blocks, and the share of relation r, there P S_r - P · diag(diag(P S_r) / diag P), is
G(J, J)⁻¹ w_r S_r(J, i) by the same: as G(J, i) is the sum of w_r S_r(J, i), the shares add up. So one Cholesky factor
of G(J, J) gives a column and its shares, and where J is all other products they are those of the closed form. Columns
and not rows, for a column is what a product is predicted by (the regression of i on J); fsSLIM restricts its
regressions to the most alike products in the same way (Ning and Karypis 2011).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg
from tqdm import tqdm

from gnn.closed_form import SINGULAR, Similarity, stacked
from gnn.nearest import Nearest
from gnn.related import entries, largest_entries
from gnn.similarity import LARGEST_EXACT, alike
from loaders.errors import InputError

SUPPORT = 64
"""Products that each product is predicted from: as good as 256 where both were measured, in a quarter of the time."""

MOST_SHARED = 1_000
"""A user or a feature of more products than this makes no support: its products are alike in next to nothing."""

BLOCK_TARGETS = 64
"""Targets whose systems are solved together at the most; fewer where the support is large."""

BLOCK_ROWS = 1024

SAMPLED_ROWS, FEWEST_ROWS = 64, 16
"""Rows that the recall of the cut is measured on: as many of the first as are solved at once, the second at least."""

LARGEST_OF_ROW = 200
"""Entries of an exact row that its local row should have."""

TOLERANCE = 1e-3
"""Of the exact rows: length of what is left over that of the right side. Of 31,000 made-up products a tenth of it finds
99.8 % of the same entries."""

NUMBERS_AT_ONCE = 16_000_000
"""Of what is solved together, local systems or exact rows, 32 bits each."""


@dataclass(frozen=True)
class Gram:
    """G = Z Zᵀ + ridge · I, of which only parts are made."""

    left: sparse.csr_array
    """The sparse columns of Z: purchases and sparse features, products × columns, 32 bits."""

    dense_left: Float[np.ndarray, "products features"]
    """Its other columns: dense features."""

    ridge: float

    @cached_property
    def diagonal(self) -> Float[np.ndarray, " products"]:
        """The diagonal of G."""
        own: np.ndarray = self.left.power(2).sum(1) + np.square(self.dense_left).sum(1) + np.float32(self.ridge)
        return own

    def times(self, vectors: Float[np.ndarray, "products any"]) -> Float[np.ndarray, "products any"]:
        """Return G times ``vectors``."""
        product: np.ndarray = self.left @ (self.left.T @ vectors) + self.dense_left @ (self.dense_left.T @ vectors)
        product += np.float32(self.ridge) * vectors
        return product

    def parts(self, chosen: Int[np.ndarray, "parts some"]) -> Float[np.ndarray, "parts some some"]:
        """Return G restricted to the products of each row of ``chosen``."""
        dense = self.dense_left[chosen]
        parts: np.ndarray = dense @ dense.transpose(0, 2, 1)
        stands_for = np.empty(self.left.shape[1], dtype=np.int32)
        for number, products in enumerate(chosen):
            rows = self.left[products]
            # Columns are numbered anew by an entry of each, so that the product is as small as its rows.
            stands_for[rows.indices] = np.arange(rows.nnz, dtype=np.int32)
            shape = (len(products), rows.nnz)
            narrow = sparse.csr_array((rows.data, stands_for[rows.indices], rows.indptr), shape=shape)
            parts[number] += (narrow @ narrow.T).toarray()
        some = np.arange(chosen.shape[1])
        parts[:, some, some] += np.float32(self.ridge)
        return parts


@dataclass(frozen=True)
class LocalForm:
    """B and its shares, sparse: ``support`` entries a column."""

    gram: Gram
    support: int
    weights: sparse.csr_array
    """B, products × products, its columns sorted."""

    parts: Mapping[str, Float[np.ndarray, " entries"]]
    """The share that each relation but the purchases has of every entry of ``weights``."""

    symmetry: Float[np.ndarray, " products"]
    """P(i, i) of each local system: B(i, j) is B(j, i) · d(i) / d(j) as nearly as the local systems agree."""

    @property
    def num_products(self) -> int:
        """The size of B."""
        return int(self.weights.shape[0])

    @cached_property
    def way(self) -> str:
        """How it was found and what it lost, for the log: measured when it is asked for."""
        # Every product is in an exact row: to solve as many of a million products takes longer than the fit.
        most = max(FEWEST_ROWS, NUMBERS_AT_ONCE // self.num_products)
        count = min(SAMPLED_ROWS, most, self.num_products)
        sampled = np.sort(np.random.default_rng(0).choice(self.num_products, count, replace=False))
        largest = min(LARGEST_OF_ROW, self.num_products - 1)
        return (
            f"local closed form, each of {self.num_products} products by the {self.support} most alike; recall of the "
            f"cut {self.recall(sampled):.1%} (of the {largest} largest of {count} exact rows)"
        )

    def blocks(self) -> Iterator[tuple[int, sparse.csr_array]]:
        """Yield the first row of each block and its rows of B."""
        for start in range(0, self.num_products, BLOCK_ROWS):
            yield start, self._rows(self.weights.data, start, min(start + BLOCK_ROWS, self.num_products))

    def other_shares(self, start: int, stop: int) -> dict[str, sparse.csr_array]:
        """Return the shares of the similarities in these rows of B; what they leave of B is that of the purchases."""
        return {share: self._rows(part, start, stop) for share, part in self.parts.items()}

    def _rows(self, values: Float[np.ndarray, " entries"], start: int, stop: int) -> sparse.csr_array:
        ends = self.weights.indptr[start : stop + 1]
        own = slice(ends[0], ends[-1])
        shape = (stop - start, self.num_products)
        return sparse.csr_array((values[own], self.weights.indices[own], ends - ends[0]), shape=shape)

    def recall(self, sampled: Int[np.ndarray, " rows"]) -> float:
        """Return what part of the largest entries of these rows of the exact B is in the local rows at all.

        A row of P is solved by conjugate gradients on G. Its entries are divided by the diagonal of the exact P, which
        nobody knows: by that of the local systems.
        """
        both = total = 0
        at_once = max(1, NUMBERS_AT_ONCE // self.num_products)
        for start in range(0, len(sampled), at_once):
            some = sampled[start : start + at_once]
            exact = _rows_of_inverse(self.gram, some) / self.symmetry
            exact[np.arange(len(some)), some] = 0.0
            place, column = largest_entries(exact, LARGEST_OF_ROW)
            both += int(np.count_nonzero(entries(self.weights, some[place], column)))
            total += len(place)
        return both / max(total, 1)


def local_form(
    bought: sparse.csr_array, similarities: Sequence[Similarity], *, ridge: float, support: int = SUPPORT
) -> LocalForm:
    """Fit B to the weighted purchases ``bought`` (users × products) and the similarities of the products.

    Raises an InputError where a local system cannot be solved, or faiss is needed and not installed.
    """
    used = tuple(s for s in similarities if s.weight > 0 and s.features.shape[1])
    gram = Gram(*stacked(bought, used), ridge)
    num_products = bought.shape[1]
    support = min(support, num_products - 1)
    chosen = np.empty((num_products, support), dtype=np.int32)
    weights = np.empty((num_products, support), dtype=np.float32)
    parts = {share: np.empty_like(weights) for share in dict.fromkeys(s.share for s in used)}
    diagonal = np.empty(num_products, dtype=np.float32)
    with tqdm(total=num_products, desc="local closed form", unit="product", disable=None) as progress:
        for start, found in _supports(gram, support):
            targets = np.arange(start, start + len(found))
            own = slice(start, start + len(found))
            chosen[own] = found
            solved, diagonal[own] = _solved(gram, used, targets, found)
            weights[own] = solved.pop("")
            for share, part in solved.items():
                parts[share][own] = part
            progress.update(len(found))
    # From columns to rows: where in the columns each entry of a row lies.
    shape = (num_products, num_products)
    ends = np.arange(num_products + 1) * support
    place = sparse.csr_array(sparse.csc_array((np.arange(chosen.size), chosen.ravel(), ends), shape=shape))
    rows = sparse.csr_array((weights.ravel()[place.data], place.indices, place.indptr), shape=shape)
    # Each is given up when it is turned: they are the most of the memory.
    by_row = {share: parts.pop(share).ravel()[place.data] for share in list(parts)}
    return LocalForm(gram, support, rows, by_row, diagonal)


def _solved(
    gram: Gram,
    similarities: Sequence[Similarity],
    targets: Int[np.ndarray, " rows"],
    chosen: Int[np.ndarray, "rows some"],
) -> tuple[dict[str, Float[np.ndarray, "rows some"]], Float[np.ndarray, " rows"]]:
    """Return B(J, i) of each target i (under no name) and its parts by share, and P(i, i)."""
    # The target is the last product of its system: its column is what has to be explained.
    systems = torch.from_numpy(gram.parts(np.column_stack([chosen, targets])))
    sides = {"": systems[:, :-1, -1]}
    source, target = chosen.ravel(), np.repeat(targets, chosen.shape[1])
    for similarity in similarities:
        near = alike(similarity.features, source, target).reshape(chosen.shape) * np.float32(similarity.weight)
        share = torch.from_numpy(near)
        sides[similarity.share] = sides[similarity.share] + share if similarity.share in sides else share
    factor, failed = torch.linalg.cholesky_ex(systems[:, :-1, :-1])
    solved = torch.cholesky_solve(torch.stack(list(sides.values()), 2), factor)
    # The part of G(i, i) that the support does not explain: the Schur complement, which is 1 / P(i, i).
    rest = systems[:, -1, -1] - (sides[""] * solved[:, :, 0]).sum(1)
    if failed.any() or not (rest > 0).all():
        raise InputError(SINGULAR.format(gram.ridge))
    return {share: solved[:, :, number].numpy() for number, share in enumerate(sides)}, (1.0 / rest).numpy()


def _supports(gram: Gram, count: int) -> Iterator[tuple[int, Int[np.ndarray, "rows count"]]]:
    """Yield the first target of each block and the ``count`` products most alike to each target, sorted.

    Alike is the cosine in G, its entry over the roots of both diagonals: without what more than :data:`MOST_SHARED`
    products share, and with dense features of the products alone that are nearest by them. A target with fewer gets the
    products of the largest diagonal, the most bought ones, beside them.
    """
    shared = np.bincount(gram.left.indices, minlength=gram.left.shape[1]) <= MOST_SHARED
    narrow = sparse.csr_array(gram.left[:, np.flatnonzero(shared)])
    across = sparse.csr_array(narrow.T)
    dense = gram.dense_left
    nearest = Nearest.of(dense) if dense.shape[1] and len(dense) > LARGEST_EXACT else None
    # A ridge that is too small is said where a system cannot be solved.
    size = np.sqrt(np.maximum(gram.diagonal, np.finfo(np.float32).tiny))
    head = np.argsort(-size, kind="stable")[: 2 * count + 2]
    at_once = max(1, min(BLOCK_TARGETS, NUMBERS_AT_ONCE // (count + 1) ** 2))
    for start in range(0, gram.left.shape[0], at_once):
        stop = min(start + at_once, gram.left.shape[0])
        found = sparse.csr_array(narrow[start:stop] @ across)
        if dense.shape[1]:
            rows_of_dense = dense[start:stop]
            near = (
                nearest.largest(rows_of_dense, count + 1) if nearest else _largest(rows_of_dense @ dense.T, count + 1)
            )
            found = found + _as_rows(*near, len(dense))
        rows = []
        for place in range(stop - start):
            own = slice(found.indptr[place], found.indptr[place + 1])
            products, values = found.indices[own], found.data[own]
            others = products != start + place
            products, values = products[others], values[others] / size[products[others]]
            if len(products) > count:
                products = products[np.argpartition(-values, count - 1)[:count]]
            rest = head[~np.isin(head, products) & (head != start + place)]
            rows.append(np.sort(np.concatenate([products, rest])[:count]))
        yield start, np.stack(rows)


def _largest(
    products: Float[np.ndarray, "rows products"], count: int
) -> tuple[Float[np.ndarray, "rows count"], Int[np.ndarray, "rows count"]]:
    """Return the largest of each row, and their positions."""
    keep = min(count, products.shape[1])
    best = np.argpartition(-products, keep - 1, axis=1)[:, :keep]
    return np.take_along_axis(products, best, axis=1), best


def _as_rows(
    products: Float[np.ndarray, "rows count"], positions: Int[np.ndarray, "rows count"], num_products: int
) -> sparse.csr_array:
    """Return what :meth:`gnn.nearest.Nearest.largest` found above 0 as sparse rows: without a text nothing is near."""
    found = (positions >= 0) & (products > 0)
    ends = np.concatenate([[0], np.cumsum(found.sum(1))])
    return sparse.csr_array((products[found], positions[found], ends), shape=(len(found), num_products))


def _rows_of_inverse(gram: Gram, products: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows products"]:
    """Return these rows of the inverse of G, by conjugate gradients with G's diagonal as preconditioner."""
    shape = (gram.left.shape[0], len(products))
    wanted = np.zeros(shape, dtype=np.float32)
    wanted[products, np.arange(len(products))] = 1.0
    # All at once: one system whose matrix has a G for each row along its diagonal.
    size = (wanted.size, wanted.size)
    system = LinearOperator(size, lambda flat: gram.times(flat.reshape(shape)).ravel(), dtype=np.float32)
    preconditioner = LinearOperator(
        size, lambda flat: (flat.reshape(shape) / gram.diagonal[:, None]).ravel(), dtype=np.float32
    )
    solved, _ = cg(system, wanted.ravel(), rtol=TOLERANCE, M=preconditioner)
    rows: np.ndarray = solved.reshape(shape).T
    return rows
