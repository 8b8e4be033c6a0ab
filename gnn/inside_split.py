"""Splits cos(q_j, k_i) of a linear graph network over what it propagated: ids and texts, over each relation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gnn.network import QueryKeyNetwork, Relation

Of = Literal["id", "text"]
LEAST_COSINE = 0.02
"""A cosine below this is what is left of larger parts that cancel out, or speaks against the edge, which then has its
weight from the popularity of the product it leads to: scaled to that weight, the parts would mislead."""


@dataclass(frozen=True)
class Part:
    """A part of a sum over what was propagated."""

    through: str
    """See :meth:`gnn.network.QueryKeyNetwork.parts`."""

    of: Of
    """Whether it is of learned ids or of texts."""

    adds: float


@dataclass(frozen=True)
class Split:
    """What a cosine, or the network's share of an edge, is the sum of; twice, each time all of it."""

    cosine: float
    """cos(q_j, k_i)."""

    total: float
    """What the parts add up to: the network's share of the edge where they are ``scaled``, else the cosine."""

    scaled: bool

    spoke: tuple[Part, ...]
    """What the bought product said through each part of its query, the largest by absolute value first."""

    answered: tuple[Part, ...]
    """How the other answered through each part of its key, the largest by absolute value first."""


@dataclass(frozen=True)
class LinearParts:
    """The parts of the queries and keys of some products; their sums are the whole vectors, of any length."""

    names: tuple[tuple[str, Of], ...]
    """What was propagated: through what, and of what."""

    queries: Float[Tensor, "parts rows dimension"]
    keys: Float[Tensor, "parts rows dimension"]

    def matrix(self, source: int, target: int) -> Float[Tensor, "parts parts"]:
        """Return the part of cos(q of row ``source``, k of row ``target``) of each query part and key part."""
        query, key = self.queries[:, source], self.keys[:, target]
        length = query.sum(0).norm() * key.sum(0).norm()
        return query @ key.T / (length if length > 0 else 1.0)

    def split(self, source: int, target: int, *, share: float) -> Split:
        """Return the split of the cosine of these rows, scaled to the network's ``share`` of the edge if it has one.

        It stays as it is where the share is 0, or the cosine is below :data:`LEAST_COSINE`.
        """
        matrix = self.matrix(source, target)
        cosine = float(matrix.sum())
        scaled = share != 0 and cosine >= LEAST_COSINE
        factor = share / cosine if scaled else 1.0
        return Split(
            cosine=cosine,
            total=share if scaled else cosine,
            scaled=scaled,
            spoke=self._named(factor * matrix.sum(1)),
            answered=self._named(factor * matrix.sum(0)),
        )

    def _named(self, adds: Float[Tensor, " parts"]) -> tuple[Part, ...]:
        parts = [Part(through, of, part) for (through, of), part in zip(self.names, adds.tolist(), strict=True)]
        return tuple(sorted(parts, key=lambda part: -abs(part.adds)))


def linear_parts(network: QueryKeyNetwork, bought: Relation, *, rows: Int[Tensor, " rows"]) -> LinearParts:
    """Return the parts of these products' vectors, as ``bought`` (users × products) propagates them.

    Propagation is linear in the start vectors, which are id + text, so each relation has a part of both.
    """
    with torch.no_grad():
        starts: dict[Of, Tensor] = {"id": network.identity, "text": network.text @ network.projection}
        found = {
            (through, of): part[rows].double()
            for of, start in starts.items()
            for through, part in network.parts(start, bought).items()
        }
        queries, keys = (
            torch.cat([weights, weights]).double()[:, None, None] * torch.stack(list(found.values()))
            for weights in (network.query_weights, network.key_weights)
        )
        return LinearParts(names=tuple(found), queries=queries @ network.turn.double(), keys=keys)
