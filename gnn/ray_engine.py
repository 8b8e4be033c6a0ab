"""Has a cluster of Ray make the files of a delivery: actors that hold ``RELATED`` and are sent users by the block."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnn.shard_files import ShardFormat
from gnn.shard_work import Edges, Work, write_shard
from loaders.errors import InputError

LOCAL = "local"
"""Ray's word for a new cluster of this machine alone."""

RESTARTS = 3
"""How often an actor begins anew, on another machine where its own is gone, and tries a file again."""

SECONDS_TO_ANSWER = 10

ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
"""There is an actor for each core."""


class ShardActor:
    """Makes shards where Ray has put it; the big arrays of R are those of its machine's object store, not copies."""

    def __init__(self) -> None:
        self._held: tuple[Edges, ShardFormat] | None = None

    def write(self, held: list[Any], part: object, *, file: str, place: Path) -> dict[str, Any]:
        """Write the shard of ``part`` to ``place`` and return what is to be known of it.

        ``held`` is a reference to the edges without owners and the format, fetched once. It comes with each file, in a
        list that Ray does not look into, so that an actor that had to begin anew finds it.
        """
        # Ray is imported where it is used: it may not be installed.
        import ray  # noqa: PLC0415

        if not place.parent.is_dir():
            raise InputError(_not_shared(place.parent))
        if self._held is None:
            self._held = ray.get(held[0])
        edges, form = self._held
        return {"file": file, **write_shard(edges.shard(part), place, form)}


@dataclass(frozen=True)
class RayEngine:
    """Makes as many files at once as the cluster has cores."""

    address: str
    """Of a cluster that runs, or :data:`LOCAL`."""

    @classmethod
    def of(cls, address: str | None) -> RayEngine:
        """Return the engine on the cluster at ``address``, else at RAY_ADDRESS, else on this machine alone."""
        if importlib.util.find_spec("ray") is None:
            raise InputError(
                "--engine ray needs Ray, which is not installed; pip install 'ray>=2.50,<3', or leave out --engine"
            )
        return cls(address or os.environ.get("RAY_ADDRESS") or LOCAL)

    def notes(self, work: Work) -> Generator[dict[str, Any], None, None]:
        """Write each file (see :class:`gnn.shard_work.Engine`); a Ray that already runs in this process is left on."""
        if not work.ranges:
            return
        with ExitStack() as stack:
            ray = self._started(stack)
            try:
                yield from _notes(ray, work)
            except ray.exceptions.RayTaskError as error:
                # What stopped an actor stops the command as it would here: a sentence where it is a person's to solve.
                if isinstance(error.cause, InputError | OSError):
                    raise error.cause from None
                raise
            except (ray.exceptions.RayActorError, ray.exceptions.RayWorkerError) as error:
                reason = str(error).strip().partition("\n")[0]
                raise InputError(
                    f"an actor of Ray ended {RESTARTS + 1} times ({reason}); whole files are kept: give its machine "
                    "more memory, or a smaller --per-shard"
                ) from None

    def _started(self, stack: ExitStack) -> Any:
        """Return Ray's module, connected until ``stack`` ends."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if self.address == LOCAL:
            # Ray binds to all addresses of the machine where it believes that others may join; the name speaks of
            # Windows and macOS, where that is so by default.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        import ray  # noqa: PLC0415

        if ray.is_initialized():
            return ray
        stack.callback(ray.shutdown)
        try:
            _require_listening(self.address)
            ray.init(
                address=self.address,
                include_dashboard=False if self.address == LOCAL else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": ONE_THREAD},
            )
        except Exception as error:  # noqa: BLE001 - of a Ray that does not start in time Ray raises just this
            reason = str(error).strip().partition(". ")[0].partition("\n")[0]
            if self.address == LOCAL:
                text = (
                    f"Ray does not start on this machine ({reason}); wait until it is less busy, or leave out --engine"
                )
            else:
                text = f"no Ray at {self.address!r} ({reason}); start one (ray start --head), or correct --ray-address"
            raise InputError(text) from None
        return ray


def _require_listening(address: str) -> None:
    """Raise where nobody listens at ``HOST:PORT``: Ray itself says so only after minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


def _notes(ray: Any, work: Work) -> Generator[dict[str, Any], None, None]:
    """Yield what each file's actor says of it."""
    from ray.util import ActorPool  # noqa: PLC0415

    held = [ray.put((work.edges.without_owners(), work.form))]
    actor_class = ray.remote(num_cpus=1, max_restarts=RESTARTS, max_task_retries=RESTARTS)(ShardActor)
    count = min(max(int(ray.cluster_resources().get("CPU", 1)), 1), len(work.ranges))
    pool = ActorPool([actor_class.remote() for _ in range(count)])
    # A part is made when an actor is free for it: never more of them at once than there are actors.
    notes = pool.map_unordered(
        lambda actor, file: actor.write.remote(
            held, work.edges.part(*work.ranges[file]), file=file, place=work.passing(file)
        ),
        list(work.ranges),
    )
    for note in notes:
        if not work.passing(note["file"]).exists():
            raise InputError(_not_shared(work.folder))
        yield note


def _not_shared(folder: Path) -> str:
    return (
        f"a machine of the Ray cluster does not see {str(folder.parent)!r}; give an --out on storage that all machines "
        "have at the same place"
    )
