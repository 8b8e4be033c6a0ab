"""Runs the whole line on made-up shops of growing size: seconds and peak memory of each step, and of each purchase.

``python -m benchmarks.scale --sizes 1 5 20``: millions of purchases, a twentieth as many users, a hundredth as many
products. The closed form has the same settings and support everywhere, so that no size is searched longer or solved in
another way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from loaders.errors import InputError, run_command

SETTINGS = {"closed_form.support": 64, "closed_form.ridge": 20.0, "closed_form.row_power": 0.0}


@dataclass(frozen=True)
class ScaleConfig:
    """What to run."""

    folder: str = "runs/scale"
    """Folder for the shops, stores and runs; it needs about a gigabyte for each million purchases."""

    sizes: tuple[float, ...] = (1.0, 5.0)
    """Millions of purchases."""

    users_per_purchase: float = 0.05
    """Users for each purchase."""

    products_per_purchase: float = 0.01
    """Products for each purchase."""

    train: tuple[str, ...] = ("--networks", "never", "--k", "10")
    """Arguments of gnn.train, which writes that many recommendations a user to the graph too."""

    k: int = 100
    """Products of each user in the export."""

    seed: int = 0
    """Of the shops."""


@dataclass(frozen=True)
class Step:
    """What a command took."""

    name: str
    seconds: float
    """By the clock."""

    of_processor: float
    """Seconds of all cores: what other jobs of the machine hardly change."""

    peak_mb: float


def run_line(config: ScaleConfig, *, millions: float) -> list[Step]:
    """Make the shop of this size and run load, train and export, each in a process of its own."""
    folder = Path(config.folder) / f"{millions:g}m"
    purchases = int(millions * 1e6)
    shop, store = f"{folder}/shop", f"ladybug:{folder}/shop.lbug"
    size = {
        "users": int(purchases * config.users_per_purchase),
        "products": int(purchases * config.products_per_purchase),
        "purchases": purchases,
        "seed": config.seed,
    }
    arguments = [each for name, value in size.items() for each in (f"--{name}", str(value))]
    run = ("--runs", f"{folder}/runs", "--run", "large")
    (folder / "tuned").mkdir(parents=True, exist_ok=True)
    (folder / "tuned" / "tuned.json").write_text(json.dumps({"closed form": {"settings": SETTINGS}}), encoding="utf-8")
    return [
        _measured("make the shop", "benchmarks.large_shop", "--folder", shop, *arguments),
        _measured("load", "kg.load", "--shop", shop, "--store", store),
        _measured(
            "train",
            "gnn.train",
            "--shop",
            shop,
            "--store",
            store,
            *run,
            "--overwrite",
            "--tuned",
            f"{folder}/tuned",
            *config.train,
        ),
        _measured("one epoch with the sampler", "benchmarks.sampled_training", "--store", store),
        _measured("export", "gnn.export", *run, "--k", str(config.k), "--out", f"{folder}/export", "--no-to-graph"),
    ]


def _measured(name: str, module: str, *arguments: str) -> Step:
    start = time.perf_counter()
    print(f"$ python -m {module} {' '.join(arguments)}", flush=True)
    # Not subprocess.run: only wait4 tells what this one child needed.
    child = subprocess.Popen([sys.executable, "-m", module, *arguments])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise InputError(f"python -m {module} ended with code {child.returncode}; see its output above")
    step = Step(name, time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    print(f"{name}: {step.seconds:,.0f} s, {step.of_processor:,.0f} s of the processor, {step.peak_mb:,.0f} MB")
    return step


def scale(config: ScaleConfig) -> None:
    """Print the table."""
    if not config.sizes or min(config.sizes) <= 0:
        raise InputError(f"sizes are {config.sizes}; give one or more numbers above 0")
    lines = {millions: run_line(config, millions=millions) for millions in config.sizes}
    first = min(lines)
    head = ("purchases", "step", "s", "s of the processor", "of it a million", "times the smallest shop's", "peak MB")
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for millions, steps in lines.items():
        for step, base in zip(steps, lines[first], strict=True):
            each, of_first = step.of_processor / millions, base.of_processor / first
            cells = (f"{step.seconds:,.0f}", f"{step.of_processor:,.0f}", f"{each:.1f}", f"{each / of_first:.2f}")
            print(f"| {millions:g} M | {step.name} | {' | '.join(cells)} | {step.peak_mb:,.0f} |", flush=True)


def main() -> None:
    """Run the command line."""
    scale(tyro.cli(ScaleConfig, prog="python -m benchmarks.scale", description=__doc__))


if __name__ == "__main__":
    run_command(main)
