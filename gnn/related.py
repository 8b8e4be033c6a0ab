"""Makes the ``RELATED`` edges: the largest product-product weights, times the trend of the product they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse
from tqdm import tqdm

from kg.schema import SHARES

Rows: TypeAlias = Float[np.ndarray, "rows products"] | sparse.csr_array
"""Some rows of a matrix products × products, sparse where a shop is large; then with sorted columns."""


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

    @property
    def symmetry(self) -> Float[np.ndarray, " products"]:
        """What B differs from its transpose by: d with B(i, j) = B(j, i) · d(i) / d(j)."""
        ...

    def blocks(self) -> Iterator[tuple[int, Rows]]:
        """Yield the first row of each block and its rows of B; the diagonal is 0."""
        ...

    def other_shares(self, start: int, stop: int) -> Mapping[str, Rows]:
        """Return the part of these rows that each relation but the purchases has; the rest is ``bought``."""
        ...


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
    *,
    per_product: int,
    factor: Float[np.ndarray, " products"],
    own: float = 0.0,
    with_shares: bool = True,
) -> Related:
    """Return B(j, i) · factor(i) for the ``per_product`` entries of each row of B that are largest by absolute value.

    They are chosen without ``factor``: what it makes small, a row that is full of what it made large would lack whole.
    ``own`` is the diagonal where products may be bought again: the share ``repeat``, kept for every product. Without
    ``with_shares`` all else counts as ``bought``, which is faster. Products × products are never in memory at once.
    """
    blocks = []
    with tqdm(total=base.num_products, desc="RELATED", unit="product", disable=None) as progress:
        for start, rows in base.blocks():
            others = base.other_shares(start, start + rows.shape[0]) if with_shares else {}
            blocks.append(_cut_block(rows, others, factor.astype(np.float32), start=start, per_product=per_product))
            progress.update(rows.shape[0])
    related = joined(blocks)
    return with_own(related, np.full(base.num_products, own)) if own else related


def with_own(related: Related, weight: Float[np.ndarray, " products"]) -> Related:
    """Return the edges and one from each product to itself, whose weight is the share ``repeat``."""
    products = np.arange(len(weight), dtype=np.int32)
    nothing = np.zeros(len(weight), dtype=np.float32)
    shares = dict.fromkeys(SHARES, nothing) | {"repeat": weight.astype(np.float32)}
    both = joined([related, Related(products, products, shares)])
    order = np.lexsort((both.target, both.source))
    return Related(both.source[order], both.target[order], {share: part[order] for share, part in both.shares.items()})


def _cut_block(
    rows: Rows,
    others: Mapping[str, Rows],
    factor: Float[np.ndarray, " products"],
    *,
    start: int,
    per_product: int,
) -> Related:
    """Return each row's ``per_product`` entries of largest absolute value, times ``factor``, in their shares."""
    row, target = largest_entries(rows, per_product)
    kept = factor[target] != 0
    row, target = row[kept], target[kept]
    shares = dict.fromkeys(SHARES, np.zeros(len(row), dtype=np.float32))
    shares |= {share: entries(part, row, target) * factor[target] for share, part in others.items()}
    shares["bought"] = entries(rows, row, target) * factor[target] - sum(shares[share] for share in others)
    return Related(source=(start + row).astype(np.int32), target=target, shares=shares)


def largest_entries(rows: Rows, count: int) -> tuple[Int[np.ndarray, " entries"], Int[np.ndarray, " entries"]]:
    """Return row and column of each row's ``count`` entries of largest absolute value that are not 0, sorted."""
    if isinstance(rows, np.ndarray):
        size = np.abs(rows)
        keep = min(count, size.shape[1])
        columns = np.sort(np.argpartition(-size, keep - 1, axis=1)[:, :keep], axis=1)
        place, rank = np.nonzero(np.take_along_axis(size, columns, axis=1))
        return place, columns[place, rank].astype(np.int32)
    place = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    best_first = np.lexsort((-np.abs(rows.data), place))
    rank = np.arange(rows.nnz) - rows.indptr[place]
    kept = np.sort(best_first[rank < count])
    kept = kept[rows.data[kept] != 0]
    return place[kept], rows.indices[kept].astype(np.int32)


def entries(
    rows: Rows, place: Int[np.ndarray, " entries"], column: Int[np.ndarray, " entries"]
) -> Float[np.ndarray, " entries"]:
    """Return the entries of ``rows`` at these rows and columns; 0 where a sparse row has none."""
    # scipy takes no entries of a sparse matrix for a sparse result.
    found: np.ndarray = rows[place, column] if len(place) else np.zeros(0, dtype=rows.dtype)
    return found


def joined(blocks: Sequence[Related]) -> Related:
    """Return the edges of all blocks, one after the other."""
    return Related(
        source=np.concatenate([block.source for block in blocks]),
        target=np.concatenate([block.target for block in blocks]),
        shares={share: np.concatenate([block.shares[share] for block in blocks]) for share in SHARES},
    )


def related_products(edges: pl.DataFrame) -> Int[np.ndarray, " products"]:
    """Return the sorted positions of the products that ``RELATED`` edges join: those that are ranked."""
    return np.unique(np.concatenate([edges["source"].to_numpy(), edges["target"].to_numpy()]))


def related_matrix(
    edges: pl.DataFrame, products: Int[np.ndarray, " products"], *, column: str = "weight"
) -> sparse.csr_array:
    """Return R on the sorted positions ``products`` from stored edges (``source``, ``target``, ``weight``).

    Another ``column`` of the edges gives the matrix of that.
    """
    kept = edges.filter(pl.col("source").is_in(products), pl.col("target").is_in(products))
    ends = tuple(np.searchsorted(products, kept[name].to_numpy()) for name in ("source", "target"))
    return sparse.csr_array((kept[column].to_numpy(), ends), shape=(len(products), len(products)))
