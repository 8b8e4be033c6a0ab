"""Fits a model to a benchmark's tasks by several seeds and measures each: in turn, or some at once in own processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits

from gnn.cost import Cost
from gnn.measured import Lists, fit_costed, measure_lists
from gnn.memory import give_back_freed_memory
from gnn.model import Content, Model
from gnn.task import Task
from loaders.errors import InputError


@dataclass(frozen=True)
class Fits:
    """Where models are fitted to these tasks: in this process, or in a pool of others that hold the same."""

    tasks: tuple[Task, ...]
    content: Content
    pool: ProcessPoolExecutor | None = None

    def measured(self, model: Model, asked: Sequence[tuple[Task, int]]) -> list[tuple[Lists, Cost]]:
        """Return lists and cost of the model fitted to each task by each seed, in the order they were asked for."""
        if self.pool is None:
            return [_measured(model, task, self.content, seed) for task, seed in asked]
        place = {id(task): number for number, task in enumerate(self.tasks)}
        begun = [self.pool.submit(_measured_here, model, place[id(task)], seed) for task, seed in asked]
        return [each.result() for each in begun]


@contextmanager
def fits_of(tasks: tuple[Task, ...], content: Content, *, jobs: int) -> Iterator[Fits]:
    """Give the fits to these tasks, ``jobs`` at once; more than one in processes of their own that share the cores."""
    if jobs == 1:
        yield Fits(tasks, content)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # Not forked: the threads of torch and BLAS, which this process may have begun, do not live on in a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_hold, initargs=(tasks, content, threads))
    try:
        yield Fits(tasks, content, pool)
    except BrokenProcessPool as broken:
        raise InputError(
            "a process that fitted a model was ended from outside, perhaps for want of memory; give the command again "
            "with fewer --jobs, what is finished is kept"
        ) from broken
    finally:
        pool.shutdown(cancel_futures=True)


def _measured(model: Model, task: Task, content: Content, seed: int) -> tuple[Lists, Cost]:
    recommender, cost = fit_costed(model, task, content, seed=seed)
    return measure_lists(recommender, task), cost


@dataclass(frozen=True)
class _Held:
    """What a process of the pool fits to."""

    tasks: tuple[Task, ...]
    content: Content


_held: list[_Held] = []
"""One, in a process of the pool; none in others."""


def _hold(tasks: tuple[Task, ...], content: Content, threads: int) -> None:
    give_back_freed_memory()
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    _held.append(_Held(tasks, content))


def _measured_here(model: Model, task: int, seed: int) -> tuple[Lists, Cost]:
    return _measured(model, _held[0].tasks[task], _held[0].content, seed)
