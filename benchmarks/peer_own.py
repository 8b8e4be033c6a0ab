"""Fits our graph network on the same task as the peers, in a process of its own like theirs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from peer_process import answer, question
from peers import PeersConfig, load

from gnn.checkpoint import Checkpoint
from gnn.config import NetworkConfig, SplitConfig
from gnn.fit import fit_network
from gnn.hetero import hetero_data
from gnn.network_alone import NetworkAlone
from gnn.ranking import rank
from gnn.text import encode_texts


def main() -> None:
    """Fit, rank, write."""
    asked = question()
    values = json.loads((asked.folder / "config.json").read_text(encoding="utf-8"))
    config = PeersConfig(**{**values, "library": (), "model": (), "split": SplitConfig(**values["split"])})
    torch.set_num_threads(asked.threads)
    graph, task = load(config)
    text = encode_texts(
        graph.products["text"].to_list(), folder=None, cache=Path(config.cache), device=torch.device("cpu")
    )
    data = hetero_data(graph, past=task.known, products=task.products, text=text[task.products])
    start, start_cpu = time.perf_counter(), time.process_time()
    ends: list[tuple[float, float]] = []
    fitted = fit_network(
        data,
        task.history,
        config=NetworkConfig(dimension=config.dimension),
        device=torch.device("cpu"),
        seed=config.seed,
        epochs=config.epochs,
        checkpoint=Checkpoint(
            "graph network", record=lambda _: ends.append((time.perf_counter(), time.process_time()))
        ),
    )
    seconds = time.perf_counter() - start
    ranked = rank(NetworkAlone("graph network", task.history, fitted), seen=task.seen, k=asked.k)
    users = np.flatnonzero(np.diff(task.history.indptr))
    answer(
        asked.out,
        users=users.tolist(),
        products=ranked.products[users].tolist(),
        seconds=seconds,
        epoch_seconds=(ends[-1][0] - start) / len(ends),
        epoch_cpu=(ends[-1][1] - start_cpu) / len(ends),
    )


if __name__ == "__main__":
    main()
