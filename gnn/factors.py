"""The recommenders that give each user and each product a vector: iALS and LightGCN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from jaxtyping import Float, Int
from scipy import sparse
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch_geometric.nn.models import LightGCN as LightGCNModule
from tqdm import tqdm

from gnn.memory import freed_memory_kept
from gnn.model import Content, Range, Space
from gnn.network import as_tensor
from gnn.ranking import Recommender
from gnn.task import Task


@dataclass(frozen=True)
class Factors:
    """Scores by the inner product of a user's and a product's vector."""

    name: str
    users: Float[np.ndarray, "all_users dimension"]
    products: Float[np.ndarray, "products dimension"]
    history: sparse.csr_array

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return the inner products; nothing for a user who bought nothing, whose vector means nothing."""
        scores: np.ndarray = (self.users[users] @ self.products.T).astype(np.float64)
        scores[np.diff(self.history.indptr)[users] == 0] = -np.inf
        return scores


@dataclass(frozen=True)
class IALS:
    """Weighted matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008)."""

    factors: int = 128
    """Length of the vectors."""

    regularization: float = 1.0
    """Weight of the vectors' squared length."""

    alpha: float = 10.0
    """A bought product counts 1 + alpha · a(u, j) times as much as one that was not bought."""

    iterations: int = 15
    """Times that both sides are solved for."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "iALS"

    @property
    def random(self) -> bool:
        """The vectors' start is drawn."""
        return True

    @property
    def space(self) -> Space:
        """Powers of ten around what the field reports (Rendle et al. 2022)."""
        return {
            "factors": Range(16.0, 512.0, log=True, whole=True),
            "regularization": Range(0.001, 300.0, log=True),
            "alpha": Range(0.1, 300.0, log=True),
            "iterations": Range(5.0, 50.0, log=True, whole=True),
        }

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the vectors after the last iteration."""
        confidence = sparse.csr_matrix(task.history, dtype=np.float32)
        confidence.data = 1 + np.float32(self.alpha) * confidence.data
        # implicit makes its own threads; BLAS's threads on top of them take ten times as long.
        with threadpool_limits(limits=1, user_api="blas"):
            solver = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                iterations=self.iterations,
                num_threads=torch.get_num_threads(),
                random_state=seed,
            )
            solver.fit(confidence, show_progress=False)
        return Factors(self.name, solver.user_factors, solver.item_factors, task.history)


@dataclass(frozen=True)
class _Chosen:
    """The nodes that a step asks for, each once, and their edges: the last layer is needed at them alone."""

    nodes: Int[Tensor, " chosen"]
    place: Int[Tensor, " asked"]
    """Which of the nodes each asked one is."""

    into: Tensor
    """Rows of the graph's matrix, chosen × all nodes."""

    out_of: Tensor
    """Columns of it, all nodes × chosen."""

    @classmethod
    def of(cls, asked: Int[np.ndarray, " asked"], edges: sparse.csr_array, device: torch.device) -> _Chosen:
        """Return them for a matrix that is its own transpose."""
        nodes, place = np.unique(asked, return_inverse=True)
        into = sparse.csr_array(edges[nodes])
        return cls(
            nodes=torch.from_numpy(nodes).to(device),
            place=torch.from_numpy(place).to(device),
            into=as_tensor(into, device),
            out_of=as_tensor(into.T, device),
        )


class _Spread(torch.autograd.Function):
    """Some rows of the mean of vectors propagated 0, 1, … times over a matrix that is its own transpose.

    Their gradient is propagated the same way back: all others' is 0, and nothing between is kept. What is 0 or not
    asked for is not computed: the last product has the rows of the chosen alone, its gradient their columns.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, edges: Tensor, layers: int, chosen: _Chosen) -> Tensor:
        ctx.edges, ctx.layers, ctx.chosen, ctx.size = edges, layers, chosen, len(vectors)
        total, spread = vectors[chosen.nodes], vectors
        for _ in range(layers - 1):
            spread = edges @ spread
            total += spread[chosen.nodes]
        if layers:
            total += chosen.into @ spread
        return (total / (1 + layers))[chosen.place]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        chosen = ctx.chosen
        of_chosen = gradient.new_zeros(len(chosen.nodes), gradient.shape[1])
        of_chosen.index_add_(0, chosen.place, gradient / (1 + ctx.layers))
        own = gradient.new_zeros(ctx.size, gradient.shape[1])
        own[chosen.nodes] = of_chosen
        total = torch.addmm(own, chosen.out_of, of_chosen) if ctx.layers else own
        for _ in range(ctx.layers - 1):
            total = torch.addmm(own, ctx.edges, total)
        return total, None, None, None


@dataclass(frozen=True)
class LightGCN:
    """Vectors propagated over who bought what, by pairwise ranking (He et al. 2020), as PyG has it."""

    dimension: int = 64
    """Length of the vectors."""

    layers: int = 2
    """Times that vectors are propagated."""

    learning_rate: float = 0.005
    """Step size of Adam."""

    regularization: float = 1e-4
    """Weight of the squared length of a batch's vectors before propagation, for each purchase."""

    batch_purchases: int = 4096
    """Purchases in one step, each against one product she did not buy."""

    epochs: int = 60
    """Passes over the purchases."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return "LightGCN"

    @property
    def random(self) -> bool:
        """The vectors' start and the batches are drawn."""
        return True

    @property
    def space(self) -> Space:
        """What the paper searched, and longer or shorter training."""
        return {
            "dimension": Range(32.0, 128.0, log=True, whole=True),
            "layers": Range(1.0, 4.0, whole=True),
            "learning_rate": Range(0.0005, 0.02, log=True),
            "regularization": Range(1e-6, 1e-1, log=True),
            "epochs": Range(10.0, 200.0, log=True, whole=True),
        }

    @freed_memory_kept()
    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the propagated vectors after the last pass."""
        bought = task.bought
        num_users, num_products = bought.shape
        graph = bipartite(bought)
        edges = as_tensor(graph, content.device)
        rng = np.random.default_rng(seed)
        # The module draws its start from torch's global state, which is put back; ours is drawn from the seed.
        with torch.random.fork_rng(devices=[]):
            module = LightGCNModule(num_users + num_products, self.dimension, self.layers, normalize=False)
        torch.nn.init.xavier_uniform_(module.embedding.weight, generator=torch.Generator().manual_seed(seed))
        module = module.to(content.device)
        optimizer = torch.optim.Adam(module.parameters(), lr=self.learning_rate, fused=True)
        for _ in tqdm(range(self.epochs), desc=self.name, unit="epoch", disable=None):
            for batch in pairwise_batches(bought, batch_purchases=self.batch_purchases, rng=rng):
                self._step(module, edges, _Chosen.of(batch.ravel(), graph, content.device), optimizer)
        with torch.no_grad():
            vectors = module.get_embedding(edges).cpu().numpy()
        return Factors(self.name, vectors[:num_users], vectors[num_users:], task.history)

    def _step(self, module: LightGCNModule, edges: Tensor, chosen: _Chosen, optimizer: torch.optim.Optimizer) -> None:
        """Move the vectors so that each user's bought product comes before the other one.

        What is asked for are users, then as many bought products, then as many others.
        """
        own = module.embedding.weight
        user, wanted, other = _Spread.apply(own, edges, self.layers, chosen).view(3, -1, self.dimension)
        better, worse = ((user * product).sum(1) for product in (wanted, other))
        loss = module.recommendation_loss(
            better, worse, node_id=chosen.nodes[chosen.place], lambda_reg=self.regularization
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bipartite(bought: sparse.csr_array) -> sparse.csr_array:
    """Return D^-½ A D^-½ of the graph of users, then products (He et al. 2020, equation 7)."""
    adjacency = sparse.block_array([[None, bought], [bought.T, None]], format="csr")
    root = sparse.diags_array(np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1.0) ** -0.5)
    return sparse.csr_array(root @ adjacency @ root)


def pairwise_batches(
    bought: sparse.csr_array, *, batch_purchases: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, "3 batch"]]:
    """Yield all purchases once, in chance order: nodes of users, their products, and products they did not buy.

    Nodes are users, then products. A user who bought everything has no other product and is left out.
    """
    num_users, num_products = bought.shape
    counts = np.diff(bought.indptr)
    users = np.repeat(np.arange(num_users), counts)
    pairs = np.sort(users * num_products + bought.indices)
    order = rng.permutation(np.flatnonzero(counts[users] < num_products))
    for start in range(0, len(order), batch_purchases):
        chosen = order[start : start + batch_purchases]
        others = rng.integers(num_products, size=len(chosen))
        again = np.arange(len(chosen))
        while len(again):
            asked = users[chosen[again]] * num_products + others[again]
            again = again[pairs[np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)] == asked]
            others[again] = rng.integers(num_products, size=len(again))
        yield np.stack([users[chosen], num_users + bought.indices[chosen], num_users + others]).astype(np.int64)
