"""A real Neo4j for the tests: started once, emptied before each test, and ended with the session."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import neo4j
import pytest

from kg.neo4j_java import REPOSITORY, collect_jars, find_java
from kg.neo4j_server import RunningServer, start_server, stop_server
from loaders.errors import InputError

JARS = REPOSITORY / "data" / "neo4j" / "jars"
HEAP = "768m"
PASSWORD = '-a "pass word" \\ #1'  # noqa: S105
"""One that a command line would take for an option, a comment or two words."""
EMPTY = "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 100 ROWS"


@dataclass(frozen=True)
class Server:
    """A server that tests may fill and empty."""

    uri: str
    password: str
    home: Path | None
    """Its folder; None where the server was given and is not ours to stop."""

    def empty(self) -> None:
        """Delete all nodes and edges."""
        with neo4j.GraphDatabase.driver(self.uri, auth=("neo4j", self.password)) as driver, driver.session() as session:
            session.run(EMPTY).consume()

    def drop_rules(self) -> None:
        """Delete all constraints, as in a database that nobody has used."""
        with neo4j.GraphDatabase.driver(self.uri, auth=("neo4j", self.password)) as driver, driver.session() as session:
            for name in session.run("SHOW CONSTRAINTS YIELD name").value():
                session.run(f"DROP CONSTRAINT `{name}`").consume()

    def kill(self) -> None:
        """Kill a server of ours as a power cut would."""
        os.kill(self.pid(), signal.SIGKILL)
        os.waitpid(self.pid(), 0)

    def restart(self) -> None:
        """Start the server again, at its address, after it was killed."""
        assert self.home is not None
        start_server(
            self.home,
            port=int(self.uri.rpartition(":")[2]),
            password=self.password,
            heap=HEAP,
            page_cache="128m",
            jars=JARS,
        )

    def pid(self) -> int:
        """Return the process of a server of ours."""
        assert self.home is not None
        return int((self.home / "neo4j.pid").read_text())


def why_not(*, needs_own: bool = False) -> str | None:
    """Return what keeps a Neo4j, perhaps one of our own, from being tested here; None where nothing does."""
    if os.environ.get("NEO4J_TEST_URI") and not needs_own:
        return None
    try:
        find_java()
        collect_jars(JARS)
    except InputError as error:
        return str(error)
    return None


def required() -> bool:
    """Return whether tests without Neo4j have to fail."""
    return os.environ.get("CARTOGRAPH_REQUIRE_NEO4J") == "1" or os.environ.get("CI") == "true"


@contextmanager
def running_neo4j() -> Iterator[Server]:
    """Yield a server: the one that ``NEO4J_TEST_URI`` names, whose data are DELETED, or one of our own."""
    given = os.environ.get("NEO4J_TEST_URI")
    if given:
        yield Server(given, os.environ["NEO4J_TEST_PASSWORD"], home=None)
        return
    if reason := why_not():
        if required():
            pytest.fail(f"Neo4j has to be tested here, and cannot: {reason}")
        pytest.skip(f"Neo4j NOT TESTED: {reason}")
    home = Path(tempfile.mkdtemp(prefix="neo4j-test-"))
    try:
        server: RunningServer = start_server(home, password=PASSWORD, heap=HEAP, page_cache="128m", jars=JARS)
        yield Server(server.uri, PASSWORD, home=home)
    finally:
        stop_server(home)
        shutil.rmtree(home)
