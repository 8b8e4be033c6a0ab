"""Measures what it brings that trainings keep freed memory: ``python -m benchmarks.kept_memory --shop amazon-beauty``.

Each model is fitted to the past with freed memory kept for a training's next step, and with it given back at once, each
time in a process of its own. Seconds are those of the processor, the program's own and the kernel's, whose work it is
to give new pages.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import tyro

import gnn.memory
from gnn.cartograph import Cartograph
from gnn.config import NetworkConfig
from gnn.cost import costed
from gnn.factors import LightGCN
from gnn.model import Model
from gnn.network_alone import GraphNetworkAlone
from gnn.prepare import ShopConfig, prepare
from loaders.errors import InputError, run_command

MODELS: dict[str, Model] = {
    # As wide as a search on Amazon Beauty made it.
    "LightGCN, 5 passes": LightGCN(dimension=99, epochs=5),
    "graph network, 5 passes": GraphNetworkAlone(NetworkConfig(), epochs=5),
    "Cartograph, all": Cartograph(),
}

KEPT, GIVEN_BACK = "kept", "given back"


@dataclass(frozen=True)
class KeptMemory(ShopConfig):
    """What to train on."""

    model: tuple[str, ...] = tuple(MODELS)
    """Which of the trainings."""

    rounds: int = 1
    """Times that each is made each way."""

    threads: int = 1
    """Threads of a fit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 1:
            raise InputError(f"rounds is {self.rounds}; give 1 or more")
        for name in self.model:
            if name not in MODELS:
                raise InputError(f"there is no training {name!r}; there are: {'; '.join(MODELS)}")


def kept_memory(config: KeptMemory) -> Iterator[str]:
    """Yield the table's lines: medians over the rounds."""
    # Encoded once, and kept in the cache.
    _ = prepare(config).content.text
    yield "| training | freed memory | own s | kernel's s | peak MB |\n|---|---|---:|---:|---:|"
    for name in config.model:
        spent: dict[str, list[tuple[float, float, float]]] = {KEPT: [], GIVEN_BACK: []}
        for _ in range(config.rounds):
            for way, found in spent.items():
                context = multiprocessing.get_context("spawn")
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    found.append(pool.submit(measured, config, name, way).result())
        for way, found in spent.items():
            own, kernel, peak = np.median(found, axis=0)
            yield f"| {name} | {way} | {own:.1f} | {kernel:.1f} | {peak:,.0f} |"


def measured(config: KeptMemory, name: str, way: str) -> tuple[float, float, float]:
    """Return the seconds that a fit takes, own and the kernel's, and the most memory of the process in it."""
    if way == GIVEN_BACK:
        gnn.memory.LARGEST_KEPT, gnn.memory.MOST_KEPT = gnn.memory.LARGE, gnn.memory.LEAST_KEPT
    torch.set_num_threads(config.threads)
    prepared = prepare(config)
    task, content = prepared.validation_task(), prepared.content
    model = MODELS[name]
    if isinstance(model, Cartograph):
        model = model.for_graph(prepared.graph, timed=content.times_known)
    content.features(task)
    before = resource.getrusage(resource.RUSAGE_SELF)
    with costed() as cost:
        model.fit(task, content, seed=config.seed)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, cost.memory_mb


def main() -> None:
    """Run the command line."""
    for line in kept_memory(tyro.cli(KeptMemory, prog="python -m benchmarks.kept_memory", description=__doc__)):
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
