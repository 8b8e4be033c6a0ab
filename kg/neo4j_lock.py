"""Lets one process at a time write to a Neo4j graph, and takes over from one that was killed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from kg.neo4j_connection import Connection, Row
from loaders.errors import InputError

LEASE_SECONDS = 15.0
"""A writer that was killed keeps others waiting for this long."""

WAIT_SECONDS = 3600.0
POLL_SECONDS = 0.5

# SET before the question: it takes the node's write lock, so that whoever asks next sees the answer of this one.
ASK = """
MERGE (lock:Lock {id: 'write'})
SET lock.asked = timestamp()
WITH lock, coalesce(lock.owner, $owner) = $owner OR lock.until < timestamp() AS free
SET lock.owner = CASE WHEN free THEN $owner ELSE lock.owner END,
    lock.until = CASE WHEN free THEN timestamp() + $lease ELSE lock.until END
RETURN free
"""
HOLD = """
MATCH (lock:Lock {id: 'write'})
SET lock.asked = timestamp()
WITH lock WHERE lock.owner = $owner
SET lock.until = timestamp() + $lease
RETURN lock.owner
"""
# Not deleted: somebody may be waiting for this very node.
RELEASE = "MATCH (lock:Lock {id: 'write', owner: $owner}) SET lock.owner = null"


class WriteLock:
    """The right to write, held by a lease that every write renews.

    Each write first takes the write lock of the one ``Lock`` node and sees whether the node still names this process,
    in the same transaction. So two processes never write at once, one that lost its lease (it was stopped for longer
    than that) writes nothing more, and none waits for another within a transaction, which is how deadlocks arise.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._own = {"owner": secrets.token_hex(8), "lease": int(LEASE_SECONDS * 1000)}

    def __enter__(self) -> Self:
        end = time.monotonic() + WAIT_SECONDS
        while not self._connection.write([(ASK, self._own)])[0][0][0]:
            if time.monotonic() > end:
                raise InputError(
                    f"another process has been writing to {self._connection.address!r} for {WAIT_SECONDS / 60:.0f} "
                    "minutes; wait until it has ended, or end it"
                )
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        release = {"owner": self._own["owner"]}
        if error is None:
            self._connection.write([(RELEASE, release)])
            return
        # The server may be gone: no second wait for it. The lease ends by itself; the first error is the one to show.
        with suppress(InputError):
            self._connection.try_once(RELEASE, release)

    def keep(self) -> None:
        """Renew the lease, where long reading stands between two writes."""
        self.write("RETURN 1")

    def write(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Do one statement in a transaction of its own and return its rows; raise if the lease was lost."""
        lost = f"another process has taken over writing to {self._connection.address!r}; give the same command again"
        return self._connection.write([(text, parameters or {})], guard=(HOLD, self._own), refusal=lost)[0]
