"""Starts and stops a Neo4j of this machine: by Docker Compose, or without Docker from jars that Maven collects."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tyro
from neo4j import GraphDatabase
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from kg.neo4j_java import JARS, JAVA_OPTIONS, REPOSITORY, collect_jars, find_java, last_sentence, run_program
from loaders.errors import InputError, run_command

COMPOSE = REPOSITORY / "compose.yaml"
PROGRAM = REPOSITORY / "neo4j" / "Neo4jServer.java"

HOME = Path("data/neo4j/home")
USER = "neo4j"
START_SECONDS = 120
STOP_SECONDS = 60
# Without preallocation an empty store takes 2 MB instead of 500 MB: each test may have one. Without the quiet period
# of Bolt a server whose clients are gone stops in 2 s instead of 11.
SETTINGS = """\
server.memory.pagecache.size={page_cache}
db.tx_log.preallocate=false
dbms.usage_report.enabled=false
internal.dbms.bolt.netty_server_shutdown_quiet_period=0
"""


@dataclass(frozen=True)
class Start:
    """Start Neo4j, unless it runs already, and print its address."""

    home: Path = HOME
    """Folder of the store, the log and, if this command invents one, the password."""

    port: int = 7687
    """Bolt port on 127.0.0.1; 0 takes a free one (not with Docker)."""

    heap: str = "1g"
    """Memory for Java objects: queries and transactions live here."""

    page_cache: str = "512m"
    """Memory for pages of the store; best as large as the store."""

    jars: Path = JARS
    """Folder in which Neo4j's jars are kept (123 MB, collected once)."""


@dataclass(frozen=True)
class Stop:
    """Stop the Neo4j that `start` started; its data stay."""

    home: Path = HOME
    """The folder given to `start`."""


@dataclass(frozen=True)
class Status:
    """Say whether the Neo4j that `start` started runs, and where."""

    home: Path = HOME
    """The folder given to `start`."""


@dataclass(frozen=True)
class RunningServer:
    """A Neo4j that answers."""

    uri: str
    """Address for the driver."""

    password_file: Path | None
    """File that holds the password; None if the caller gave the password."""

    pid: int | None
    """Its process; None if it runs in Docker."""


def start_server(
    home: Path,
    *,
    port: int = 0,
    heap: str = "1g",
    page_cache: str = "512m",
    password: str | None = None,
    jars: Path = JARS,
) -> RunningServer:
    """Start Neo4j on the store in ``home`` (a new one if there is none) and return once it answers a query.

    Port 0 takes a free one. Without a ``password``, the one in ``home/password`` is used, made up if there is none.
    """
    home = home.resolve()
    if pid := _server_pid(home):
        raise InputError(f"Neo4j already runs on {str(home)!r} with pid {pid}; stop it or choose another home")
    for name, size in (("heap", heap), ("page cache", page_cache)):
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", size):
            raise InputError(f"the {name} {size!r} is no size; write a number and k, m or g, like 512m")
    java = find_java()
    _require_free(port)
    jars = collect_jars(jars)

    (home / "conf").mkdir(parents=True, exist_ok=True)
    (home / "conf" / "neo4j.conf").write_text(SETTINGS.format(page_cache=page_cache))
    password_file = None if password else home / "password"
    password = password or _kept_password(home)
    if not _has_store(home):
        _set_first_password(home, password, jars=jars)
    (home / "neo4j.address").unlink(missing_ok=True)
    command = [java, *JAVA_OPTIONS, f"-Xmx{heap}", "-cp", f"{jars}/*", str(PROGRAM), str(home), str(port)]
    pid = _spawn(command, log=home / "neo4j.log")
    (home / "neo4j.pid").write_text(str(pid))
    try:
        uri = _wait_for_address(home)
        _require_answer(uri, password, home=home)
    except BaseException:
        stop_server(home)
        with suppress(ChildProcessError):  # If it ended by itself, its row in the process table is left.
            os.waitpid(pid, os.WNOHANG)
        raise
    return RunningServer(uri=uri, password_file=password_file, pid=pid)


def stop_server(home: Path) -> bool:
    """Stop the server that :func:`start_server` started on ``home``; return False if none runs."""
    home = home.resolve()
    pid = _server_pid(home)
    if pid:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while _server_pid(home):
            if time.monotonic() > end:
                raise InputError(f"Neo4j (pid {pid}) did not stop in {STOP_SECONDS} s; see {str(home / 'neo4j.log')!r}")
            time.sleep(0.1)
        with suppress(ChildProcessError):  # Started by another process: not ours to reap.
            os.waitpid(pid, 0)
    for name in ("neo4j.pid", "neo4j.address"):
        (home / name).unlink(missing_ok=True)
    return pid is not None


def running_uri(home: Path) -> str | None:
    """Return the address of the server that :func:`start_server` started on ``home``, None if none runs."""
    home = home.resolve()
    return _wait_for_address(home) if _server_pid(home) else None


def run_admin(home: Path, args: list[str], *, heap: str = "1g", jars: Path = JARS) -> str:
    """Run ``neo4j-admin`` with ``args`` on the stopped store in ``home`` and return what it printed.

    Relative paths in ``args`` start at ``home``.
    """
    home = home.resolve()
    if pid := _server_pid(home):
        raise InputError(f"Neo4j runs on {str(home)!r} with pid {pid}; stop it before `neo4j-admin {args[0]}`")
    java, jars = find_java(), collect_jars(jars)
    home.mkdir(parents=True, exist_ok=True)
    command = [java, *JAVA_OPTIONS, f"-Xmx{heap}", "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool", *args]
    environment = os.environ | {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    done = run_program(command, environment=environment, folder=home)
    if done.returncode:
        raise InputError(f"`neo4j-admin {' '.join(args[:3])}` failed: {last_sentence(done.stdout)}")
    return done.stdout


def docker_is_ready() -> bool:
    """Return whether a Docker daemon answers and has Compose."""
    docker = shutil.which("docker")
    return docker is not None and all(
        run_program([docker, *args]).returncode == 0 for args in (["info"], ["compose", "ps"])
    )


def _compose(args: list[str], *, settings: dict[str, str]) -> str:
    # Compose reads the whole file for every command, so `down` and `ps` need some password as well.
    environment = {"NEO4J_PASSWORD": "unused"} | os.environ | settings
    done = run_program(["docker", "compose", "--file", str(COMPOSE), *args], environment=environment)
    if done.returncode:
        raise InputError(f"`docker compose {args[0]}` failed: {last_sentence(done.stdout)}")
    return done.stdout


def _spawn(command: list[str], *, log: Path) -> int:
    # Not Popen: the server outlives this process, and Popen warns about a child that is left running.
    opened = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), opened, (os.POSIX_SPAWN_DUP2, 1, 2)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)
    # For its first moments the process has no arguments yet, by which _server_pid knows it.
    while not Path(f"/proc/{pid}/cmdline").read_bytes() and os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.01)
    return pid


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As Neo4j does: a port whose last connections are still fading away counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used ({error.strerror}); stop what uses it or choose another with --port"
            ) from error


def _has_store(home: Path) -> bool:
    return (home / "data" / "dbms" / "auth.ini").exists() or (home / "data" / "databases" / "system").exists()


def _kept_password(home: Path) -> str:
    file = home / "password"
    if file.exists():
        return file.read_text()
    if _has_store(home):
        raise InputError(f"the store in {str(home)!r} has a password that was given; set NEO4J_PASSWORD to it")
    password = secrets.token_hex(24)
    _write_private(file, password)
    return password


def _write_private(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)


def _set_first_password(home: Path, password: str, *, jars: Path) -> None:
    if len(password) < 8:
        raise InputError(f"NEO4J_PASSWORD has {len(password)} characters, Neo4j wants 8 or more; choose a longer one")
    # In a file of arguments, because everyone on this machine may read the arguments of a process, and after "--",
    # because a password may begin with "-".
    file = home / "password.part"
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    _write_private(file, f'--\n"{quoted}"')
    try:
        run_admin(home, ["dbms", "set-initial-password", f"@{file}"], jars=jars)
    finally:
        file.unlink()


def _server_pid(home: Path) -> int | None:
    """Return the process of the server on ``home`` (resolved), None if it ended or its number went to another."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int((home / "neo4j.pid").read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if str(home) in arguments and any(argument.endswith(f"/{PROGRAM.name}") for argument in arguments):
            return pid
    return None


def _wait_for_address(home: Path) -> str:
    file = home / "neo4j.address"
    end = time.monotonic() + START_SECONDS
    while not file.exists():
        why = None
        if _server_pid(home) is None:
            why = "Neo4j ended while it started"
        elif time.monotonic() > end:
            why = f"Neo4j did not answer in {START_SECONDS} s"
        if why:
            log = home / "neo4j.log"
            raise InputError(f"{why}: {last_sentence(log.read_text())} (all of it in {str(log)!r})")
        time.sleep(0.1)
    return f"bolt://{file.read_text()}"


def _require_answer(uri: str, password: str, *, home: Path) -> None:
    try:
        with GraphDatabase.driver(uri, auth=(USER, password)) as driver:
            driver.execute_query("RETURN 1")
    except AuthError as error:
        raise InputError(
            f"the store in {str(home)!r} has another password than the one given; correct NEO4J_PASSWORD, "
            f"or unset it to use {str(home / 'password')!r}"
        ) from error
    except (DriverError, Neo4jError) as error:
        raise InputError(f"Neo4j at {uri} does not answer: {error}; see {str(home / 'neo4j.log')!r}") from error


def _start(config: Start, *, password: str | None) -> None:
    home = config.home.resolve()
    if uri := running_uri(home):
        print(f"Neo4j already runs at {uri}")
        return
    # A store made without Docker stays without: in Docker, the same command would show an empty one.
    if not _has_store(home) and docker_is_ready():
        home.mkdir(parents=True, exist_ok=True)
        settings = {
            "NEO4J_PASSWORD": password or _kept_password(home),
            "NEO4J_PORT": str(config.port),
            "NEO4J_HEAP": config.heap,
            "NEO4J_PAGE_CACHE": config.page_cache,
        }
        _compose(["up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS)], settings=settings)
        server = RunningServer(f"bolt://127.0.0.1:{config.port}", None if password else home / "password", None)
    else:
        server = start_server(
            home,
            port=config.port,
            heap=config.heap,
            page_cache=config.page_cache,
            password=password,
            jars=config.jars,
        )
    print(f"Neo4j answers at {server.uri}, user {USER}, password in {server.password_file or 'NEO4J_PASSWORD'}")
    if server.password_file:
        print(f"for commands with --store {server.uri}: export NEO4J_PASSWORD_FILE={server.password_file}")


def _stop(config: Stop) -> None:
    if stop_server(config.home):
        print("Neo4j stopped")
    elif docker_is_ready() and _compose(["ps", "--quiet"], settings={}).strip():
        _compose(["down"], settings={})
        print("Neo4j stopped (Docker)")
    else:
        print("Neo4j does not run")


def _status(config: Status) -> None:
    if uri := running_uri(config.home):
        print(f"Neo4j runs at {uri}")
    elif docker_is_ready() and _compose(["ps", "--quiet"], settings={}).strip():
        print(f"Neo4j runs at {_compose(['port', 'neo4j', '7687'], settings={}).strip()} (Docker)")
    else:
        print("Neo4j does not run")


def main() -> None:
    """Run the command line."""
    command = tyro.cli(Start | Stop | Status)
    if isinstance(command, Start):
        _start(command, password=os.environ.get("NEO4J_PASSWORD") or None)
    elif isinstance(command, Stop):
        _stop(command)
    else:
        _status(command)


if __name__ == "__main__":
    run_command(main)
