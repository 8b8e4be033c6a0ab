"""Writes down how far a training is: killed at any step it goes on from there, and ends as an undisturbed one."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gnn.distributed import any_process, own_number, sum_over_processes
from gnn.place import write_whole
from loaders.errors import StoppedError

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class EpochRecord:
    """One look at the training."""

    epoch: int
    loss: float
    validation_ndcg: float | None


Record = Callable[[str, EpochRecord], None]
"""Is told of each epoch of a fit, by the fit's name."""


@dataclass(frozen=True)
class Checkpoint:
    """The file that one fit is written down in: its state as JSON and safetensors, and what it was trained with."""

    fit: str
    """Name of the fit."""

    file: Path | None = None
    """None: nothing is written down."""

    trained_with: str = ""
    """SHA-256 of all that decides how the fit ends."""

    record: Callable[[EpochRecord], None] = lambda _epoch: None
    every_seconds: float = 30.0
    """Seconds between two writes within a pass at the least; after a pass it is always written."""

    stop_at: float = math.inf
    """Moment of ``time.monotonic`` from which on the training stops after its next step."""

    def read(self) -> dict[str, Any] | None:
        """Return the state that was written; None, and why is printed, where it is of another training or broken."""
        if self.file is None:
            return None
        try:
            with safe_open(self.file, framework="pt") as opened:
                page = opened.metadata() or {}
                # Copies: what is read would else be the file's own memory.
                tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
        except FileNotFoundError:
            return None
        except SafetensorError as error:
            print(f"{self.fit}: begins anew, the checkpoint {str(self.file)!r} is broken ({error})", flush=True)
            return None
        if page.get("trained_with") != self.trained_with:
            print(
                f"{self.fit}: begins anew, the checkpoint {str(self.file)!r} is of other settings, another graph or "
                "another version of the program",
                flush=True,
            )
            return None
        state: dict[str, Any] = _unpacked(json.loads(page["state"]), tensors)
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Write the state in place of the one before: a killed process leaves the one or the other whole."""
        if self.file is None:
            return
        tensors: dict[str, Tensor] = {}
        page = {"trained_with": self.trained_with, "state": json.dumps(_packed(state, "", tensors))}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.file, save(tensors, metadata=page))


@dataclass(frozen=True)
class Checkpoints:
    """Where the fits of a training are written down, each in a file of its own; by default nowhere."""

    folder: Path | None = None
    trained_with: Mapping[str, Any] = field(default_factory=dict)
    """What decides how every fit ends, beside its own settings: plain values."""

    record: Record = lambda _fit, _epoch: None
    every_seconds: float = 30.0
    stop_at: float = math.inf

    def of(self, fit: str, settings: Mapping[str, Any]) -> Checkpoint:
        """Return the checkpoint of the fit of this name, made with these settings."""
        page = json.dumps({"fit": fit, "training": self.trained_with, "settings": settings}, sort_keys=True)
        return Checkpoint(
            fit,
            self.folder / f"{re.sub(r'[^a-z0-9.]+', '-', fit.lower())}.safetensors" if self.folder else None,
            trained_with=hashlib.sha256(page.encode()).hexdigest(),
            record=partial(self.record, fit),
            every_seconds=self.every_seconds,
            stop_at=self.stop_at,
        )


@dataclass(frozen=True)
class Best:
    """The best that was seen in a training."""

    score: float
    epoch: int
    """Passes that were done."""

    weights: dict[str, Tensor]
    """The network's ``state_dict`` then."""


class Training:
    """All that changes while a network is trained, from where its checkpoint says on.

    ``rng`` draws the batches, ``dropout`` what a step leaves out of the network and how tables are rounded; no other
    chance may be used.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        *,
        rng: np.random.Generator,
        checkpoint: Checkpoint,
        schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
        dropout: torch.Generator | None = None,
    ) -> None:
        self.network, self.optimizers, self.schedule = network, optimizers, schedule
        self.rng, self.dropout, self.checkpoint = rng, dropout, checkpoint
        self.epoch = 0
        """Passes that are done."""
        self.losses: list[float] = []
        """Of the steps of the pass that has begun."""
        self.best: Best | None = None
        self._records: list[EpochRecord] = []
        self._batches = 0
        """Batches of that pass that are done."""
        self._rng_before = rng.bit_generator.state
        """What the batches of that pass are drawn from: those that are done are drawn again, and passed over."""
        self._written = time.monotonic()
        state = checkpoint.read()
        if state is not None:
            self._load(state)

    def batches(self, drawn: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of a pass that are still to do; ``drawn`` are all of them, by ``rng``.

        Raise a StoppedError after the first that ends after the time limit.
        """
        self._rng_before = self.rng.bit_generator.state
        for number, batch in enumerate(drawn, start=1):
            if number <= self._batches:
                continue
            yield batch
            self._batches = number
            now = time.monotonic()
            stop = self.checkpoint.stop_at < math.inf and any_process(
                now >= self.checkpoint.stop_at, next(self.network.parameters()).device
            )
            if stop or now - self._written >= self.checkpoint.every_seconds:
                self._write()
            if stop:
                raise StoppedError(
                    f"stopped at the time limit, in {self._where()}; the same command goes on from there"
                )

    def step(self, losses: Iterable[Tensor], *, clip: float | None = None) -> float:
        """Make a step, and return the loss: the sum of its parts, in all processes; one may have none of them.

        The gradient of a part is there before the next one is asked for, so only one is in memory. ``clip`` is the
        largest norm that the gradient may have.
        """
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        own = 0.0
        for loss in losses:
            loss.backward()  # type: ignore[no-untyped-call]
            own += float(loss.detach())
            del loss
        whole = sum_over_processes(self.network, own)
        if clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        for optimizer in self.optimizers:
            optimizer.step()
        if self.schedule:
            self.schedule.step()
        self.losses.append(whole)
        return whole

    def end_pass(self, validation_ndcg: float | None) -> EpochRecord:
        """Count a pass whose batches are done, write all down, and return what is to be said of it."""
        self.epoch += 1
        epoch = EpochRecord(self.epoch, float(np.mean(self.losses)) if self.losses else math.nan, validation_ndcg)
        self._records.append(epoch)
        self.losses, self._batches, self._rng_before = [], 0, self.rng.bit_generator.state
        self._write()
        self.checkpoint.record(epoch)
        return epoch

    def _where(self) -> str:
        return f"{self.checkpoint.fit}, after pass {self.epoch}" + (
            f" and {self._batches} batches of the next" if self._batches else ""
        )

    def _write(self) -> None:
        # All processes of a training have the same state.
        if self.checkpoint.file is None or own_number():
            return
        self.checkpoint.write(
            {
                "network": self.network.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "schedule": self.schedule.state_dict() if self.schedule else None,
                "rng": self._rng_before,
                "dropout": self.dropout.get_state() if self.dropout else None,
                "epoch": self.epoch,
                "batches": self._batches,
                "losses": self.losses,
                "records": [asdict(epoch) for epoch in self._records],
                "best": vars(self.best) if self.best else None,
            }
        )
        self._written = time.monotonic()

    def _load(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.rng.bit_generator.state = self._rng_before = state["rng"]
        if self.dropout:
            self.dropout.set_state(state["dropout"])
        self.epoch, self._batches, self.losses = state["epoch"], state["batches"], state["losses"]
        self.best = Best(**state["best"]) if state["best"] else None
        self._records = [EpochRecord(**each) for each in state["records"]]
        for epoch in self._records:
            self.checkpoint.record(epoch)
        print(f"goes on from a checkpoint: {self._where()}", flush=True)


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return ``value`` as JSON can hold it, its tensors put among ``tensors`` and named in their place."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        # In pairs, for JSON would make words of the numbers that optimizers call their parameters by.
        return {"pairs": [[key, _packed(each, f"{name}/{key}", tensors)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(each, f"{name}/{place}", tensors) for place, each in enumerate(value)]
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return what :func:`_packed` was given; a tuple is a list."""
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unpacked(each, tensors) for key, each in value["pairs"]}
    return [_unpacked(each, tensors) for each in value] if isinstance(value, list) else value
