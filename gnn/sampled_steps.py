"""Trains a message-passing network on sampled neighbourhoods: a step reads what lies around some users' products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Int
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData

from gnn.csr import CompressedGraph
from gnn.losses import sampled_product_loss
from gnn.message_passing import REVERSED, MessagePassingNetwork
from gnn.mini_batches import node_batches
from gnn.network import BOUGHT, as_tensor
from gnn.sampler import NeighbourSampler


@dataclass(frozen=True)
class SampledSteps:
    """The losses of a pass: those of the full graph, with sampled neighbours and sampled products to rank among."""

    data: HeteroData
    sampler: NeighbourSampler
    """Of the graph of ``data``."""

    history: sparse.csr_array
    """The weights a(u, j), users × products; its pairs are the purchases in ``data``."""

    hidden_share: float
    """Part of each user's products that is hidden from her, and from the neighbourhoods, and has to be predicted."""

    batch_users: int
    negatives: int
    """Products drawn in each step, all equally likely, that stand for all that a wanted one has to outrank."""

    @classmethod
    def over(
        cls,
        data: HeteroData,
        history: sparse.csr_array,
        *,
        num_neighbors: tuple[int, ...],
        hidden_share: float,
        batch_users: int,
        negatives: int,
        seed: int,
    ) -> SampledSteps:
        """Return the steps over ``data`` that draw so many neighbours, hop by hop, along each edge type."""
        sampler = NeighbourSampler(CompressedGraph.of(data), num_neighbors, seed=seed)
        return cls(data, sampler, history, hidden_share, batch_users, negatives)

    def losses(self, network: MessagePassingNetwork, rng: np.random.Generator) -> Iterator[Tensor]:
        """Yield the loss of each step of one pass over the users; memory depends on the step's size alone."""
        order = rng.permutation(self.history.shape[0])
        for start in range(0, len(order), self.batch_users):
            loss = self._loss(network, np.sort(order[start : start + self.batch_users]), rng)
            if loss is not None:
                yield loss

    def _loss(
        self, network: MessagePassingNetwork, users: Int[np.ndarray, " users"], rng: np.random.Generator
    ) -> Tensor | None:
        own = cast(sparse.csr_array, self.history[users])
        num_products = own.shape[1]
        hidden = rng.random(own.nnz) < self.hidden_share
        user = np.repeat(np.arange(len(users)), np.diff(own.indptr))
        drawn = rng.permutation(num_products)[: self.negatives]
        if not hidden.any():
            return None
        seeds = np.unique(np.concatenate([own.indices, drawn]))
        places = np.searchsorted(seeds, own.indices)
        pairs = torch.from_numpy(np.stack([user, places]).astype(np.int64)).to(network.identity.device)
        known, wanted = pairs[:, torch.from_numpy(~hidden)], pairs[:, torch.from_numpy(hidden)]
        batch = self._neighbourhood(seeds, hidden_users=users[user[hidden]], hidden_products=own.indices[hidden])
        queries, keys = network.of_batch(batch.to(network.identity.device))
        weights = sparse.csr_array(
            (own.data[~hidden], (user[~hidden], places[~hidden])), shape=(len(users), len(seeds))
        )
        profile = as_tensor(weights, network.identity.device) @ queries[: len(seeds)]
        chosen = torch.from_numpy(seeds).to(network.identity.device)
        return sampled_product_loss(
            network.scores(profile, keys[: len(seeds)], products=chosen),
            known=known,
            wanted=wanted,
            drawn=torch.from_numpy(np.searchsorted(seeds, drawn)).to(network.identity.device),
            num_products=num_products,
        )

    def _neighbourhood(
        self,
        seeds: Int[np.ndarray, " seeds"],
        *,
        hidden_users: Int[np.ndarray, " pairs"],
        hidden_products: Int[np.ndarray, " pairs"],
    ) -> HeteroData:
        """Return what was sampled around products, without the hidden purchases: nobody is predicted from her own."""
        nodes = ("product", torch.from_numpy(seeds.astype(np.int64)))
        batch = next(iter(node_batches(self.data, self.sampler, seeds=nodes, batch_size=len(seeds))))
        num_products = self.history.shape[1]
        hidden = torch.from_numpy(hidden_users.astype(np.int64) * num_products + hidden_products)
        for edge_type in (BOUGHT, REVERSED):
            pairs = batch[edge_type].edge_index
            ends = {edge_type[0]: pairs[0], edge_type[2]: pairs[1]}
            place = batch["user"].n_id[ends["user"]] * num_products + batch["product"].n_id[ends["product"]]
            batch[edge_type].edge_index = pairs[:, ~torch.isin(place, hidden)]
        return batch
