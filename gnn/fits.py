"""Fits a model to a benchmark's tasks by several seeds and measures each: in turn, or some at once in own processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from gnn.cost import Cost
from gnn.measured import Lists, fit_costed, measure_lists
from gnn.memory import give_back_freed_memory
from gnn.model import Content, Model
from gnn.task import Task
from loaders.errors import InputError


@dataclass(frozen=True)
class BegunFit:
    """A fit that a pool was given."""

    model: Model
    task: Task
    seed: int
    made: Future[tuple[Lists, Cost]]


@dataclass(frozen=True)
class Fits:
    """Where models are fitted to these tasks: in this process, or in a pool of others that hold the same."""

    tasks: tuple[Task, ...]
    content: Content
    at_once: int = 1
    """How many fits share the cores."""

    pool: ProcessPoolExecutor | None = None

    begun: list[BegunFit] = field(default_factory=list)
    """What the pool was given, and nobody has asked for yet."""

    def begin(self, model: Model, asked: Sequence[tuple[Task, int]]) -> None:
        """Have the pool make these fits when it has room, after those begun before; without a pool nothing happens."""
        if self.pool is not None:
            with _without_interrupt():
                for task, seed in asked:
                    if self._begun(model, task, seed) is None:
                        made = self.pool.submit(_measured_here, model, self._place(task), seed)
                        self.begun.append(BegunFit(model, task, seed, made))

    def ready(self, models: Sequence[Model]) -> Iterator[Model]:
        """Yield the models in the order in which the fits begun of each are made, those that failed after others."""
        left = list(models)
        while left:
            fits = {id(model): [each.made for each in self.begun if each.model == model] for model in left}
            whole = [model for model in left if all(fit.done() for fit in fits[id(model)])]
            whole.sort(key=lambda model: any(fit.exception() is not None for fit in fits[id(model)]))
            if whole:
                left = [model for model in left if model is not whole[0]]
                yield whole[0]
            else:
                wait([fit for each in fits.values() for fit in each if not fit.done()], return_when=FIRST_COMPLETED)

    def measured(self, model: Model, asked: Sequence[tuple[Task, int]]) -> list[tuple[Lists, Cost]]:
        """Return lists and cost of the model fitted to each task by each seed, in the order they were asked for."""
        if self.pool is None:
            return [self._measured(model, task, seed) for task, seed in asked]
        self.begin(model, asked)
        fits = [fit for task, seed in asked if (fit := self._begun(model, task, seed)) is not None]
        self.begun[:] = [each for each in self.begun if each.made not in fits]
        # All, also where one cannot be fitted: the others would go on beside what comes after.
        wait(fits)
        return [fit.result() for fit in fits]

    def _begun(self, model: Model, task: Task, seed: int) -> Future[tuple[Lists, Cost]] | None:
        for each in self.begun:
            if each.task is task and (each.model, each.seed) == (model, seed):
                return each.made
        return None

    def _place(self, task: Task) -> int:
        return next(place for place, each in enumerate(self.tasks) if each is task)

    def one_by_one(self, content: Content | None = None) -> Fits:
        """Return the same, or those to other ``content``, in this process, which has all of the cores."""
        return Fits(self.tasks, self.content if content is None else content)

    def _measured(self, model: Model, task: Task, seed: int) -> tuple[Lists, Cost]:
        recommender, cost = fit_costed(model, task, self.content, seed=seed)
        return measure_lists(recommender, task), replace(cost, at_once=self.at_once)


@contextmanager
def fits_of(tasks: tuple[Task, ...], content: Content, *, jobs: int) -> Iterator[Fits]:
    """Give the fits to these tasks, ``jobs`` at once; more than one in processes of their own that share the cores."""
    if jobs == 1:
        yield Fits(tasks, content)
        return
    held = Fits(tasks, content, jobs)
    threads = max(1, torch.get_num_threads() // jobs)
    # Not forked: the threads of torch and BLAS, which this process may have begun, do not live on in a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_hold, initargs=(held, threads))
    try:
        yield replace(held, pool=pool, begun=[])
    except BrokenProcessPool as broken:
        raise InputError(
            "a process that fitted a model came to its end, perhaps for want of memory (if it said why, that stands "
            "above); give the command again with fewer --jobs, what is finished is kept"
        ) from broken
    except BaseException:
        # Fits that nobody will ask for any more, some of them not yet begun.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, in which processes are begun: one that is half begun is not known yet.

    They begin with it blocked too: it reaches all processes of a terminal, and that of the command ends the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_held: list[Fits] = []
"""One, in a process of the pool; none in others."""


def _hold(held: Fits, threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # By itself tqdm takes a lock of the system's, which is left over where this process is ended.
    tqdm.set_lock(threading.RLock())
    give_back_freed_memory()
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    _held.append(held)


def _end_with_parent() -> None:
    """End this process when the command's does, however that came to its end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _measured_here(model: Model, task: int, seed: int) -> tuple[Lists, Cost]:
    fits = _held[0]
    (measured,) = fits.measured(model, [(fits.tasks[task], seed)])
    return measured
