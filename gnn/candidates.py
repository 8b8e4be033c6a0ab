"""Gathers the edges that ``RELATED`` may have, and what is known of each: the input of the edge network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from tqdm import tqdm

from gnn.co_purchase import Together
from gnn.likeliest import Likely
from gnn.related import Base, Rows, entries, largest_entries
from gnn.similarity import alike

BY_BASE, BY_NETWORK, ITSELF = 1, 2, 3
"""What an edge was proposed by: the closed form, the network alone, or that a product may be bought again."""


@dataclass(frozen=True)
class Candidates:
    """Edges sorted by source; of each the value it starts from, that value's shares, and its features."""

    first: Int[np.ndarray, " products_and_one"]
    """The edges of product j are ``first[j]`` to ``first[j + 1]``."""

    target: Int[np.ndarray, " edges"]
    start: Float[np.ndarray, " edges"]
    """B(j, i) · factor(i) by the closed form, p(i | j) by the network, a constant for a product itself."""

    proposed_by: Int[np.ndarray, " edges"]
    shares: Mapping[str, Float[np.ndarray, " edges"]]
    """The part of ``start`` that each relation but the purchases has."""

    features: Float[np.ndarray, "edges features"]
    names: tuple[str, ...]
    """What each feature is."""

    @property
    def num_products(self) -> int:
        """Products that edges may start at."""
        return len(self.first) - 1

    @property
    def source(self) -> Int[np.ndarray, " edges"]:
        """Where each edge starts."""
        return np.repeat(np.arange(self.num_products, dtype=np.int32), np.diff(self.first))

    def only(self, kept: Int[np.ndarray, " kept"]) -> Candidates:
        """Return these edges alone; ``kept`` are their places, sorted."""
        return Candidates(
            first=np.searchsorted(kept, self.first),
            target=self.target[kept],
            start=self.start[kept],
            proposed_by=self.proposed_by[kept],
            shares={name: part[kept] for name, part in self.shares.items()},
            features=self.features[kept],
            names=self.names,
        )


def gather_candidates(  # noqa: PLR0913
    base: Base,
    *,
    likely: Likely,
    bought: sparse.csr_array,
    content: Mapping[str, sparse.csr_array | np.ndarray],
    traits: Mapping[str, Float[np.ndarray, " products"]],
    factor: Float[np.ndarray, " products"],
    own: float,
    by_base: int,
    by_network: int,
) -> Candidates:
    """Return each product's ``by_base`` largest of B by absolute value, and ``by_network`` more by p(i | j).

    ``likely`` says what the network expects next; ``bought`` is 1 where a user bought the product, users × products;
    ``content`` are the features of :func:`gnn.similarity.product_features`; ``traits`` and ``factor`` are numbers of
    the product that an edge leads to. Where ``own`` is not 0, each product has an edge to itself too, which starts from
    it. Products × products are never in memory at once.
    """
    buyers = np.asarray(bought.sum(0), dtype=np.float32).ravel()
    # So that XᵀX counts each user who bought both by 1 / her purchases: then a row over its product's buyers is the
    # chance that a walk from it over one of its buyers ends at the other (Christoffel et al. 2015, P3).
    divided = sparse.csr_array(sparse.diags_array(np.maximum(np.diff(bought.indptr), 1) ** -0.5) @ bought)
    together, walking = (Together.of(matrix) for matrix in (bought, divided))
    blocks = []
    with tqdm(total=base.num_products, desc="candidates", unit="product", disable=None) as progress:
        for start, plain in base.blocks():
            stop = start + plain.shape[0]
            next_of = likely.rows(np.arange(start, stop), searched(by_base, by_network))
            place, target, by = _chosen(
                plain, next_of.best, start=start, by_base=by_base, by_network=by_network, own=own
            )
            source = start + place
            rows, both, shared = (
                entries(matrix, place, target)
                for matrix in (plain, *(_as_rows_of(plain, each.rows(start, stop)) for each in (together, walking)))
            )
            walk = shared / np.maximum(buyers[source], 1)
            score, near = likely.edges(source, target)
            log_p = score - next_of.log_total[place].astype(np.float32)
            there = factor[target].astype(np.float32)
            shares = {
                name: entries(part, place, target) * there for name, part in base.other_shares(start, stop).items()
            }
            features = {
                "closed": _signed_root(rows * there),
                "reverse": _signed_root(rows * base.symmetry[target] / base.symmetry[source] * factor[source]),
                **{f"share {name}": _signed_root(part) for name, part in shares.items()},
                "together": np.log1p(both),
                "cosine": both / np.sqrt(np.maximum(buyers[source] * buyers[target], 1)),
                "walk": np.sqrt(walk),
                "walk back": np.sqrt(walk * (buyers[source] / np.maximum(buyers[target], 1))),
                "buyers here": np.log1p(buyers[source]),
                "buyers there": np.log1p(buyers[target]),
                "network": log_p,
                "near": near,
                "by network": by == BY_NETWORK,
                "itself": by == ITSELF,
                **{f"alike {name}": alike(matrix, source, target) for name, matrix in content.items()},
                **{name: values[target] for name, values in traits.items()},
            }
            begins = np.select([by == BY_BASE, by == BY_NETWORK], [rows * there, np.exp(log_p)], own)
            blocks.append(
                Candidates(
                    first=np.searchsorted(place, np.arange(stop - start + 1)),
                    target=target,
                    start=begins.astype(np.float32),
                    proposed_by=by,
                    shares={name: np.where(by == BY_BASE, part, 0).astype(np.float32) for name, part in shares.items()},
                    features=np.stack(list(features.values()), axis=1).astype(np.float32),
                    names=tuple(features),
                )
            )
            progress.update(stop - start)
    return _joined(blocks)


def searched(by_base: int, by_network: int) -> int:
    """Return how many likeliest products leave ``by_network`` without the closed form's and the product itself."""
    return by_base + by_network + 1


def with_feature(candidates: Candidates, name: str, base: Base | None) -> Candidates:
    """Return the candidates with one more feature: what ``base`` gives each edge, 0 where there is none."""
    values = np.zeros(len(candidates.target), dtype=np.float32)
    for start, rows in base.blocks() if base else ():
        part = slice(candidates.first[start], candidates.first[start + rows.shape[0]])
        values[part] = _signed_root(entries(rows, candidates.source[part] - start, candidates.target[part]))
    features = np.concatenate([candidates.features, values[:, None]], axis=1)
    return replace(candidates, features=features, names=(*candidates.names, name))


def _as_rows_of(base_rows: Rows, rows: sparse.csr_array) -> Rows:
    """Return ``rows`` sparse if those of B are: then the shop is large."""
    return rows.toarray() if isinstance(base_rows, np.ndarray) else rows


def _chosen(
    rows: Rows,
    likeliest: Int[np.ndarray, "rows count"],
    *,
    start: int,
    by_base: int,
    by_network: int,
    own: float,
) -> tuple[Int[np.ndarray, " edges"], Int[np.ndarray, " edges"], Int[np.ndarray, " edges"]]:
    """Return row and column of each candidate, sorted, and what proposed it.

    ``likeliest`` are columns, best first (-1: none); so many that ``by_network`` are left without the closed form's and
    the product itself.
    """
    num_products = rows.shape[1]
    place, column = largest_entries(rows, by_base)
    itself = np.arange(rows.shape[0]) * num_products + start + np.arange(rows.shape[0])
    # Row and column in one number.
    of_base = place * num_products + column
    keys = np.arange(len(likeliest))[:, None] * num_products + likeliest
    free = (likeliest >= 0) & ~np.isin(keys, of_base) & (keys != itself[:, None])
    of_network = keys[free & (np.cumsum(free, axis=1) <= by_network)]
    proposals = [(of_base, BY_BASE), (of_network, BY_NETWORK), (itself if own else itself[:0], ITSELF)]
    key = np.concatenate([each for each, _ in proposals])
    proposed_by = np.concatenate([np.full(len(each), by, dtype=np.int8) for each, by in proposals])
    order = np.argsort(key, kind="stable")
    row, column = np.divmod(key[order], num_products)
    return row, column.astype(np.int32), proposed_by[order]


def _signed_root(values: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " edges"]:
    """Return sign · sqrt: entries of B spread over orders of magnitude and have both signs."""
    root: np.ndarray = np.sign(values) * np.sqrt(np.abs(values))
    return root


def _joined(blocks: Sequence[Candidates]) -> Candidates:
    counts = np.concatenate([np.diff(block.first) for block in blocks])
    return Candidates(
        first=np.concatenate([[0], np.cumsum(counts)]),
        target=np.concatenate([block.target for block in blocks]),
        start=np.concatenate([block.start for block in blocks]),
        proposed_by=np.concatenate([block.proposed_by for block in blocks]),
        shares={name: np.concatenate([block.shares[name] for block in blocks]) for name in blocks[0].shares},
        features=np.concatenate([block.features for block in blocks]),
        names=blocks[0].names,
    )
