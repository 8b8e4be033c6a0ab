"""Keeps a graph's edges by target, each target's sorted by time, in arrays that can be mapped from files."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from torch_geometric.data import Data, HeteroData

from gnn.place import put_in_place, real_place
from loaders.errors import InputError

EdgeType = tuple[str, str, str]
"""Source label, relation, target label."""

FORMAT = "compressed graph 1"
MANIFEST = "manifest.json"
AGAIN = "; write the graph again"
ARRAYS = ("start", "source", "edge", "time")
NODE = "node"
"""The label of a homogeneous graph's nodes."""

ONLY_EDGES: EdgeType = (NODE, "to", NODE)


@dataclass(frozen=True)
class EdgeList:
    """Edges of one type in any order; an edge's id is its place here."""

    source: Int[np.ndarray, " edges"]
    target: Int[np.ndarray, " edges"]
    time: Int[np.ndarray, " edges"] | None = None
    """When each came to be (in seconds, UTC, in this project); None where that is not known or does not matter."""


@dataclass(frozen=True)
class CompressedEdges:
    """Edges of one type, sorted by target, then by time, then by id: compressed sparse columns of sources × targets."""

    start: Int[np.ndarray, " targets_and_one"]
    """Where each target's edges begin; the last number is that of all edges."""

    source: Int[np.ndarray, " edges"]
    edge: Int[np.ndarray, " edges"]
    """The ids: places in the list, or in the ``edge_index``, that the edges were made from."""

    time: Int[np.ndarray, " edges"] | None

    @classmethod
    def of(cls, edges: EdgeList, *, num_targets: int) -> CompressedEdges:
        """Return the edges sorted; all targets are below ``num_targets``."""
        times = () if edges.time is None else (edges.time,)
        order = np.lexsort((*times, edges.target))
        counts = np.bincount(edges.target, minlength=num_targets)
        return cls(
            start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            source=edges.source[order].astype(np.int64),
            edge=order.astype(np.int64),
            time=None if edges.time is None else edges.time[order].astype(np.int64),
        )

    @property
    def arrays(self) -> dict[str, Int[np.ndarray, " numbers"]]:
        """The arrays by name; ``time`` only where there are times."""
        found = {"start": self.start, "source": self.source, "edge": self.edge}
        return found if self.time is None else {**found, "time": self.time}


@dataclass(frozen=True)
class CompressedGraph:
    """A graph, heterogeneous or not, as its edges into each node."""

    num_nodes: Mapping[str, int]
    edges: Mapping[EdgeType, CompressedEdges]
    place: Path | None = None
    """The folder that the arrays are mapped from; None where they are in memory."""

    @classmethod
    def of(cls, data: HeteroData | Data, *, time: str | None = None) -> CompressedGraph:
        """Return the graph of ``data``, whose edge types may have the attribute ``time`` (whole numbers).

        An edge type without it is taken to have been there ever since. Raise if no edge type has it.
        """
        hetero = isinstance(data, HeteroData)
        stores = dict(data.edge_items()) if hetero else {ONLY_EDGES: data}
        if time is not None and not any(time in store for store in stores.values()):
            known = ", ".join(sorted({name for store in stores.values() for name in store.keys()}))  # noqa: SIM118
            raise InputError(f"no edge type has a time named {time!r}; name one of their attributes ({known}), or none")
        labels = {label: data[label].num_nodes for label in data.node_types} if hetero else {NODE: data.num_nodes}
        uncounted = [label for label, count in labels.items() if count is None]
        if uncounted:
            raise InputError(f"the number of {uncounted[0]!r} nodes is not known; set its num_nodes")
        lists = {edge_type: _edge_list(store, edge_type, time=time) for edge_type, store in stores.items()}
        return cls.of_lists(lists, num_nodes=labels)

    @classmethod
    def of_lists(cls, lists: Mapping[EdgeType, EdgeList], *, num_nodes: Mapping[str, int]) -> CompressedGraph:
        """Return the graph of lists of edges; raise if an end is no node, or only one way of a type has times."""
        for edge_type, edges in lists.items():
            for label, ends in zip(edge_type[::2], (edges.source, edges.target), strict=True):
                if label not in num_nodes:
                    raise InputError(f"edge type {edge_type} has ends {label!r}; known are {', '.join(num_nodes)}")
                require_nodes(ends, num_nodes[label], what=f"edge type {edge_type}", label=label)
            for other, back in lists.items():
                # Else the future comes in by the way back.
                if edges.time is not None and back.time is None and _is_way_back(edge_type, edges, other, back):
                    raise InputError(f"{edge_type} has times and its reverse {other} has none; give both theirs")
        compressed = {
            edge_type: CompressedEdges.of(edges, num_targets=num_nodes[edge_type[2]])
            for edge_type, edges in lists.items()
        }
        return cls({label: int(count) for label, count in num_nodes.items()}, compressed)

    @property
    def timed(self) -> bool:
        """Whether any edge has a time."""
        return any(edges.time is not None for edges in self.edges.values())

    def write(self, place: Path) -> None:
        """Write the graph to a folder; one that holds a graph is replaced, anything else there is refused."""
        place = real_place(place)
        if place.exists() and not (place / MANIFEST).exists() and (place.is_file() or any(place.iterdir())):
            raise InputError(f"{str(place)!r} is there and holds no compressed graph; give another folder")
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
        try:
            entries = []
            for number, (edge_type, edges) in enumerate(self.edges.items()):
                files = {name: _array_file(beside, number, name) for name in edges.arrays}
                for name, array in edges.arrays.items():
                    _write_array(files[name], array)
                hashes = {name: _hash(file) for name, file in files.items()}
                entries.append({"type": edge_type, "edges": len(edges.source), "sha256": hashes})
            page = {"format": FORMAT, "nodes": dict(self.num_nodes), "edge_types": entries}
            (beside / MANIFEST).write_text(json.dumps(page, indent=2) + "\n", encoding="utf-8")
            put_in_place(beside, place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    @classmethod
    def open(cls, place: Path, *, check_content: bool = True) -> CompressedGraph:
        """Return the graph in a folder, its arrays mapped and read from the disk only where they are looked at.

        Raise if it is not whole. ``check_content`` also reads every file once and compares its hash: leave that out
        for a graph that does not fit in memory.
        """
        place = real_place(place)
        page = _manifest(place)
        try:
            num_nodes = {str(label): int(count) for label, count in page["nodes"].items()}
            edges = {}
            for number, entry in enumerate(page["edge_types"]):
                source, relation, target = entry["type"]
                found = _mapped_edges(place, number, entry, num_targets=num_nodes[target], check_content=check_content)
                edges[source, relation, target] = found
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{str(place / MANIFEST)!r} is not as {FORMAT!r} has it ({type(error).__name__}: {error}){AGAIN}"
            ) from error
        return cls(num_nodes, edges, place)

    def __reduce__(self) -> tuple[Callable[..., CompressedGraph], tuple[Any, ...]]:
        """Have a loader's worker that is no fork map the folder too, and not be sent a copy of what is in it."""
        if self.place is None:
            return type(self), (self.num_nodes, self.edges)
        return partial(type(self).open, check_content=False), (self.place,)


def require_nodes(nodes: Int[np.ndarray, " nodes"], count: int, *, what: str, label: str) -> None:
    """Raise if one of ``nodes`` is not the number of one of ``count`` nodes."""
    outside = nodes[(nodes < 0) | (nodes >= count)]
    if len(outside):
        raise InputError(
            f"{what} names {len(outside)} {label!r} nodes that do not exist, the first {int(outside[0])}; "
            f"they are numbered from 0, and there are {count}"
        )


def _is_way_back(edge_type: EdgeType, edges: EdgeList, other: EdgeType, back: EdgeList) -> bool:
    """Return whether ``back`` is ``edges`` turned round: named so, or of the same ends."""
    source, relation, target = edge_type
    if (target, source) != (other[0], other[2]):
        return False
    if other[1] == f"rev_{relation}":
        return True
    turned = ((edges.target, edges.source), (back.source, back.target))
    first, second = (np.stack(ends)[:, np.lexsort(ends)] for ends in turned)
    return np.array_equal(first, second)


def _edge_list(store: Any, edge_type: EdgeType, *, time: str | None) -> EdgeList:
    if "edge_index" not in store:
        raise InputError(f"edge type {edge_type} has no edge_index; give its edges as pairs of source and target")
    source, target = store.edge_index.cpu().numpy()
    if time is None or time not in store:
        return EdgeList(source, target)
    times = store[time].cpu().numpy()
    if times.shape != source.shape or not np.issubdtype(times.dtype, np.integer):
        raise InputError(
            f"the times {time!r} of edge type {edge_type} are {times.dtype} of shape {times.shape}; "
            f"give a whole number for each of the {len(source)} edges"
        )
    return EdgeList(source, target, times)


def _array_file(folder: Path, number: int, name: str) -> Path:
    return folder / f"{number}.{name}.npy"


def _write_array(file: Path, array: Int[np.ndarray, " numbers"]) -> None:
    # Through a file of Python's, so that a full disk is an OSError that says so: numpy's own has no errno.
    with file.open("wb") as opened:
        np.lib.format.write_array_header_1_0(opened, np.lib.format.header_data_from_array_1_0(array))
        opened.write(np.ascontiguousarray(array).data)


def _mapped_edges(
    place: Path, number: int, entry: Mapping[str, Any], *, num_targets: int, check_content: bool
) -> CompressedEdges:
    """Return the edges of the manifest's ``entry``, which is the one with this number."""
    num_edges = int(entry["edges"])
    hashes = {name: str(entry["sha256"][name]) for name in ARRAYS if name in entry["sha256"]}
    arrays = {}
    for name, wanted in hashes.items():
        file = _array_file(place, number, name)
        arrays[name] = _mapped(file, num_targets + 1 if name == "start" else num_edges)
        if check_content and _hash(file) != wanted:
            raise InputError(f"{str(file)!r} is not as it was written, its SHA-256 is another{AGAIN}")
    found = CompressedEdges(arrays["start"], arrays["source"], arrays["edge"], arrays.get("time"))
    if found.start[0] != 0 or found.start[-1] != num_edges:
        raise InputError(f"{str(place)!r} does not say where the edges of {entry['type']} begin{AGAIN}")
    return found


def _mapped(file: Path, length: int) -> Int[np.ndarray, " numbers"]:
    try:
        # As a private copy of what is written to, which is nothing: torch shares no array that it could not write to.
        array = np.load(file, mmap_mode="c")
    except FileNotFoundError as error:
        raise InputError(f"the graph lacks its file {str(file)!r}{AGAIN}") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{str(file)!r} is no whole array ({error}){AGAIN}") from error
    if array.dtype != np.int64 or array.shape != (length,):
        raise InputError(
            f"{str(file)!r} holds {array.dtype} of shape {array.shape}, not {length} whole numbers of 64 bits{AGAIN}"
        )
    # A plain array over the same map: the class that numpy gives a map costs time at every look.
    return np.asarray(array)


def _manifest(place: Path) -> dict[str, Any]:
    file = place / MANIFEST
    try:
        page = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no compressed graph at {str(place)!r}; write one there first") from error
    except ValueError as error:
        raise InputError(f"{str(file)!r} is no JSON ({error}){AGAIN}") from error
    found = page.get("format") if isinstance(page, dict) else None
    if found != FORMAT:
        raise InputError(f"{str(file)!r} has the format {found!r}, which is not {FORMAT!r}{AGAIN}")
    return dict(page)


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
