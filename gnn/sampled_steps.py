"""Trains a message-passing network on sampled neighbourhoods: a step reads what lies around some users' products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData

from gnn.config import NetworkConfig
from gnn.csr import CompressedGraph
from gnn.distributed import num_processes, own_number
from gnn.draws import ALL
from gnn.layer_wise import layer_wise_vectors
from gnn.losses import sampled_product_loss
from gnn.message_passing import REVERSED, MessagePassingNetwork
from gnn.mini_batches import node_batches
from gnn.network import BOUGHT, as_tensor
from gnn.sampler import NeighbourSampler


@dataclass(frozen=True)
class SampledBatch:
    """What is drawn for a step."""

    users: Int[np.ndarray, " users"]
    hidden: Bool[np.ndarray, " pairs"]
    """Which of the pairs of these users, in the order of the history, are hidden."""
    drawn: Int[np.ndarray, " negatives"]
    seed: int
    """Of its neighbourhoods: a small shop's steps have the same products, and would else have the same neighbours."""


@dataclass(frozen=True)
class SampledSteps:
    """The losses of a pass: those of the full graph, with sampled neighbours and sampled products to rank among."""

    data: HeteroData
    sampler: NeighbourSampler
    """Of the graph of ``data``; each step has a seed of its own."""

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
        config: NetworkConfig,
        batch_users: int,
    ) -> SampledSteps:
        """Return the steps over ``data`` that the settings ask for."""
        sampler = NeighbourSampler(CompressedGraph.of(data), config.num_neighbors)
        return cls(data, sampler, history, config.hidden_share, batch_users, config.negatives)

    @property
    def in_words(self) -> str:
        """Over what the steps go, for the report."""
        counts = "-".join("all" if count == ALL else str(count) for count in self.sampler.fan_outs[BOUGHT])
        return f"over neighbourhoods sampled by {self.sampler.ran}, {counts} along each edge type"

    def batches(self, rng: np.random.Generator) -> Iterator[SampledBatch]:
        """Yield what is drawn for each step of one pass over the users."""
        num_users, num_products = self.history.shape
        order = rng.permutation(num_users)
        for start in range(0, num_users, self.batch_users):
            users = np.sort(order[start : start + self.batch_users])
            pairs = int(np.diff(self.history.indptr)[users].sum())
            hidden, drawn = rng.random(pairs) < self.hidden_share, rng.permutation(num_products)[: self.negatives]
            yield SampledBatch(users, hidden, drawn, seed=int(rng.integers(2**63)))

    def vectors(self, network: MessagePassingNetwork) -> tuple[Tensor, Tensor]:
        """Return queries and keys of all products by all their neighbours, layer by layer; no step of training."""
        return layer_wise_vectors(network, self.sampler.graph)

    def losses(self, network: MessagePassingNetwork, batch: SampledBatch, *, parts: int = 1) -> Iterator[Tensor]:
        """Yield the parts of a step's loss, which is their sum; memory depends on the size of a part alone.

        A part has some of the users, their share of the mean over all that is hidden, and a neighbourhood of its own:
        with all neighbours and no dropout the sum is the loss of the step in one, else another estimate of the same.
        Of several processes each has so many parts, and the sum is over all of them.
        """
        parts *= num_processes()
        own = cast(sparse.csr_array, self.history[batch.users])
        user = np.repeat(np.arange(len(batch.users)), np.diff(own.indptr))
        away = (batch.users[user[batch.hidden]], own.indices[batch.hidden])
        roots = np.sqrt(np.bincount(user[batch.hidden], minlength=len(batch.users)))
        for part in range(own_number(), parts, num_processes()):
            # By the step and not by what was drawn before, which differs between processes.
            network.rng.manual_seed((batch.seed + part) % 2**63)
            share = roots[part::parts].sum()
            if share:
                hidden = batch.hidden[user % parts == part]
                smaller = replace(batch, users=batch.users[part::parts], hidden=hidden)
                yield self._loss(network, smaller, away) * float(share / roots.sum())
        # What rounds the tables after it has to be the same in all processes too.
        network.rng.manual_seed((batch.seed + parts) % 2**63)

    def _loss(
        self,
        network: MessagePassingNetwork,
        batch: SampledBatch,
        away: tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]],
    ) -> Tensor:
        """Return the mean over what is hidden of these users; ``away`` are users and products of all that is."""
        users, hidden, drawn = batch.users, batch.hidden, batch.drawn
        own = cast(sparse.csr_array, self.history[users])
        num_products = own.shape[1]
        user = np.repeat(np.arange(len(users)), np.diff(own.indptr))
        seeds = np.unique(np.concatenate([own.indices, drawn]))
        places = np.searchsorted(seeds, own.indices)
        pairs = torch.from_numpy(np.stack([user, places]).astype(np.int64)).to(network.device)
        known, wanted = pairs[:, torch.from_numpy(~hidden)], pairs[:, torch.from_numpy(hidden)]
        around = self._neighbourhood(seeds, hidden_users=away[0], hidden_products=away[1], seed=batch.seed)
        queries, keys = network.of_batch(around.to(network.device))
        weights = sparse.csr_array(
            (own.data[~hidden], (user[~hidden], places[~hidden])), shape=(len(users), len(seeds))
        )
        profile = as_tensor(weights, network.device) @ queries[: len(seeds)]
        on_device = torch.from_numpy(seeds).to(network.device)
        return sampled_product_loss(
            *network.factors(profile, keys[: len(seeds)], products=on_device),
            known=known,
            wanted=wanted,
            drawn=torch.from_numpy(np.searchsorted(seeds, drawn)).to(network.device),
            num_products=num_products,
        )

    def _neighbourhood(
        self,
        seeds: Int[np.ndarray, " seeds"],
        *,
        hidden_users: Int[np.ndarray, " pairs"],
        hidden_products: Int[np.ndarray, " pairs"],
        seed: int,
    ) -> HeteroData:
        """Return what was sampled around products, without the hidden purchases: nobody is predicted from her own."""
        nodes = ("product", torch.from_numpy(seeds.astype(np.int64)))
        sampler = replace(self.sampler, seed=seed)
        batch = next(iter(node_batches(self.data, sampler, seeds=nodes, batch_size=len(seeds))))
        num_products = self.history.shape[1]
        hidden = torch.from_numpy(hidden_users.astype(np.int64) * num_products + hidden_products)
        # Of a large shop few of the sampled users are in this step: their edges alone are looked for in what is hidden.
        is_theirs = torch.isin(batch["user"].n_id, torch.from_numpy(np.unique(hidden_users)))
        for edge_type in (BOUGHT, REVERSED):
            pairs = batch[edge_type].edge_index
            ends = {edge_type[0]: pairs[0], edge_type[2]: pairs[1]}
            asked = torch.nonzero(is_theirs[ends["user"]]).squeeze(1)
            user, product = (batch[label].n_id[ends[label][asked]] for label in ("user", "product"))
            kept = torch.ones(pairs.shape[1], dtype=torch.bool)
            kept[asked[torch.isin(user * num_products + product, hidden)]] = False
            batch[edge_type].edge_index = pairs[:, kept]
        return batch
