"""Talks to a Neo4j server: finds the password, runs transactions, and says every failure in a sentence."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import neo4j
from neo4j.exceptions import DriverError, Neo4jError, ServiceUnavailable, SessionExpired

from loaders.errors import InputError

SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
FETCHED_ROWS = 10_000
RETRY_SECONDS = 15.0
FIRST_CALENDAR_VERSION = 2025
"""After 5.26 the versions are named after years."""

Row = list[Any]
Statement = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Place:
    """Where a database is."""

    uri: str
    """Address of the server, as the driver takes it."""

    database: str | None
    """Name of the database; None for the user's own default."""


def place_of(address: str) -> Place:
    """Return where ``address``, such as ``neo4j://host:7687/database``, points to; raise if it holds a password."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - reading it is the check
    except ValueError as error:
        raise InputError(f"the store's address is none ({error}); give neo4j://host:7687/database") from error
    if "@" in parts.netloc:
        raise InputError(
            f"the address of the store at {parts.hostname!r} holds a user or password, which would end up in logs; "
            "give the address alone, set NEO4J_USER, and NEO4J_PASSWORD or --password-file"
        )
    database = parts.path.strip("/")
    if not parts.hostname or "/" in database or parts.query or parts.fragment:
        raise InputError(f"no store has the address {address!r}; give neo4j://host:7687/database")
    return Place(uri=f"{parts.scheme}://{parts.netloc}", database=database or None)


def credentials(password_file: str | None = None) -> tuple[str, str]:
    """Return the user ``NEO4J_USER`` and the password.

    It is that of the file ``password_file``, else ``NEO4J_PASSWORD``, else that of the file ``NEO4J_PASSWORD_FILE``.
    """
    user = os.environ.get("NEO4J_USER") or "neo4j"
    password, file = os.environ.get("NEO4J_PASSWORD"), password_file or os.environ.get("NEO4J_PASSWORD_FILE")
    if password and not password_file:
        return user, password
    if not file:
        raise InputError(
            "Neo4j wants a password; give --password-file FILE, or set NEO4J_PASSWORD or NEO4J_PASSWORD_FILE "
            "(`make neo4j` names its own file)"
        )
    try:
        return user, Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the password file {file!r} cannot be read ({error}); give another") from error


class Connection:
    """An open database of a Neo4j server, whose failures are all :class:`InputError`."""

    def __init__(self, address: str, *, login: tuple[str, str] | None = None) -> None:
        self.address = address
        place = place_of(address)
        self._database = place.database
        self._user, password = login or credentials()
        # The driver's warnings of retries would stand between a command's own lines.
        logging.getLogger("neo4j").addHandler(logging.NullHandler())
        self._driver = neo4j.GraphDatabase.driver(
            place.uri,
            auth=(self._user, password),
            fetch_size=FETCHED_ROWS,
            max_transaction_retry_time=RETRY_SECONDS,
            # Queries name properties that no node has yet, which a server would warn of each time.
            notifications_min_severity="OFF",
        )
        try:
            # Not a managed transaction: what is wrong now will not mend itself by trying for a while.
            with self._driver.session(database=self._database) as session:
                agent = session.run("RETURN 1").consume().server.agent
            require_version(agent, address=address)
        except (DriverError, Neo4jError) as error:
            self._driver.close()
            raise InputError(self._sentence(error, was_there=False)) from error
        except InputError:
            self._driver.close()
            raise

    def close(self) -> None:
        """Close all connections to the server."""
        self._driver.close()

    def rows(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, seconds: float | None = None
    ) -> list[Row]:
        """Return the rows of a reading query, which may take ``seconds``."""
        return self.read([(text, parameters or {})], seconds=seconds)[0][1]

    def read(
        self, statements: Sequence[Statement], *, seconds: float | None = None
    ) -> list[tuple[list[str], list[Row]]]:
        """Return the columns and rows of each query, all asked in one transaction."""

        @neo4j.unit_of_work(timeout=seconds)
        def work(transaction: neo4j.ManagedTransaction) -> list[tuple[list[str], list[Row]]]:
            results = (transaction.run(text, dict(parameters)) for text, parameters in statements)
            return [(list(result.keys()), result.values()) for result in results]

        try:
            with self._driver.session(database=self._database) as session:
                return session.execute_read(work)
        except (DriverError, Neo4jError) as error:
            raise InputError(self._sentence(error)) from error

    def write(
        self, statements: Sequence[Statement], *, guard: Statement | None = None, refusal: str = ""
    ) -> list[list[Row]]:
        """Do all statements in one transaction and return the rows of each.

        Where ``guard`` finds no row, nothing is written and ``refusal`` raised. A transaction whose commit was not
        confirmed is done again: what it writes must bear being written twice, or be counted afterwards.
        """

        def work(transaction: neo4j.ManagedTransaction) -> list[list[Row]]:
            if guard is not None and not transaction.run(guard[0], dict(guard[1])).values():
                raise InputError(refusal)
            return [transaction.run(text, dict(parameters)).values() for text, parameters in statements]

        try:
            with self._driver.session(database=self._database) as session:
                return session.execute_write(work)
        except (DriverError, Neo4jError) as error:
            raise InputError(self._sentence(error)) from error

    def try_once(self, text: str, parameters: Mapping[str, Any]) -> None:
        """Do one statement without trying again; raise at once where it fails."""
        try:
            with self._driver.session(database=self._database) as session:
                session.run(text, dict(parameters)).consume()
        except (DriverError, Neo4jError) as error:
            raise InputError(self._sentence(error)) from error

    def _sentence(self, error: DriverError | Neo4jError, *, was_there: bool = True) -> str:
        return why(error, address=self.address, user=self._user, was_there=was_there)


def require_version(agent: str, *, address: str) -> None:
    """Raise unless a server that calls itself ``agent``, such as ``Neo4j/5.26.31``, is of a version we know."""
    found = re.match(r"Neo4j/(\d+)\.", agent)
    if found is None or not (int(found[1]) == 5 or int(found[1]) >= FIRST_CALENDAR_VERSION):
        raise InputError(
            f"{address!r} is {agent!r}, and this program works with Neo4j 5 and the versions from 2025 on; "
            "upgrade the server or give the address of another"
        )


def why(error: DriverError | Neo4jError, *, address: str, user: str, was_there: bool) -> str:
    """Return what went wrong at ``address`` and what to do about it."""
    if isinstance(error, ServiceUnavailable | SessionExpired):
        if was_there:
            return (
                f"the Neo4j at {address!r} went away in the middle; when it is back, give the same command again, "
                "which goes on from what is there"
            )
        return f"no Neo4j answers at {address!r}; start one with `make neo4j`, or correct the address"
    code = str(getattr(error, "code", "") or "")
    message = " ".join(str(getattr(error, "message", "") or error).split())
    known = next((sentence for ending, sentence in SENTENCES.items() if code.endswith(ending)), None)
    if known is None:
        return f"{address!r} cannot answer: {message}"
    return known.format(address=repr(address), user=repr(user), message=message)


SENTENCES = {
    "Security.Unauthorized": "{address} does not know the user {user} with this password; "
    "correct NEO4J_USER, and NEO4J_PASSWORD or the password file",
    "Security.AuthenticationRateLimit": "{address} was given wrong passwords for {user} too often; "
    "wait a minute, then correct NEO4J_PASSWORD or the password file",
    "Security.CredentialsExpired": "{address} wants user {user} to choose a new password first; "
    "do so with ALTER CURRENT USER SET PASSWORD",
    "Security.Forbidden": "the user {user} of {address} may not do this: {message}; "
    "give NEO4J_USER a user who may read and write",
    "ForbiddenOnReadOnlyDatabase": "the database at {address} can only be read; allow writing to it or give another",
    "Statement.AccessMode": "{address} cannot answer: a query may only read, and this one writes",
    "Database.DatabaseNotFound": "{address} has no such database; leave its name out or create it first",
    "TransactionTimedOutClientConfiguration": "{address} cannot answer: the query took longer than it may; "
    "ask for less or ask again when the server has less to do",
    "TransactionTimedOut": "{address} cannot answer: the query took longer than the server allows",
    "ConstraintCreationFailed": "the data in {address} break a rule of this graph, that ids are unique: {message}; "
    "remove them, or give an empty database",
    "ConstraintValidationFailed": "the data in {address} break a rule of this graph: {message}; "
    "remove them, or give an empty database",
}
"""Ending of a server's error code → what it means here."""
