"""The file of what the edge network read: single edges come back as they were, and its weights from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnn.edge_file import EdgeFile, edge_file_content
from gnn.edges import edge_network, largest_edges
from loaders.errors import InputError
from tests.gnn.test_edges import SMALL, untrained


@pytest.fixture
def file(tmp_path: Path) -> EdgeFile:
    """Return the file of the small candidates without the edge 1 → 0."""
    (tmp_path / "edges.safetensors").write_bytes(edge_file_content(SMALL.only(np.array([0, 1, 2, 4, 5]))))
    return EdgeFile(tmp_path / "edges.safetensors")


def test_each_edge_comes_back_as_it_was_read(file: EdgeFile) -> None:
    for at, (source, target) in enumerate(zip(SMALL.source.tolist(), SMALL.target.tolist(), strict=True)):
        if (source, target) == (1, 0):
            continue
        edge = file.edge(source, target)
        assert (edge.start, edge.proposed_by) == (SMALL.start[at], SMALL.proposed_by[at])
        assert edge.features.tolist() == [at]
    assert edge.names == file.names() == ("feature",)


def test_an_edge_that_was_not_kept_and_a_broken_file_end_in_a_sentence(file: EdgeFile) -> None:
    with pytest.raises(InputError, match="has no edge from 1 to 0 that the store has; train again"):
        file.edge(1, 0)
    content = file.path.read_bytes()
    file.path.write_bytes(content[:40])
    with pytest.raises(InputError, match=r"edges\.safetensors' is no whole file of edges .*; train again"):
        file.edge(0, 0)
    file.path.unlink()
    with pytest.raises(InputError, match=r"lacks edges\.safetensors, what the edge network read; train again"):
        file.names()


def test_the_edges_kept_are_those_of_largest_weight_and_weigh_what_they_did() -> None:
    weights = np.array([0.01, 0.1, -0.2, -4.0, 1.0, 0.5], dtype=np.float32)
    kept = SMALL.only(largest_edges(SMALL, weights, per_product=1))
    assert list(zip(kept.source.tolist(), kept.target.tolist(), strict=True)) == [
        (0, 0),
        (0, 2),
        (1, 0),
        (1, 1),
        (2, 2),
    ]
    assert kept.shares["text"].tolist() == [0, 0, -0.5, 0, 0]
    fitted = untrained(SMALL)
    assert fitted.weights(kept).tolist() == fitted.weights(SMALL)[[0, 2, 3, 4, 5]].tolist()


def test_a_network_made_of_its_weights_is_the_same() -> None:
    network = untrained(SMALL).network
    again = edge_network(network.state_dict())
    assert {name: value.tolist() for name, value in again.state_dict().items()} == {
        name: value.tolist() for name, value in network.state_dict().items()
    }
