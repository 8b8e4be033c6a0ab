"""Keeps what the edge network read of the ``RELATED`` edges in a file, of which single edges can be read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gnn.candidates import Candidates
from loaders.errors import InputError

FILE = "edges.safetensors"


@dataclass(frozen=True)
class ReadEdge:
    """What the edge network read of one edge."""

    start: float
    """What it was multiplied with: see :class:`gnn.candidates.Candidates`."""

    proposed_by: int
    """One of :data:`gnn.candidates.BY_BASE`, ``BY_NETWORK`` and ``ITSELF``."""

    features: Float[np.ndarray, " features"]
    names: tuple[str, ...]
    """What each feature is."""


def edge_file_content(edges: Candidates) -> bytes:
    """Return the edges, without their shares, which the store has, as a safetensors file that is read by the row."""
    rows = {
        "first": edges.first.astype(np.int64),
        "target": edges.target.astype(np.int32),
        "start": edges.start,
        "proposed_by": edges.proposed_by,
        "features": edges.features,
    }
    whole = {name: np.ascontiguousarray(values) for name, values in rows.items()}
    content: bytes = save(whole, metadata={"features": json.dumps(edges.names)})
    return content


@dataclass(frozen=True)
class EdgeFile:
    """The file of a run's edges."""

    path: Path

    def names(self) -> tuple[str, ...]:
        """Return what each feature is."""
        with self._opened() as file:
            return _names(file)

    def edge(self, source: int, target: int) -> ReadEdge:
        """Return what was read of the edge between these products, by their places among those that the run ranks.

        Only this edge's rows are read from the disk. Raise if the file has no such edge.
        """
        with self._opened() as file:
            first, after = file.get_slice("first")[source : source + 2].tolist()
            places = np.flatnonzero(file.get_slice("target")[first:after] == target)
            if not len(places):
                raise InputError(
                    f"{str(self.path)!r} has no edge from {source} to {target} that the store has; train again"
                )
            at = first + int(places[0])
            return ReadEdge(
                start=float(file.get_slice("start")[at : at + 1][0]),
                proposed_by=int(file.get_slice("proposed_by")[at : at + 1][0]),
                features=file.get_slice("features")[at : at + 1][0],
                names=_names(file),
            )

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with safe_open(self.path, framework="numpy") as file:
                yield file
        except FileNotFoundError as error:
            raise InputError(
                f"the run folder {str(self.path.parent)!r} lacks {FILE}, what the edge network read; train again"
            ) from error
        except SafetensorError as error:
            raise InputError(f"{str(self.path)!r} is no whole file of edges ({error}); train again") from error


def _names(file: Any) -> tuple[str, ...]:
    return tuple(json.loads(file.metadata()["features"]))
