"""Divides the steps of a training among the processes that torchrun started; with one process nothing changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
from jaxtyping import Int
from torch import distributed, nn

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others. One that dies ends them all at once: torchrun sees to that."""


@contextmanager
def joined(device: torch.device) -> Iterator[int]:
    """Join the processes that torchrun started, if it did, and give this one's number; 0 does what is done once.

    They speak by gloo, on CUDA by NCCL (never run yet). Of one machine they speak over its loopback only.
    """
    if not distributed.is_torchelastic_launched():
        yield 0
        return
    if os.environ["LOCAL_WORLD_SIZE"] == os.environ["WORLD_SIZE"] and sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield own_number()
    finally:
        distributed.destroy_process_group()


def own_number() -> int:
    """Return the number of this process, from 0 on."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def num_processes() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def own_share(rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " own"]:
    """Return those of the rows that this process works on; each is some process's."""
    return rows[own_number() :: num_processes()]


def sum_over_processes(network: nn.Module, loss: float) -> float:
    """Put the sum over all processes in the place of each gradient, and return that of the losses."""
    if num_processes() == 1:
        return loss
    parameters = list(network.parameters())
    own = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    # One message for all of them.
    summed = torch.cat([*(each.flatten() for each in own), own[0].new_tensor([loss])])
    distributed.all_reduce(summed)
    *gradients, losses = torch.split(summed, [*(each.numel() for each in own), 1])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.view_as(parameter).clone()
    return float(losses)


def any_process(holds: bool, device: torch.device) -> bool:  # noqa: FBT001
    """Return whether it holds in one of the processes."""
    if not distributed.is_initialized():
        return holds
    count = torch.tensor([float(holds)], device=device)
    distributed.all_reduce(count)
    return bool(count.item() > 0)


def wait_for_all() -> None:
    """Return when all processes have come here."""
    if distributed.is_initialized():
        distributed.barrier()


@contextmanager
def first_before_others() -> Iterator[None]:
    """Let the first process through the block before the others, who find what it left."""
    if own_number():
        wait_for_all()
    yield
    if not own_number():
        wait_for_all()
