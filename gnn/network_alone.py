"""The graph network as a recommender of its own, without the closed form: linear, SAGE or HGT."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from gnn.config import NetworkConfig
from gnn.fit import FittedNetwork, fit_network
from gnn.hetero import hetero_data
from gnn.model import Content, Range, Space
from gnn.ranking import Recommender
from gnn.task import Task

NAMES = {"linear": "graph network alone", "sage": "GraphSAGE", "hgt": "HGT"}


@dataclass(frozen=True)
class NetworkAlone:
    """The graph network's own scores, as it was trained."""

    name: str
    history: sparse.csr_array
    fitted: FittedNetwork

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        """Return cos(Σ a(u, j) q(j), k(i)) / temperature + popularity(i)."""
        profile = self.history[users] @ self.fitted.queries.astype(np.float64)
        length = np.linalg.norm(profile, axis=1, keepdims=True)
        near = (profile / np.where(length > 0, length, 1.0)) @ self.fitted.keys.T.astype(np.float64)
        scores: np.ndarray = near / self.fitted.temperature + self.fitted.popularity
        return scores


@dataclass(frozen=True)
class GraphNetworkAlone:
    """A graph network trained to predict hidden purchases, and nothing else."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Its settings; how long it is trained at the most and when it is looked at are not used here."""

    epochs: int = 15
    """Passes over the users."""

    @property
    def name(self) -> str:
        """What result tables call it."""
        return NAMES[self.network.kind]

    @property
    def random(self) -> bool:
        """The weights' start and what is hidden are drawn."""
        return True

    @property
    def space(self) -> Space:
        """One to three steps over the graph, longer or shorter training."""
        return {
            "network.dimension": Range(32.0, 128.0, log=True, whole=True),
            "network.layers": Range(1.0, 3.0, whole=True),
            "network.learning_rate": Range(0.001, 0.03, log=True),
            "network.identity_dropout": Range(0.0, 0.9),
            "network.temperature": Range(0.03, 0.3, log=True),
            "network.hidden_share": Range(0.1, 0.7),
            "epochs": Range(4.0, 60.0, log=True, whole=True),
        }

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        """Return the network after the last pass."""
        data = hetero_data(content.graph, past=task.known, products=task.products, text=content.text[task.products])
        fitted = fit_network(
            data, task.history, config=self.network, device=content.device, seed=seed, epochs=self.epochs
        )
        return NetworkAlone(self.name, task.history, fitted)
