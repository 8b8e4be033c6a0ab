"""The compressed graph: its arrays worked out by hand, the same from files, and broken folders refused."""

from __future__ import annotations

import copy
import errno
import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData

from gnn.csr import MANIFEST, ONLY_EDGES, CompressedGraph, EdgeList
from loaders.errors import InputError

BOUGHT = ("user", "bought", "product")
HAS_BRAND = ("product", "has_brand", "brand")


def shop() -> HeteroData:
    """Return two users, three products, one brand; of the purchases 1 and 3 are of one product, at 20 and at 10."""
    data = HeteroData()
    data["user"].num_nodes, data["product"].num_nodes, data["brand"].num_nodes = 2, 3, 1
    data[BOUGHT].edge_index = torch.tensor([[0, 0, 1, 1], [0, 2, 0, 2]])
    data[BOUGHT].at = torch.tensor([5, 20, 7, 10])
    data[HAS_BRAND].edge_index = torch.tensor([[2, 0], [0, 0]])
    return data


def test_edges_are_by_target_and_then_by_time() -> None:
    graph = CompressedGraph.of(shop(), time="at")
    bought = graph.edges[BOUGHT]
    assert bought.start.tolist() == [0, 2, 2, 4]
    assert bought.source.tolist() == [0, 1, 1, 0]
    assert bought.edge.tolist() == [0, 2, 3, 1]
    assert bought.time is not None
    assert bought.time.tolist() == [5, 7, 10, 20]


def test_edges_of_one_time_stay_in_the_order_they_had_and_no_time_is_all_one() -> None:
    has_brand = CompressedGraph.of(shop(), time="at").edges[HAS_BRAND]
    assert has_brand.time is None
    assert has_brand.edge.tolist() == [0, 1]
    bought = CompressedGraph.of(shop()).edges[BOUGHT]
    assert bought.time is None
    assert bought.edge.tolist() == [0, 2, 1, 3]


def test_a_homogeneous_graph_has_one_edge_type() -> None:
    data = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
    assert CompressedGraph.of(data).edges[ONLY_EDGES].source.tolist() == [2, 0, 1]


def mapped_from_a_file(array: np.ndarray) -> bool:
    return isinstance(array, np.memmap) or (array.base is not None and mapped_from_a_file(array.base))


def test_a_written_graph_is_mapped_from_its_files_and_equal(tmp_path: Path) -> None:
    graph = CompressedGraph.of(shop(), time="at")
    graph.write(tmp_path / "graph")
    opened = CompressedGraph.open(tmp_path / "graph")
    assert opened.num_nodes == graph.num_nodes
    assert list(opened.edges) == list(graph.edges)
    for edge_type, edges in graph.edges.items():
        found = opened.edges[edge_type].arrays
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in edges.arrays.items()
        }
        assert all(mapped_from_a_file(array) for array in found.values())


def test_what_is_sent_to_a_worker_is_the_folder_and_not_the_arrays(tmp_path: Path) -> None:
    graph = CompressedGraph.of(shop(), time="at")
    graph.write(tmp_path / "graph")
    # A shallow copy is made by the same means as what multiprocessing sends.
    sent = copy.copy(CompressedGraph.open(tmp_path / "graph"))
    assert sent.place == tmp_path / "graph"
    assert mapped_from_a_file(sent.edges[BOUGHT].source)
    assert copy.copy(graph).edges[BOUGHT].edge.tolist() == graph.edges[BOUGHT].edge.tolist()


def test_a_graph_without_edges_or_nodes_can_be_written_and_read(tmp_path: Path) -> None:
    none = np.zeros(0, dtype=np.int64)
    CompressedGraph.of_lists({BOUGHT: EdgeList(none, none, none)}, num_nodes={"user": 0, "product": 2}).write(tmp_path)
    opened = CompressedGraph.open(tmp_path).edges[BOUGHT]
    assert opened.start.tolist() == [0, 0, 0]
    assert opened.time is not None


def test_a_graph_is_replaced_by_another_and_nothing_else_is_left(tmp_path: Path) -> None:
    CompressedGraph.of(shop(), time="at").write(tmp_path / "graph")
    CompressedGraph.of(shop()).write(tmp_path / "graph")
    assert not CompressedGraph.open(tmp_path / "graph").timed
    assert [file.name for file in tmp_path.iterdir()] == ["graph"]


def test_a_write_that_fails_leaves_the_old_graph_and_nothing_beside_it(tmp_path: Path) -> None:
    CompressedGraph.of(shop(), time="at").write(tmp_path / "graph")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with pytest.raises(OSError, match=r".") as raised:
            CompressedGraph.of(shop()).write(tmp_path / "graph")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert CompressedGraph.open(tmp_path / "graph").timed
    assert [file.name for file in tmp_path.iterdir()] == ["graph"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match=r"is there and holds no compressed graph; give another folder"):
        CompressedGraph.of(shop()).write(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_an_empty_folder_is_a_place(tmp_path: Path) -> None:
    CompressedGraph.of(shop()).write(tmp_path)
    assert CompressedGraph.open(tmp_path).num_nodes["user"] == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CompressedGraph.of(shop(), time="at").write(tmp_path / "graph")
    return tmp_path / "graph"


def test_a_folder_without_a_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no compressed graph at '.*nothing'; write one there first"):
        CompressedGraph.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "has the format None, which is not 'compressed graph 1'"),
        ('{"format": "compressed graph 9"}', "has the format 'compressed graph 9'"),
        ('{"format": "compressed graph 1"}', "is not as 'compressed graph 1' has it"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        CompressedGraph.open(folder)


@pytest.mark.parametrize("nodes", [{"user": 2}, {"user": 2, "product": "many", "brand": 1}])
def test_a_manifest_without_a_count_of_nodes_is_refused(folder: Path, nodes: dict[str, object]) -> None:
    page = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps({**page, "nodes": nodes}), encoding="utf-8")
    with pytest.raises(InputError, match=r"is not as 'compressed graph 1' has it \((Key|Value)Error"):
        CompressedGraph.open(folder)


def test_a_lost_file_is_named(folder: Path) -> None:
    (folder / "0.edge.npy").unlink()
    with pytest.raises(InputError, match=r"lacks its file '.*0\.edge\.npy'; write the graph again"):
        CompressedGraph.open(folder)


@pytest.mark.parametrize("kept", [0, 40, -1])
def test_a_file_that_was_cut_is_refused(folder: Path, kept: int) -> None:
    file = folder / "0.source.npy"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"0\.source\.npy' is no whole array"):
        CompressedGraph.open(folder)


def test_a_file_of_other_numbers_is_refused(folder: Path) -> None:
    np.save(folder / "0.source.npy", np.zeros(3, dtype=np.int32))
    with pytest.raises(InputError, match=r"holds int32 of shape \(3,\), not 4 whole numbers of 64 bits"):
        CompressedGraph.open(folder)


def test_a_changed_number_is_found_by_its_hash_unless_that_is_left_out(folder: Path) -> None:
    np.save(folder / "0.source.npy", np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"0\.source\.npy' is not as it was written, its SHA-256 is another"):
        CompressedGraph.open(folder)
    assert CompressedGraph.open(folder, check_content=False).edges[BOUGHT].source.tolist() == [0, 1, 0, 1]


def test_starts_that_do_not_end_with_the_edges_are_refused_without_any_hash(folder: Path) -> None:
    np.save(folder / "0.start.npy", np.array([0, 2, 2, 3]))
    with pytest.raises(InputError, match=r"does not say where the edges of \['user', 'bought', 'product'\] begin"):
        CompressedGraph.open(folder, check_content=False)


def test_an_edge_to_a_node_that_is_not_there_is_refused() -> None:
    data = shop()
    data[BOUGHT].edge_index[1, 2] = 7
    with pytest.raises(InputError, match=r"names 1 'product' nodes that do not exist, the first 7; .* there are 3"):
        CompressedGraph.of(data)


def test_an_edge_type_between_unknown_labels_is_refused() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(InputError, match=r"has ends 'shop'; known are user, product"):
        CompressedGraph.of_lists({("user", "in", "shop"): EdgeList(one, one)}, num_nodes={"user": 1, "product": 1})


@pytest.mark.parametrize("name", ["rev_bought", "bought_by"])
def test_times_on_one_way_only_are_refused(name: str) -> None:
    data = shop()
    # The other way in another order is the same way back.
    data["product", name, "user"].edge_index = data[BOUGHT].edge_index.flip(0).flip(1)
    with pytest.raises(InputError, match=rf"'bought', .* has times and its reverse .*'{name}'.* has none; give both"):
        CompressedGraph.of(data, time="at")
    assert not CompressedGraph.of(data).timed


def test_a_time_that_no_edge_type_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"no edge type has a time named 'when'; .* \(at, edge_index\)"):
        CompressedGraph.of(shop(), time="when")


@pytest.mark.parametrize("times", [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1, 2, 3])])
def test_times_that_are_not_a_whole_number_for_each_edge_are_refused(times: torch.Tensor) -> None:
    data = shop()
    data[BOUGHT].at = times
    with pytest.raises(InputError, match=r"the times 'at' of .* are (float32|int64) of shape .* each of the 4 edges"):
        CompressedGraph.of(data, time="at")


def test_an_edge_type_without_edges_to_read_is_refused() -> None:
    data = shop()
    data["user", "saw", "product"].weight = torch.ones(2)
    with pytest.raises(InputError, match=r"edge type \('user', 'saw', 'product'\) has no edge_index"):
        CompressedGraph.of(data)
