"""Trains the graph network: hides part of each user's products and learns to predict them from the rest."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData
from tqdm import tqdm

from gnn.checkpoint import Best, Checkpoint, Training
from gnn.config import NetworkConfig
from gnn.distributed import num_processes, own_share
from gnn.losses import hidden_product_loss, require_finite
from gnn.memory import freed_memory_kept
from gnn.message_passing import MessagePassingNetwork
from gnn.network import (
    BOUGHT,
    MemoryOptions,
    ProductNetwork,
    QueryKeyNetwork,
    Relation,
    adjacency,
    as_tensor,
    product_relations,
)
from gnn.sampled_steps import SampledSteps
from gnn.tables import RoundedAdam
from loaders.errors import InputError


@dataclass(frozen=True)
class FittedNetwork:
    """What training leaves: the vectors of the products, and what they were made with."""

    queries: Float[np.ndarray, "products dimension"]
    keys: Float[np.ndarray, "products dimension"]
    """Unit length."""

    temperature: float
    weights: dict[str, Tensor]
    """The network's parameters, on the CPU."""

    epochs: int
    """Passes over the users that made these weights."""

    propagated: str = "over the full graph"
    """Over what the steps of its training went."""

    @property
    def popularity(self) -> Float[np.ndarray, " products"]:
        """What the network adds to every score of a product."""
        popularity: np.ndarray = self.weights["popularity"].numpy()
        return popularity


LEAST_STEPS = 8
"""Steps of a pass at the least: batches are smaller where users are few."""

Validate = Callable[[FittedNetwork], float]
"""NDCG@10 of a network on purchases it does not know."""

NOT_KEPT = Checkpoint("graph network")


@freed_memory_kept()
def fit_network(
    data: HeteroData,
    history: sparse.csr_array,
    *,
    config: NetworkConfig,
    device: torch.device,
    seed: int,
    epochs: int,
    validate: Validate | None = None,
    checkpoint: Checkpoint = NOT_KEPT,
) -> FittedNetwork:
    """Train for ``epochs`` passes, or stop early where what ``validate`` says no longer rises.

    ``history`` holds the weights a(u, j), users × products; its pairs are the purchases in ``data``.
    """
    network = make_network(data, config, device=device, seed=seed)
    bought = adjacency(data, BOUGHT)
    sampled = _sampled_steps(data, history, config=config)
    propagate = (
        partial(sampled.vectors, cast(MessagePassingNetwork, network))
        if sampled
        else partial(network, Relation.of(bought, device))
    )
    training = Training(
        network,
        _optimizers(network, config),
        rng=np.random.default_rng(seed),
        dropout=network.rng,
        checkpoint=checkpoint,
    )
    best = training.best or Best(-np.inf, 0, copy.deepcopy(network.state_dict()))
    patience = config.patience * config.evaluate_every
    with tqdm(total=epochs, initial=training.epoch, desc="graph network", unit="epoch", disable=None) as progress:
        while training.epoch < epochs and (validate is None or training.epoch - best.epoch < patience):
            if sampled:
                _make_sampled_pass(training, network, sampled, config=config)
            else:
                _make_pass(training, network, bought, history, config=config)
            epoch, ndcg = training.epoch + 1, None
            if validate and (epoch % config.evaluate_every == 0 or epoch == epochs):
                ndcg = validate(_fitted(network, propagate, epochs=epoch))
                if ndcg > best.score:
                    training.best = best = Best(ndcg, epoch, copy.deepcopy(network.state_dict()))
            loss = training.end_pass(ndcg).loss
            progress.set_postfix(loss=f"{loss:.3f}", ndcg=f"{ndcg or 0:.4f}")
            progress.update()
    if validate is not None:
        network.load_state_dict(best.weights)
    fitted = _fitted(network, propagate, epochs=epochs if validate is None else best.epoch)
    return replace(fitted, propagated=sampled.in_words) if sampled else fitted


def _sampled_steps(data: HeteroData, history: sparse.csr_array, *, config: NetworkConfig) -> SampledSteps | None:
    """Return the steps over sampled neighbourhoods where the settings ask for them."""
    if not config.num_neighbors:
        return None
    if num_processes() > 1 and config.table != "float32":
        raise InputError(
            f"--network.table {config.table} is for one process and there are {num_processes()}; leave it out, or "
            "torchrun"
        )
    return SampledSteps.over(data, history, config=config, batch_users=_batch_users(history, config))


def _batch_users(bought: sparse.csr_array, config: NetworkConfig) -> int:
    return int(np.clip(bought.shape[0] // LEAST_STEPS, 1, config.batch_users))


def _make_sampled_pass(
    training: Training, network: ProductNetwork, steps: SampledSteps, *, config: NetworkConfig
) -> None:
    """Make one pass over the users on sampled neighbourhoods, or the rest of one that has begun."""
    for batch in training.batches(steps.batches(training.rng)):
        if batch.hidden.any():
            losses = steps.losses(cast(MessagePassingNetwork, network), batch, parts=config.accumulate)
            require_finite(training.step(losses), "--network.learning-rate", config.learning_rate)


def _optimizers(network: ProductNetwork, config: NetworkConfig) -> list[torch.optim.Optimizer]:
    apart = network.tables
    rest = [each for each in network.parameters() if all(each is not table for table in apart)]
    dense = torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=0.0, fused=True)
    if not apart:
        return [dense]
    if config.table == "cpu":
        return [dense, torch.optim.SparseAdam(apart, lr=config.learning_rate)]
    return [dense, RoundedAdam(apart, lr=config.learning_rate, rng=network.rng)]


def make_network(data: HeteroData, config: NetworkConfig, *, device: torch.device, seed: int) -> ProductNetwork:
    """Return an untrained network for the products and relations of ``data``."""
    memory = MemoryOptions(
        bfloat16=config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda"),
        recompute=config.recompute,
        table=config.table,
    )
    if config.kind != "linear":
        network: ProductNetwork = MessagePassingNetwork(
            data,
            kind=config.kind,
            dimension=config.dimension,
            layers=config.layers,
            temperature=config.temperature,
            device=device,
            identity_dropout=config.identity_dropout,
            seed=seed,
            memory=memory,
        )
    else:
        links = {relation for source, relation, target in data.edge_types if source == target == "product"}
        network = QueryKeyNetwork(
            data["product"].x,
            relations=product_relations(data, device),
            one_hop=frozenset(relation for relation in links if not relation.startswith("rev_")),
            dimension=config.dimension,
            layers=config.layers,
            temperature=config.temperature,
            identity_dropout=config.identity_dropout,
            rng=torch.Generator().manual_seed(seed),
            memory=memory,
        )
    network.to_device(device)
    return network


def _fitted(network: ProductNetwork, propagate: Callable[[], tuple[Tensor, Tensor]], *, epochs: int) -> FittedNetwork:
    """Return what the network has learned so far; ``propagate`` gives its queries and keys."""
    network.eval()
    with torch.no_grad():
        queries, keys = propagate()
    network.train()
    return FittedNetwork(
        queries=queries.cpu().numpy(),
        keys=keys.cpu().numpy(),
        temperature=network.log_temperature.detach().exp().item(),
        weights={name: value.detach().cpu().clone() for name, value in network.state_dict().items()},
        epochs=epochs,
    )


def _make_pass(
    training: Training,
    network: ProductNetwork,
    bought: sparse.csr_array,
    history: sparse.csr_array,
    *,
    config: NetworkConfig,
) -> None:
    """Make one pass over the users, or the rest of one that has begun."""
    batch_users = _batch_users(bought, config)
    drawn = hide_purchases(bought, share=config.hidden_share, batch_users=batch_users, rng=training.rng)
    for users, hidden in training.batches(drawn):
        vectors = network(Relation.of(without(bought, hidden), network.device))
        if hidden.any():
            losses = _losses(network, vectors, bought, history, users=users, hidden=hidden, parts=config.accumulate)
            require_finite(training.step(losses), "--network.learning-rate", config.learning_rate)


def _losses(
    network: ProductNetwork,
    vectors: tuple[Tensor, Tensor],
    bought: sparse.csr_array,
    history: sparse.csr_array,
    *,
    users: Int[np.ndarray, " users"],
    hidden: Bool[np.ndarray, " pairs"],
    parts: int,
) -> Iterator[Tensor]:
    """Yield the loss of a step in parts whose sum it is; ``vectors`` are the queries and the keys of all products."""
    rest, wanted = without(bought, hidden), only(bought, hidden)
    rest_history = without(history, hidden)
    whole = np.sqrt(np.diff(wanted.indptr)[users]).sum()
    # The gradients of the parts end at the vectors, and are propagated back once.
    queries, keys = (each.detach().requires_grad_() for each in vectors)
    for part in range(parts):
        # Each part, and of several processes each, has its share of the users, and of the mean over all that is wanted.
        own = own_share(users)[part::parts]
        wanting = own[np.diff(wanted.indptr)[own] > 0]
        if len(wanting):
            profile = as_tensor(rest_history[wanting], network.device) @ queries
            yield hidden_product_loss(
                *network.factors(profile, keys),
                known=_pairs(rest[wanting].tocoo(), network.device),
                wanted=_pairs(wanted[wanting].tocoo(), network.device),
            ) * float(np.sqrt(np.diff(wanted.indptr)[wanting]).sum() / whole)
    if queries.grad is not None and keys.grad is not None:
        torch.autograd.backward(vectors, [queries.grad, keys.grad])


def hide_purchases(
    bought: sparse.csr_array, *, share: float, batch_users: int, rng: np.random.Generator
) -> Iterator[tuple[Int[np.ndarray, " users"], Bool[np.ndarray, " pairs"]]]:
    """Yield the users of each step, and which of all pairs in ``bought`` are hidden: only pairs of these users.

    What is hidden is also taken out of the propagation, so that no user is predicted from her own hidden purchases.
    """
    num_users = bought.shape[0]
    user_of = np.repeat(np.arange(num_users), np.diff(bought.indptr))
    order = rng.permutation(num_users)
    for start in range(0, num_users, batch_users):
        users = np.sort(order[start : start + batch_users])
        chosen = np.zeros(num_users, dtype=bool)
        chosen[users] = True
        yield users, chosen[user_of] & (rng.random(len(user_of)) < share)


def without(matrix: sparse.csr_array, hidden: Bool[np.ndarray, " pairs"]) -> sparse.csr_array:
    """Return ``matrix`` without the hidden pairs."""
    return only(matrix, ~hidden)


def only(matrix: sparse.csr_array, kept: Bool[np.ndarray, " pairs"]) -> sparse.csr_array:
    """Return only these pairs of ``matrix``, in the order of its stored entries."""
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape)


def _pairs(matrix: sparse.coo_array, device: torch.device) -> Int[Tensor, "2 pairs"]:
    return torch.from_numpy(np.stack([matrix.row, matrix.col]).astype(np.int64)).to(device)
