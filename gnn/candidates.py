"""Gathers the edges that ``RELATED`` may have, and what is known of each: the input of the edge network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from tqdm import tqdm

from gnn.co_purchase import co_purchases
from gnn.fit import FittedNetwork
from gnn.related import Base

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
    network: FittedNetwork,
    bought: sparse.csr_array,
    content: Mapping[str, sparse.csr_array | np.ndarray],
    traits: Mapping[str, Float[np.ndarray, " products"]],
    factor: Float[np.ndarray, " products"],
    own: float,
    by_base: int,
    by_network: int,
) -> Candidates:
    """Return each product's ``by_base`` largest of B by absolute value, and ``by_network`` more by p(i | j).

    ``bought`` is 1 where a user bought the product, users × products; ``content`` are the features of
    :func:`gnn.similarity.product_features`; ``traits`` and ``factor`` are numbers of the product that an edge leads to.
    Where ``own`` is not 0, each product has an edge to itself too, which starts from it. Products × products are never
    in memory at once.
    """
    buyers = np.asarray(bought.sum(0), dtype=np.float32).ravel()
    # So that XᵀX counts each user who bought both by 1 / her purchases: then a row over its product's buyers is the
    # chance that a walk from it over one of its buyers ends at the other (Christoffel et al. 2015, P3).
    divided = sparse.csr_array(sparse.diags_array(np.maximum(np.diff(bought.indptr), 1) ** -0.5) @ bought)
    blocks = []
    with tqdm(total=base.num_products, desc="candidates", unit="product", disable=None) as progress:
        steps = zip(base.blocks(), co_purchases(bought), co_purchases(divided), strict=True)
        for (start, plain), (_, both), (_, shared) in steps:
            walks = shared / np.maximum(buyers[start : start + len(plain), None], 1)
            stop, rows = start + len(plain), plain * factor.astype(np.float32)
            likely, near = network.log_probabilities(start, stop), network.cosines(start, stop)
            place, target, by = _chosen(plain, likely, start=start, by_base=by_base, by_network=by_network, own=own)
            source, at = start + place, (place, target)
            shares = {
                name: part[at] * factor[target].astype(np.float32)
                for name, part in base.other_shares(start, stop).items()
            }
            features = {
                "closed": _signed_root(rows[at]),
                "reverse": _signed_root(plain[at] * base.symmetry[target] / base.symmetry[source] * factor[source]),
                **{f"share {name}": _signed_root(part) for name, part in shares.items()},
                "together": np.log1p(both[at]),
                "cosine": both[at] / np.sqrt(np.maximum(buyers[source] * buyers[target], 1)),
                "walk": np.sqrt(walks[at]),
                "walk back": np.sqrt(walks[at] * (buyers[source] / np.maximum(buyers[target], 1))),
                "buyers here": np.log1p(buyers[source]),
                "buyers there": np.log1p(buyers[target]),
                "network": likely[at],
                "near": near[at],
                "by network": by == BY_NETWORK,
                "itself": by == ITSELF,
                **{f"alike {name}": _alike(matrix, start, stop, at) for name, matrix in content.items()},
                **{name: values[target] for name, values in traits.items()},
            }
            begins = np.select([by == BY_BASE, by == BY_NETWORK], [rows[at], np.exp(likely[at])], own)
            blocks.append(
                Candidates(
                    first=np.searchsorted(place, np.arange(len(rows) + 1)),
                    target=target,
                    start=begins.astype(np.float32),
                    proposed_by=by,
                    shares={name: np.where(by == BY_BASE, part, 0).astype(np.float32) for name, part in shares.items()},
                    features=np.stack(list(features.values()), axis=1).astype(np.float32),
                    names=tuple(features),
                )
            )
            progress.update(len(rows))
    return _joined(blocks)


def with_feature(candidates: Candidates, name: str, base: Base | None) -> Candidates:
    """Return the candidates with one more feature: what ``base`` gives each edge, 0 where there is none."""
    values = np.zeros(len(candidates.target), dtype=np.float32)
    for start, rows in base.blocks() if base else ():
        part = slice(candidates.first[start], candidates.first[start + len(rows)])
        place = candidates.source[part] - start
        values[part] = _signed_root(rows[place, candidates.target[part]])
    features = np.concatenate([candidates.features, values[:, None]], axis=1)
    return replace(candidates, features=features, names=(*candidates.names, name))


def _chosen(
    rows: Float[np.ndarray, "rows products"],
    likely: Float[np.ndarray, "rows products"],
    *,
    start: int,
    by_base: int,
    by_network: int,
    own: float,
) -> tuple[Int[np.ndarray, " edges"], Int[np.ndarray, " edges"], Int[np.ndarray, " edges"]]:
    """Return row and column of each candidate, sorted, and what proposed it."""
    places = np.arange(len(rows))[:, None]
    proposed_by = np.zeros(rows.shape, dtype=np.int8)
    largest = _largest(np.abs(rows), by_base)
    proposed_by[places, largest] = np.where(rows[places, largest] != 0, BY_BASE, 0)
    if by_network:
        # So many that by_network are left without the closed form's and the product itself.
        best = _largest(likely, by_base + by_network + 1)
        order = np.argsort(-np.take_along_axis(likely, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        free = (proposed_by[places, best] == 0) & (best != start + places)
        taken = free & (np.cumsum(free, axis=1) <= by_network)
        proposed_by[np.broadcast_to(places, best.shape)[taken], best[taken]] = BY_NETWORK
    if own:
        proposed_by[places[:, 0], start + places[:, 0]] = ITSELF
    row, column = np.nonzero(proposed_by)
    return row, column.astype(np.int32), proposed_by[row, column]


def _largest(values: Float[np.ndarray, "rows products"], count: int) -> Int[np.ndarray, "rows count"]:
    keep = min(count, values.shape[1])
    return np.argpartition(-values, keep - 1, axis=1)[:, :keep]


def _signed_root(values: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " edges"]:
    """Return sign · sqrt: entries of B spread over orders of magnitude and have both signs."""
    root: np.ndarray = np.sign(values) * np.sqrt(np.abs(values))
    return root


def _alike(
    features: sparse.csr_array | np.ndarray, start: int, stop: int, at: tuple[np.ndarray, np.ndarray]
) -> Float[np.ndarray, " edges"]:
    """Return F(source) · F(target) of each edge."""
    if isinstance(features, np.ndarray):
        near: np.ndarray = (features[start:stop] @ features.T)[at]
        return near
    place, target = at
    return np.asarray(features[start + place].multiply(features[target]).sum(1), dtype=np.float32).ravel()


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
