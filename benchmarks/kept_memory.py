"""Measures what it brings that trainings keep freed memory: ``python -m benchmarks.kept_memory --shop amazon-beauty``.

Each training makes a pass with freed memory kept for its next step and one with it given back at once, in turns.
Seconds are those of the processor, the program's own and the kernel's, whose work it is to give new pages.
"""

from __future__ import annotations

import inspect
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import tyro

from gnn.config import NetworkConfig
from gnn.factors import LightGCN
from gnn.fit import fit_network
from gnn.hetero import hetero_data
from gnn.prepare import Prepared, ShopConfig, prepare
from loaders.errors import InputError, run_command

LIGHT_GCN = LightGCN(dimension=99, epochs=1)
"""As wide as a search on Amazon Beauty made it."""


@dataclass(frozen=True)
class KeptMemory(ShopConfig):
    """What to train on."""

    rounds: int = 3
    """Times that each training is made each way."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 1:
            raise InputError(f"rounds is {self.rounds}; give 1 or more")


def kept_memory(config: KeptMemory) -> Iterator[str]:
    """Yield the table's lines: medians over the rounds."""
    prepared = prepare(config)
    yield "| training, one pass | freed memory | own s | kernel's s | whole / kept |\n|---|---|---:|---:|---:|"
    for name, ways in trainings(prepared).items():
        # Rounds × ways × (own, kernel's).
        spent = np.array([[seconds_of(way) for way in ways.values()] for _ in range(config.rounds)])
        medians = np.median(spent, axis=0)
        ratio = np.median(spent.sum(axis=2) / spent[:, :1].sum(axis=2), axis=0)
        for way, (own, kernel), times in zip(ways, medians, ratio, strict=True):
            yield f"| {name} | {way} | {own:.2f} | {kernel:.2f} | {times:.2f} |"


def trainings(prepared: Prepared) -> dict[str, dict[str, Callable[[], object]]]:
    """Return each training both ways; that which gives back is the same function without its decorator."""
    task, content = prepared.validation_task(), prepared.content
    data = hetero_data(content.graph, past=task.known, products=task.products, text=content.text[task.products])
    network = partial(fit_network, config=NetworkConfig(), device=content.device, seed=0, epochs=1)
    kept = {
        "LightGCN": partial(LightGCN.fit, LIGHT_GCN, task, content, seed=0),
        "graph network": partial(network, data, task.history),
    }
    return {
        name: {"kept": fit, "given back": partial(inspect.unwrap(fit.func), *fit.args, **fit.keywords)}
        for name, fit in kept.items()
    }


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of the processor that the work takes, the program's own and the kernel's."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def main() -> None:
    """Run the command line."""
    for line in kept_memory(tyro.cli(KeptMemory, prog="python -m benchmarks.kept_memory", description=__doc__)):
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
