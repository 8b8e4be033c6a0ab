"""The neighbour sampler against a loop written here, PyG's own subgraphs and chi-square, and under PyG's loaders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import (
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    NumNeighbors,
    SamplerOutput,
)
from torch_geometric.utils import k_hop_subgraph

from gnn.csr import CompressedGraph, EdgeList, EdgeType
from gnn.pyg_lib import pyg_lib_installed
from gnn.sampler import Engine, NeighbourSampler
from loaders.errors import InputError

BOUGHT: EdgeType = ("user", "bought", "product")
REVERSED: EdgeType = ("product", "rev_bought", "user")
LINK: EdgeType = ("product", "link", "product")
ENGINES: list[Engine] = ["numpy", *(["pyg-lib"] if pyg_lib_installed() else [])]
NODES = {"user": 5, "product": 4}
TIMES = 6
UNLIKELY = 1e-3
"""Seeds are fixed: a test that passes once passes ever after."""

engines = pytest.mark.parametrize("engine", ENGINES)


@dataclass(frozen=True)
class Case:
    """A graph by its lists, so that the loop here shares nothing with the sampler."""

    lists: dict[EdgeType, EdgeList]
    seeds: list[int]
    times: list[int] | None

    @property
    def graph(self) -> CompressedGraph:
        return CompressedGraph.of_lists(self.lists, num_nodes=NODES)

    def asked(self) -> NodeSamplerInput:
        time = None if self.times is None else torch.tensor(self.times, dtype=torch.long)
        return NodeSamplerInput(None, torch.tensor(self.seeds, dtype=torch.long), time, "user")


def edge_list(ends: list[tuple[int, int, int]], *, timed: bool) -> EdgeList:
    source, target, time = np.array(ends, dtype=np.int64).reshape(-1, 3).T
    return EdgeList(source, target, time if timed else None)


@st.composite
def cases(draw: Callable[[Any], Any], *, timed: bool | None = None) -> Case:
    """Return up to 12 purchases with their reverse edges, and links, which have no time."""
    user, product, time = st.integers(0, 4), st.integers(0, 3), st.integers(0, TIMES)
    bought = draw(st.lists(st.tuples(user, product, time), max_size=12))
    links = draw(st.lists(st.tuples(product, product, st.just(0)), max_size=6))
    seeds = draw(st.lists(user, min_size=1, max_size=4))
    has_times = draw(st.booleans()) if timed is None else timed
    lists = {
        BOUGHT: edge_list(bought, timed=has_times),
        REVERSED: edge_list([(b, a, at) for a, b, at in bought], timed=has_times),
        LINK: edge_list(links, timed=False),
    }
    times = draw(st.lists(time, min_size=len(seeds), max_size=len(seeds))) if has_times else None
    return Case(lists, seeds, times)


def allowed(case: Case, edge_type: EdgeType, target: int, tree: int) -> list[int]:
    """Return the ids of the edges into a node that are before the moment of the seed it was found for."""
    edges = case.lists[edge_type]
    return [
        edge
        for edge in range(len(edges.source))
        if edges.target[edge] == target
        and (edges.time is None or case.times is None or edges.time[edge] < case.times[tree])
    ]


def everything(case: Case, *, hops: int, in_trees: bool) -> tuple[Counter[Any], set[tuple[str, int, int]]]:
    """Return all edges (type, id, tree, hop) and nodes (label, number, tree) around the seeds, found by a loop."""
    trees = list(range(len(case.seeds))) if in_trees else [0] * len(case.seeds)
    newest = [("user", seed, tree) for seed, tree in zip(case.seeds, trees, strict=True)]
    nodes, edges = set(newest), Counter[Any]()
    for hop in range(hops):
        found: list[tuple[str, int, int]] = []
        for label, number, tree in newest:
            for edge_type in (each for each in case.lists if each[2] == label):
                for edge in allowed(case, edge_type, number, tree):
                    edges[edge_type, edge, tree, hop] += 1
                    source = (edge_type[0], int(case.lists[edge_type].source[edge]), tree)
                    if source not in nodes:
                        nodes.add(source)
                        found.append(source)
        newest = found
    return edges, nodes


def drawn(out: HeteroSamplerOutput) -> Counter[Any]:
    """Return the edges of an output: type, id, tree, hop."""
    found = Counter[Any]()
    for edge_type, edge in out.edge.items():
        hops = np.repeat(np.arange(len(out.num_sampled_edges[edge_type])), out.num_sampled_edges[edge_type])
        tree = out.batch[edge_type[2]][out.col[edge_type]] if out.batch else torch.zeros_like(edge)
        found.update((edge_type, *each) for each in zip(edge.tolist(), tree.tolist(), hops.tolist(), strict=True))
    return found


def require_sound(case: Case, out: HeteroSamplerOutput) -> None:
    """Raise if an edge is not what its id says, crosses from one seed's subgraph to another's, or counts are wrong."""
    for edge_type, edges in case.lists.items():
        edge = out.edge[edge_type].numpy()
        assert out.global_row[edge_type].tolist() == edges.source[edge].tolist()
        assert out.global_col[edge_type].tolist() == edges.target[edge].tolist()
        assert sum(out.num_sampled_edges[edge_type]) == len(edge)
        if out.batch:
            ends = zip(edge_type[::2], (out.row[edge_type], out.col[edge_type]), strict=True)
            source_tree, target_tree = (out.batch[label][places] for label, places in ends)
            assert source_tree.equal(target_tree)
    for label, node in out.node.items():
        assert sum(out.num_sampled_nodes[label]) == len(node)
    assert out.node["user"][: len(case.seeds)].tolist() == case.seeds


@engines
@given(case=cases(), hops=st.integers(1, 3), disjoint=st.booleans())
def test_all_neighbours_are_those_that_a_loop_finds(engine: Engine, case: Case, hops: int, *, disjoint: bool) -> None:
    sampler = NeighbourSampler(case.graph, [-1] * hops, disjoint=disjoint, engine=engine)
    out = sampler.sample_from_nodes(case.asked())
    edges, nodes = everything(case, hops=hops, in_trees=sampler.in_trees)
    require_sound(case, out)
    assert drawn(out) == edges
    trees = out.batch or {label: torch.zeros_like(node) for label, node in out.node.items()}
    found = {
        (label, *each)
        for label, node in out.node.items()
        for each in zip(node.tolist(), trees[label].tolist(), strict=True)
    }
    assert found == nodes


@engines
@given(case=cases(), fan_out=st.lists(st.integers(0, 3), min_size=1, max_size=3), seed=st.integers(0, 99))
@pytest.mark.parametrize("replace", [False, True])
def test_each_node_gets_as_many_edges_as_asked_and_none_that_is_late(
    engine: Engine, case: Case, fan_out: list[int], seed: int, *, replace: bool
) -> None:
    sampler = NeighbourSampler(case.graph, fan_out, replace=replace, seed=seed, engine=engine)
    out = sampler.sample_from_nodes(case.asked())
    require_sound(case, out)
    begin = dict.fromkeys(NODES, 0)
    for hop, most in enumerate(fan_out):
        newest = {label: range(begin[label], begin[label] + out.num_sampled_nodes[label][hop]) for label in NODES}
        for edge_type in case.lists:
            ends = np.cumsum([0, *out.num_sampled_edges[edge_type]])
            part = slice(int(ends[hop]), int(ends[hop + 1]))
            column, edge = out.col[edge_type][part].numpy(), out.edge[edge_type][part].numpy()
            assert set(column.tolist()) <= set(newest[edge_type[2]])
            for place in newest[edge_type[2]]:
                tree = int(out.batch[edge_type[2]][place]) if out.batch else 0
                known = allowed(case, edge_type, int(out.node[edge_type[2]][place]), tree)
                got = edge[column == place].tolist()
                assert set(got) <= set(known)
                if replace:
                    assert len(got) == (most if known else 0)
                else:
                    assert len(got) == len(set(got)) == min(most, len(known))
        begin = {label: newest[label].stop for label in NODES}


def test_no_edge_at_the_very_moment_of_the_seed_is_drawn() -> None:
    lists = {BOUGHT: edge_list([(0, 0, 3), (1, 0, 4), (2, 0, 5)], timed=True)}
    sampler = NeighbourSampler(CompressedGraph.of_lists(lists, num_nodes=NODES), [-1])
    out = sampler.sample_from_nodes(NodeSamplerInput(None, torch.tensor([0]), torch.tensor([4]), "product"))
    assert out.edge[BOUGHT].tolist() == [0]


@engines
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("replace", [False, True])
def test_every_neighbour_before_the_moment_is_equally_likely(engine: Engine, *, timed: bool, replace: bool) -> None:
    early, late, most, trials = 7, 3, 3, 6000
    ends = [(number % NODES["user"], 0, number) for number in range(early + late)]
    graph = CompressedGraph.of_lists({BOUGHT: edge_list(ends, timed=timed)}, num_nodes=NODES)
    sampler = NeighbourSampler(graph, [most], replace=replace, disjoint=True, engine=engine, seed=3)
    time = torch.full((trials,), early) if timed else None
    out = sampler.sample_from_nodes(NodeSamplerInput(None, torch.zeros(trials, dtype=torch.long), time, "product"))
    found = np.bincount(out.edge[BOUGHT].numpy(), minlength=early + late)
    assert found.sum() == trials * most
    if timed:
        assert not found[early:].any()
    counts = found[:early] if timed else found
    # Without replacement the counts of one seed hang together: their spread is smaller by this, exactly.
    factor = 1.0 if replace else (len(counts) - most) / (len(counts) - 1)
    expected = np.full(len(counts), trials * most / len(counts))
    statistic = chisquare(counts, expected).statistic / factor
    tail = chisquare_tail(statistic, freedom=len(counts) - 1)
    assert UNLIKELY < tail < 1 - UNLIKELY


def chisquare_tail(statistic: float, *, freedom: int) -> float:
    """Return how likely a larger value is, by numbers drawn from the distribution itself."""
    return float((np.random.default_rng(0).chisquare(freedom, 200_000) > statistic).mean())


@engines
def test_a_homogeneous_graph_gives_pygs_k_hop_subgraph(engine: Engine) -> None:
    rng = np.random.default_rng(4)
    data = Data(edge_index=torch.from_numpy(rng.integers(30, size=(2, 60))), num_nodes=30)
    sampler = NeighbourSampler(CompressedGraph.of(data), [-1, -1], engine=engine)
    seeds = torch.tensor([3, 11])
    out = sampler.sample_from_nodes(NodeSamplerInput(None, seeds))
    assert isinstance(out, SamplerOutput)
    nodes, edges, _, _ = k_hop_subgraph(seeds, 2, data.edge_index)
    assert sorted(out.node.tolist()) == nodes.tolist()
    sampled = {tuple(pair) for pair in zip(out.global_row.tolist(), out.global_col.tolist(), strict=True)}
    # PyG gives all edges between these nodes; the sampler only those into a node less than two steps away.
    inner = set(k_hop_subgraph(seeds, 1, data.edge_index)[0].tolist())
    assert sampled == {(a, b) for a, b in edges.T.tolist() if b in inner}
    batch = next(iter(NodeLoader(data, sampler, input_nodes=seeds, batch_size=2)))
    assert batch.edge_index.shape[1] == len(out.row)
    assert batch.n_id[batch.edge_index].equal(data.edge_index[:, batch.e_id])


def test_a_seed_that_is_given_twice_gets_its_edges_twice_and_is_led_from_once() -> None:
    lists = {LINK: edge_list([(1, 0, 0), (0, 1, 0)], timed=False)}
    graph = CompressedGraph.of_lists(lists, num_nodes=NODES)
    out = NeighbourSampler(graph, [-1, -1]).sample_from_nodes(
        NodeSamplerInput(None, torch.tensor([0, 0]), None, "product")
    )
    assert out.node["product"].tolist() == [0, 0, 1]
    assert out.col[LINK].tolist() == [0, 1, 2]
    assert out.row[LINK].tolist() == [2, 2, 0]


def test_edge_types_have_fan_outs_of_their_own() -> None:
    case_lists = {
        BOUGHT: edge_list([(number, 0, 0) for number in range(5)], timed=False),
        LINK: edge_list([(number, 0, 0) for number in range(4)], timed=False),
    }
    graph = CompressedGraph.of_lists(case_lists, num_nodes=NODES)
    asked = NodeSamplerInput(None, torch.tensor([0]), None, "product")
    for fan_outs in ({BOUGHT: [2], LINK: [-1]}, NumNeighbors({BOUGHT: [2]}, default=[-1])):
        out = NeighbourSampler(graph, fan_outs).sample_from_nodes(asked)
        assert out.num_sampled_edges == {BOUGHT: [2], LINK: [4]}


# Under PyG's loaders.


def shop(*, timed: bool = True) -> HeteroData:
    """Return 40 users' 400 purchases of 25 products, both ways, with a time and an amount each."""
    rng = np.random.default_rng(5)
    data = HeteroData()
    data["user"].num_nodes = 40
    data["product"].x = torch.from_numpy(rng.normal(size=(25, 3)))
    pairs = torch.from_numpy(np.stack([rng.integers(40, size=400), rng.integers(25, size=400)]))
    for edge_type, edge_index in ((BOUGHT, pairs), (REVERSED, pairs.flip(0))):
        data[edge_type].edge_index = edge_index
        data[edge_type].amount = torch.arange(400)
        if timed:
            data[edge_type].at = torch.from_numpy(np.random.default_rng(6).integers(1000, size=400))
    return data


def sampler_of(data: HeteroData, fan_out: list[int], **options: Any) -> NeighbourSampler:
    timed = "at" in data[BOUGHT]
    return NeighbourSampler(CompressedGraph.of(data, time="at" if timed else None), fan_out, **options)


def require_batch(batch: HeteroData, data: HeteroData) -> None:
    """Raise if the batch's attributes are not those of its nodes and edges."""
    assert batch["product"].x.equal(data["product"].x[batch["product"].n_id])
    for edge_type in (BOUGHT, REVERSED):
        source, target = batch[edge_type].edge_index
        ends = torch.stack([batch[edge_type[0]].n_id[source], batch[edge_type[2]].n_id[target]])
        assert ends.equal(data[edge_type].edge_index[:, batch[edge_type].e_id])
        assert batch[edge_type].amount.equal(data[edge_type].amount[batch[edge_type].e_id])


@engines
def test_node_loader_gives_what_was_before_each_seed(engine: Engine) -> None:
    data = shop()
    time = torch.arange(40) * 25
    loader = NodeLoader(
        data,
        sampler_of(data, [4, 3], engine=engine),
        input_nodes=("user", None),
        input_time=time,
        batch_size=16,
    )
    seen: list[int] = []
    for batch in loader:
        require_batch(batch, data)
        size = batch["user"].batch_size
        seen += batch["user"].n_id[:size].tolist()
        assert batch["user"].seed_time.equal(time[batch["user"].n_id[:size]])
        for edge_type in (BOUGHT, REVERSED):
            tree = batch[edge_type[2]].batch[batch[edge_type].edge_index[1]]
            assert (batch[edge_type].at < batch["user"].seed_time[tree]).all()
    assert seen == list(range(40))


@engines
@pytest.mark.parametrize("amount", [1, 2])
@pytest.mark.parametrize("timed", [False, True])
def test_link_loader_gives_links_and_random_ones_beside_them(engine: Engine, amount: int, *, timed: bool) -> None:
    data = shop(timed=timed)
    time = data[BOUGHT].at if timed else None
    loader = LinkLoader(
        data,
        sampler_of(data, [4, 3], engine=engine),
        edge_label_index=BOUGHT,
        edge_label_time=time,
        neg_sampling=NegativeSampling("binary", amount),
        batch_size=50,
    )
    for batch in loader:
        require_batch(batch, data)
        link = batch[BOUGHT]
        source, target = link.edge_label_index
        ends = torch.stack([batch["user"].n_id[source], batch["product"].n_id[target]])
        assert ends[:, :50].equal(data[BOUGHT].edge_index[:, link.input_id])
        assert link.edge_label.tolist() == [1.0] * 50 + [0.0] * 50 * amount
        if timed:
            assert link.edge_label_time.equal(data[BOUGHT].at[link.input_id].repeat(1 + amount))
            for edge_type in (BOUGHT, REVERSED):
                tree = batch[edge_type[2]].batch[batch[edge_type].edge_index[1]]
                # So the link itself, which is in the graph, is never in its own neighbourhood.
                assert (batch[edge_type].at < link.edge_label_time[tree]).all()


@engines
@pytest.mark.parametrize("amount", [1, 3])
@pytest.mark.parametrize("timed", [False, True])
def test_link_loader_gives_random_targets_for_each_source(engine: Engine, amount: int, *, timed: bool) -> None:
    data = shop(timed=timed)
    loader = LinkLoader(
        data,
        sampler_of(data, [4, 3], engine=engine),
        edge_label_index=BOUGHT,
        edge_label_time=data[BOUGHT].at if timed else None,
        neg_sampling=NegativeSampling("triplet", amount, dst_weight=torch.eye(25)[7] + torch.eye(25)[9]),
        batch_size=50,
    )
    for batch in loader:
        require_batch(batch, data)
        users, products = (batch[label].n_id for label in ("user", "product"))
        positive = torch.stack([users[batch["user"].src_index], products[batch["product"].dst_pos_index]])
        assert positive.equal(data[BOUGHT].edge_index[:, batch[BOUGHT].input_id])
        negative = products[batch["product"].dst_neg_index]
        assert negative.shape == ((50,) if amount == 1 else (50, amount))
        assert set(negative.flatten().tolist()) == {7, 9}


@engines
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("mode", ["binary", "triplet"])
def test_links_within_a_homogeneous_graph_keep_their_ends(engine: Engine, mode: str, *, timed: bool) -> None:
    rng = np.random.default_rng(9)
    pairs = torch.from_numpy(rng.integers(30, size=(2, 90)))
    data = Data(edge_index=pairs, num_nodes=30, at=torch.arange(90))
    sampler = NeighbourSampler(CompressedGraph.of(data, time="at" if timed else None), [3, 3], engine=engine)
    time = data.at if timed else None
    for batch in LinkLoader(data, sampler, edge_label_index=pairs, edge_label_time=time, neg_sampling=mode):
        triplet = mode == "triplet"
        source, target = (batch.src_index, batch.dst_pos_index) if triplet else batch.edge_label_index[:, :1]
        assert torch.stack([batch.n_id[source], batch.n_id[target]]).flatten().equal(pairs[:, batch.input_id].flatten())
        assert not timed or bool((batch.at < batch.input_id).all())


def contents(loader: NodeLoader | LinkLoader) -> list[list[Tensor]]:
    return [
        [batch["user"].n_id, batch["product"].n_id, batch[BOUGHT].edge_index, batch[BOUGHT].e_id] for batch in loader
    ]


def same(some: list[list[Tensor]], others: list[list[Tensor]]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(one.equal(other) for batch, again in pairs for one, other in zip(batch, again, strict=True))


@engines
def test_the_same_seed_gives_the_same_batches_in_any_number_of_workers(engine: Engine) -> None:
    data = shop()

    def batches(*, seed: int, workers: int) -> list[list[Tensor]]:
        sampler = sampler_of(data, [2, 2], seed=seed, engine=engine)
        return contents(
            LinkLoader(
                data,
                sampler,
                edge_label_index=BOUGHT,
                edge_label_time=data[BOUGHT].at,
                neg_sampling="binary",
                batch_size=80,
                num_workers=workers,
            )
        )

    first = batches(seed=1, workers=0)
    torch.manual_seed(99)
    assert same(first, batches(seed=1, workers=0))
    assert same(first, batches(seed=1, workers=1))
    assert same(first, batches(seed=1, workers=2))
    assert not same(first, batches(seed=2, workers=0))


@engines
def test_torchs_global_state_stays_as_it_was(engine: Engine) -> None:
    data = shop()
    sampler = sampler_of(data, [2], engine=engine)
    before = torch.get_rng_state()
    seeds = EdgeSamplerInput(None, torch.tensor([1]), torch.tensor([2]), time=torch.tensor([500]), input_type=BOUGHT)
    sampler.sample_from_edges(seeds, NegativeSampling("triplet"))
    sampler.sample_from_nodes(NodeSamplerInput(None, torch.tensor([1]), torch.tensor([500]), "user"))
    assert torch.get_rng_state().equal(before)


def test_a_mapped_graph_gives_the_same_batches(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = shop()
    graph = CompressedGraph.of(data, time="at")
    place = tmp_path_factory.mktemp("mapped") / "graph"
    graph.write(place)

    def batches(graph: CompressedGraph) -> list[list[Tensor]]:
        sampler = NeighbourSampler(graph, [3, 2], seed=8)
        time = torch.full((40,), 700)
        return contents(NodeLoader(data, sampler, input_nodes=("user", None), input_time=time, batch_size=9))

    assert same(batches(graph), batches(CompressedGraph.open(place)))


# What cannot be done.


@pytest.mark.parametrize(
    ("fan_outs", "message"),
    [
        ([], r"the numbers of neighbours of .* are \[\]; give one for each hop, each 0 or more, or -1"),
        ([3, -2], r"are \[3, -2\]; give one"),
        (NumNeighbors([2.5]), r"are \[2\.5\]; give one"),
        (
            {BOUGHT: [1]},
            r"Missing number of neighbors for edge type .*the edge types are \('user', 'bought', 'product'",
        ),
        ({BOUGHT: [1], REVERSED: [1, 2]}, r"Number of hops must be the same"),
        ({BOUGHT: [1], REVERSED: [1], LINK: [1]}, r"Not all edge types specified .* exist"),
        (NumNeighbors(7), r"num_neighbors is NumNeighbors\(values=7"),
    ],
)
def test_numbers_of_neighbours_that_make_no_sense_are_refused(fan_outs: Any, message: str) -> None:
    graph = CompressedGraph.of(shop())
    with pytest.raises(InputError, match=message):
        NeighbourSampler(graph, fan_outs)


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(InputError, match=r"the seed is -1; give 0 or more"):
        sampler_of(shop(), [1], seed=-1)


def test_an_engine_that_is_not_installed_is_refused_and_else_it_is_named() -> None:
    if pyg_lib_installed():
        assert sampler_of(shop(), [1]).ran == "pyg-lib"
        return
    assert sampler_of(shop(), [1]).ran == "numpy"
    with pytest.raises(InputError, match=r"the engine 'pyg-lib' is not installed .* or take 'numpy'"):
        sampler_of(shop(), [1], engine="pyg-lib")


USERS = torch.tensor([1, 2])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            NodeSamplerInput(None, USERS, None, "user"),
            r"the graph has times .* the seeds have none; give .* input_time",
        ),
        (
            NodeSamplerInput(None, USERS, USERS * 0.5, "user"),
            r"times of 2 seeds are torch\.float32 of shape \(2,\)",
        ),
        (NodeSamplerInput(None, USERS, USERS[:1], "user"), r"of shape \(1,\); give a whole number for each"),
        (NodeSamplerInput(None, USERS, USERS, "shop"), r"the seeds are 'shop' nodes; the graph has user, product"),
        (NodeSamplerInput(None, USERS, USERS), r"the seeds are 'node' nodes; the graph has user, product"),
        (NodeSamplerInput(None, USERS + 38, USERS, "user"), r"names 1 'user' nodes that do not exist, the first 40"),
        (NodeSamplerInput(None, USERS - 2, USERS, "user"), r"the first -1; they are numbered from 0, and there are 40"),
    ],
)
def test_seeds_that_cannot_be_sampled_are_refused(asked: NodeSamplerInput, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sampler_of(shop(), [1]).sample_from_nodes(asked)


def test_times_of_seeds_are_refused_where_the_graph_has_none() -> None:
    with pytest.raises(InputError, match=r"the seeds have times and the graph has none"):
        sampler_of(shop(timed=False), [1]).sample_from_nodes(NodeSamplerInput(None, USERS, USERS, "user"))


def test_random_links_that_cannot_be_drawn_are_refused() -> None:
    sampler = sampler_of(shop(), [1])
    links = EdgeSamplerInput(None, USERS, USERS, time=USERS, input_type=BOUGHT)
    with pytest.raises(InputError, match=r"0\.5 random links for each, every one with a subgraph of its own"):
        sampler.sample_from_edges(links, NegativeSampling("binary", 0.5))
    weights = NegativeSampling("triplet", 1, dst_weight=torch.ones(24))
    with pytest.raises(InputError, match=r"the weights of random 'product' nodes are 24; give one for each of the 25"):
        sampler.sample_from_edges(links, weights)
    outside = EdgeSamplerInput(None, USERS, USERS + 24, time=USERS, input_type=BOUGHT)
    with pytest.raises(InputError, match=r"names 2 'product' nodes that do not exist, the first 25"):
        sampler.sample_from_edges(outside)
