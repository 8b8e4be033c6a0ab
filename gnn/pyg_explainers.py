"""Explains scores by PyG's own explainers, which see a message passing network and know nothing of contributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.explain import CaptumExplainer, Explainer, GNNExplainer
from torch_geometric.nn import MessagePassing
from tqdm import tqdm

from gnn.explained_pairs import Pairs, Scores

GNN_EXPLAINER, INTEGRATED_GRADIENTS = "GNNExplainer (PyG)", "Integrated Gradients (PyG)"
FASTER = f"{GNN_EXPLAINER}, step 0.1, no entropy"
EPOCHS = 100
"""Of GNNExplainer, as PyG has it."""

STEP, FASTER_STEP = 0.01, 0.1
ENTROPY, NO_ENTROPY = 1.0, 0.0
"""Step size and weight of the masks' entropy as PyG has them, and as they suit a sum of many parts.

In 100 epochs of the small step no mask gets far from 0.5, and the entropy lifts the masks of small parts as it does
those of large ones, so that the largest masks are of neither.
"""

STEPS = 4
"""Points of the path of Integrated Gradients: along it a sum has the same gradient everywhere, so few are exact."""

USER = 0
"""Node of the user in the graph of a pair."""


@dataclass(frozen=True)
class PairGraph:
    """The graph that the score of one pair is passed along; the nodes are the user and products."""

    x: Float[Tensor, "nodes 1"]
    """1 for the user, 0 for a product."""

    bought: Int[Tensor, "two purchases"]
    """User → product, an edge for each purchase of :class:`gnn.explained_pairs.Pairs`, in their order."""

    weight: Float[Tensor, " purchases"]
    """a(u, j)."""

    related: Int[Tensor, "two related"]
    """Purchased product → the recommended one, where the run relates the two."""

    related_weight: Float[Tensor, " related"]
    """R(j, i)."""

    product: int
    """Node of the recommended product."""


class Weighted(MessagePassing):  # type: ignore[misc]
    """Sums what neighbours say, each times the weight of its edge."""

    def __init__(self) -> None:
        super().__init__(aggr="sum")

    def forward(
        self, x: Float[Tensor, "nodes 1"], edge_index: Int[Tensor, "two edges"], weight: Float[Tensor, " edges"]
    ) -> Float[Tensor, "nodes 1"]:
        """Return the sum for each node."""
        return self.propagate(edge_index, x=x, weight=weight)  # type: ignore[no-any-return]

    def message(self, x_j: Float[Tensor, "edges 1"], weight: Float[Tensor, " edges"]) -> Float[Tensor, "edges 1"]:
        """Return what each edge passes on."""
        return weight[:, None] * x_j


class ScoreNetwork(nn.Module):
    """The score as a network of two layers: along ``BOUGHT``, which is explained, then along ``RELATED``."""

    def __init__(self) -> None:
        super().__init__()
        self.along_bought, self.along_related = Weighted(), Weighted()
        # A mask over both layers would share out each contribution between its two edges.
        self.along_related.explain = False

    def forward(
        self,
        x: Float[Tensor, "nodes 1"],
        edge_index: Int[Tensor, "two purchases"],
        weight: Float[Tensor, " purchases"],
        related: Int[Tensor, "two related"],
        related_weight: Float[Tensor, " related"],
    ) -> Float[Tensor, "nodes 1"]:
        """Return the score of each node: at the recommended product Σ a(u, j) · R(j, i), at all others 0."""
        found: Tensor = self.along_related(self.along_bought(x, edge_index, weight), related, related_weight)
        return found


def pair_graph(scores: Scores, pairs: Pairs, pair: int) -> PairGraph:
    """Return the graph of one pair; the recommended product is one of the purchases where she bought it before."""
    at = slice(int(pairs.start[pair]), int(pairs.start[pair + 1]))
    bought, product = pairs.bought[at], int(pairs.products[pair])
    own = np.flatnonzero(bought == product)
    target = 1 + (int(own[0]) if len(own) else len(bought))
    related = scores.related[bought, np.full(len(bought), product)]
    sources = np.flatnonzero(related)
    x = torch.zeros((2 + len(bought) - len(own), 1), dtype=torch.float64)
    x[USER] = 1.0
    return PairGraph(
        x=x,
        bought=torch.stack([torch.full((len(bought),), USER), torch.arange(1, len(bought) + 1)]),
        weight=torch.from_numpy(pairs.weight[at]),
        related=torch.stack([1 + torch.from_numpy(sources), torch.full((len(sources),), target)]),
        related_weight=torch.from_numpy(related[sources]),
        product=target,
    )


def gnn_explainer(
    graph: PairGraph, *, step: float = STEP, entropy: float = ENTROPY, seed: int
) -> Float[np.ndarray, " purchases"]:
    """Return the mask that GNNExplainer learns for each purchase, 0 to 1 (Ying et al. 2019).

    It keeps the output near what it is with few edges; a mask has no sign. Its penalties are made for outputs near 1,
    so the network's output is first divided by the sum of all contributions' sizes.
    """
    size = float(_sizes(graph).sum())
    if not size:
        return np.zeros(graph.bought.shape[1])
    # PyG draws the first masks from the global generator: it is left as it was found.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _explained(GNNExplainer(epochs=EPOCHS, lr=step, edge_ent=entropy), graph, unit=size)


def integrated_gradients(graph: PairGraph) -> Float[np.ndarray, " purchases"]:
    """Return the Integrated Gradients of the score for each purchase, from no purchase (Sundararajan et al. 2017)."""
    if not graph.related.shape[1]:
        return np.zeros(graph.bought.shape[1])
    return _explained(CaptumExplainer("IntegratedGradients", n_steps=STEPS), graph, unit=1.0)


def explained_by_pyg(scores: Scores, pairs: Pairs, *, seed: int) -> dict[str, Float[np.ndarray, " purchases"]]:
    """Return what each of PyG's explainers gives to each purchase of the pairs; the larger, the more it matters."""
    ways: dict[str, Callable[[PairGraph, int], np.ndarray]] = {
        GNN_EXPLAINER: lambda graph, own: gnn_explainer(graph, seed=own),
        FASTER: lambda graph, own: gnn_explainer(graph, step=FASTER_STEP, entropy=NO_ENTROPY, seed=own),
        INTEGRATED_GRADIENTS: lambda graph, _: integrated_gradients(graph),
    }
    found: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    for pair in tqdm(range(len(pairs.users)), desc="PyG's explainers", unit="pair", disable=None):
        graph = pair_graph(scores, pairs, pair)
        for way, explain in ways.items():
            found[way].append(explain(graph, seed + pair))
    return {way: np.concatenate(parts) for way, parts in found.items()}


def _sizes(graph: PairGraph) -> Float[Tensor, " related"]:
    """Return the size of each contribution that an edge leads to."""
    return (graph.weight[graph.related[0] - 1] * graph.related_weight).abs()


def _explained(
    algorithm: GNNExplainer | CaptumExplainer, graph: PairGraph, *, unit: float
) -> Float[np.ndarray, " purchases"]:
    explainer = Explainer(
        model=ScoreNetwork(),
        algorithm=algorithm,
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )
    found = explainer(
        graph.x,
        graph.bought,
        index=graph.product,
        weight=graph.weight,
        related=graph.related,
        related_weight=graph.related_weight / unit,
    )
    mask: np.ndarray = found.edge_mask.detach().numpy().astype(np.float64)
    return mask
