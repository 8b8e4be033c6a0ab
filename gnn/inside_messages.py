"""Says which edges of the graph made cos(q_j, k_i) of a network that passes messages, by PyG's explainers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch_geometric.explain import CaptumExplainer, Explainer, GNNExplainer, HeteroExplanation
from torch_geometric.explain.algorithm import ExplainerAlgorithm
from torch_geometric.nn import HeteroConv, HGTConv, MessagePassing, SAGEConv

from gnn.csr import EdgeType
from gnn.message_passing import MessagePassingNetwork

Edges = dict[EdgeType, Tensor]
Method = Literal["gnn", "ig"]

STEPS = 64
"""Of Integrated Gradients, four times as many where that does not add up."""

MOST_STEPS = 1024
EXACT = 0.01
"""How far the edges' parts may be from what they add up to; ReLU has bends."""

EPOCHS = 100
LEARNING_RATE = 0.1
COEFFICIENTS = {"edge_size": 0.1, "edge_reduction": "mean", "edge_ent": 0.05}
"""GNNExplainer's. A neighbourhood may have any number of edges, so their mean counts, and a cosine is told to it in
units of what all edges make of it: to lose that costs 1."""

LEAST_UNIT = 1e-3


@dataclass(frozen=True)
class Neighbourhood:
    """The nodes and edges that the vectors of two products are made of; nodes count from 0 in each type."""

    nodes: Mapping[str, Int[Tensor, " nodes"]]
    """Type → the rows of its nodes in the whole graph, sorted."""

    edges: Edges
    """Every type of edges, with the places of both ends in ``nodes``."""

    ends: tuple[int, int]
    """Places of the product that was bought and the one that it speaks for."""

    def found(self, edge_type: EdgeType) -> Int[Tensor, "2 edges"]:
        """Return the edges of a type by the rows of their ends in the whole graph."""
        source, target = self.edges[edge_type]
        return torch.stack([self.nodes[edge_type[0]][source], self.nodes[edge_type[2]][target]])


@dataclass(frozen=True)
class Masked:
    """What an explainer gave every edge of the neighbourhood."""

    cosine: float
    """cos(q_j, k_i)."""

    without: float
    """The same without any edge: what the products' own ids and texts say."""

    kept: float | None
    """The same with all edges weighed by the mask; None for ``ig``, whose mask is no weight."""

    mask: Mapping[EdgeType, Float[Tensor, " edges"]]
    """By ``ig`` each edge's part of cosine − without, by ``gnn`` how much it is needed, 0 to 1."""

    @property
    def missing(self) -> float:
        """What the parts of ``ig`` lack to cosine − without."""
        return self.cosine - self.without - sum(float(part.sum()) for part in self.mask.values())


def neighbourhood(edges: Edges, *, num_nodes: Mapping[str, int], products: tuple[int, int], hops: int) -> Neighbourhood:
    """Return all edges over which a message reaches one of ``products`` within ``hops`` steps, and their nodes.

    So the vectors of both are the same in it as in the whole graph.
    """
    reached = {label: torch.zeros(count, dtype=torch.bool) for label, count in num_nodes.items()}
    reached["product"][list(products)] = True
    taken = {edge_type: torch.zeros(pairs.shape[1], dtype=torch.bool) for edge_type, pairs in edges.items()}
    for _ in range(hops):
        taken = {edge_type: reached[edge_type[2]][pairs[1]] for edge_type, pairs in edges.items()}
        reached = {label: mark.clone() for label, mark in reached.items()}
        for edge_type, pairs in edges.items():
            reached[edge_type[0]][pairs[0, taken[edge_type]]] = True
    place = {label: mark.cumsum(0) - 1 for label, mark in reached.items()}
    kept = {
        edge_type: torch.stack(
            [place[edge_type[0]][pairs[0, taken[edge_type]]], place[edge_type[2]][pairs[1, taken[edge_type]]]]
        )
        for edge_type, pairs in edges.items()
    }
    source, target = (int(place["product"][row]) for row in products)
    nodes = {label: mark.nonzero().squeeze(1) for label, mark in reached.items()}
    return Neighbourhood(nodes=nodes, edges=kept, ends=(source, target))


class PairNetwork(nn.Module):
    """cos(q_j, k_i) of one pair as a function of the start vectors and of edges that a mask can be laid on.

    The weights are those of a trained network: GraphSAGE's means are taken over pairs and not by a matrix, and HGT,
    whose edge types PyG's explainers do not find by themselves, gets a place for the mask of each.
    """

    def __init__(
        self,
        network: MessagePassingNetwork,
        around: Neighbourhood,
        *,
        mask_is_weight: bool = False,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.around = around
        self.unit = max(abs(unit), LEAST_UNIT)
        self.mask_is_weight = mask_is_weight
        self.turn, self.key_turn = network.turn.detach(), network.key_turn.detach()
        self.layers = nn.ModuleList(_maskable(layer, list(around.edges)) for layer in network.convolutions)

    def forward(self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[EdgeType, Tensor]) -> Float[Tensor, " 1"]:
        """Return the cosine in units of ``unit``; edge types that are not given have no edges here."""
        if self.mask_is_weight:
            # PyG 2.8 lays a mask of Captum's on a heterogeneous graph through a sigmoid, unlike on any other: the
            # integral would go from half of each edge to three quarters.
            for place in self.modules():
                if isinstance(place, MessagePassing):
                    place._apply_sigmoid = False
        queries, keys = self.vectors(x_dict, edge_index_dict)
        source, target = self.around.ends
        return (normalize(queries[source], dim=0) @ keys[target])[None] / self.unit

    def vectors(
        self, x_dict: Mapping[str, Tensor], edge_index_dict: Mapping[EdgeType, Tensor]
    ) -> tuple[Float[Tensor, "products dimension"], Float[Tensor, "products dimension"]]:
        """Return the queries, and the keys at unit length, of the products of the neighbourhood."""
        edges = self.around.edges | dict(edge_index_dict)
        x = dict(x_dict)
        for number, layer in enumerate(self.layers):
            if number:
                x = {label: values.relu() for label, values in x.items()}
            x = layer(x, edges)
        return x["product"] @ self.turn, normalize(x["product"] @ self.key_turn, dim=1)


class _MaskPlace(MessagePassing):  # type: ignore[misc]
    """Where PyG lays the mask of an edge type. A class of its own: PyG writes code into the class of each layer."""


class _MaskableHGT(nn.Module):
    """A layer of HGT whose messages are weighed by the masks that PyG lays on ``places``."""

    def __init__(self, layer: HGTConv, edge_types: list[EdgeType]) -> None:
        super().__init__()
        self.layer = copy.deepcopy(layer)
        self.places = nn.ModuleDict({"__".join(edge_type): _MaskPlace() for edge_type in edge_types})

    def forward(self, x_dict: dict[str, Tensor], edges: Edges) -> dict[str, Tensor]:
        # PyG lays a mask on all types that have edges, or on none.
        places: list[Any] = [self.places["__".join(edge_type)] for edge_type, pairs in edges.items() if pairs.shape[1]]
        masks: list[Tensor] = [place._edge_mask for place in places if place._edge_mask is not None]
        self.layer.explain = bool(masks)
        if masks:
            # The layer's messages come in the order of the edge types.
            self.layer._edge_mask = torch.cat(masks)
            self.layer._apply_sigmoid = places[0]._apply_sigmoid
        found: dict[str, Tensor] = self.layer(x_dict, edges)
        return found


def start_vectors(network: MessagePassingNetwork, around: Neighbourhood) -> dict[str, Tensor]:
    """Return the vectors of the neighbourhood's nodes before any message, by type."""
    found = {label: vector.detach().expand(len(around.nodes[label]), -1) for label, vector in network.types.items()}
    return {**found, "product": network.start().detach()[around.nodes["product"]]}


def explain_pair(network: MessagePassingNetwork, around: Neighbourhood, *, method: Method, seed: int) -> Masked:
    """Return what PyG's GNNExplainer (Ying et al. 2019) or Integrated Gradients give each edge.

    ``seed`` is the former's, which looks for few edges with which the cosine stays as it is.
    Integrated Gradients go from a graph without edges to this one, so the parts add up to what the edges make of the
    cosine.
    """
    network.eval()
    starts = start_vectors(network, around)
    edges = {edge_type: pairs for edge_type, pairs in around.edges.items() if pairs.shape[1]}
    # PyG's explainers leave their marks on a model, so each gets one of its own.
    plain = _explainer(PairNetwork(network, around), GNNExplainer())
    cosine = plain.get_prediction(starts, edges).item()
    if not edges:
        return Masked(cosine=cosine, without=cosine, kept=None, mask={})
    nothing = {edge_type: torch.zeros(pairs.shape[1]) for edge_type, pairs in edges.items()}
    without = plain.get_masked_prediction(starts, edges, edge_mask=nothing).item()
    if method == "gnn":
        mask = _by_gnn_explainer(PairNetwork(network, around, unit=cosine - without), starts, edges, seed=seed)
        kept = plain.get_masked_prediction(starts, edges, edge_mask=mask).item()
        return Masked(cosine=cosine, without=without, kept=kept, mask=mask)
    steps = STEPS
    while True:
        model = PairNetwork(network, around, mask_is_weight=True)
        explained = _explainer(model, CaptumExplainer("IntegratedGradients", n_steps=steps))(starts, edges)
        found = Masked(cosine=cosine, without=without, kept=None, mask=_mask_of(explained, edges))
        if abs(found.missing) <= EXACT or steps >= MOST_STEPS:
            return found
        steps *= 4


def _by_gnn_explainer(
    model: PairNetwork, starts: dict[str, Tensor], edges: Edges, *, seed: int
) -> dict[EdgeType, Float[Tensor, " edges"]]:
    # It draws its first masks from torch's global state, which is put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        explained = _explainer(model, GNNExplainer(epochs=EPOCHS, lr=LEARNING_RATE, **COEFFICIENTS))(starts, edges)
    return _mask_of(explained, edges)


def _mask_of(explained: HeteroExplanation, edges: Edges) -> dict[EdgeType, Float[Tensor, " edges"]]:
    return {edge_type: explained[edge_type].edge_mask.detach() for edge_type in edges}


def _explainer(model: PairNetwork, algorithm: ExplainerAlgorithm) -> Explainer:
    return Explainer(
        model,
        algorithm=algorithm,
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "graph", "return_type": "raw"},
    )


def _maskable(layer: nn.Module, edge_types: list[EdgeType]) -> nn.Module:
    if isinstance(layer, HGTConv):
        return _MaskableHGT(layer, edge_types)
    width = next(layer.parameters()).shape[-1]
    means: nn.Module = HeteroConv({each: SAGEConv(width, width, aggr="mean") for each in edge_types}, aggr="mean")
    means.load_state_dict(layer.state_dict())
    return means
