"""A small training for tests of what comes after it: without networks, of the made-up shop."""

from __future__ import annotations

from pathlib import Path

from gnn.config import TrainConfig
from gnn.train import train


def trained(folder: Path, *, k: int) -> Path:
    """Train in ``folder`` and return it: ``runs`` has the run ``synthetic``, ``s.lbug`` is its store."""
    train(
        TrainConfig(
            shop="synthetic",
            networks="never",
            k=k,
            runs=str(folder / "runs"),
            store=f"ladybug:{folder / 's.lbug'}",
            cache=str(folder / "text"),
        )
    )
    return folder
