"""What the launcher of Neo4j says where a machine lacks something; no server is started here."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kg.neo4j_java import collect_jars
from kg.neo4j_server import run_admin, running_uri, start_server, stop_server
from loaders.errors import InputError

GOOD_JAVA = "echo java.base@21; echo jdk.compiler@21"
Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a way to put a program of this name on a path that has nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


@pytest.mark.usefixtures("program")
def test_without_java_the_way_to_get_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither Docker nor Java .* install a JDK \(`apt-get install openjdk-17"):
        start_server(tmp_path / "home")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo java.base@11.0.2", "is version 11, Neo4j needs 17 or newer"),
        ("echo Unrecognized option; exit 1", "is older than 9, Neo4j needs 17"),
        ("echo java.base@21", "is a JRE without compiler"),
    ],
)
def test_a_java_that_cannot_run_neo4j_is_refused(tmp_path: Path, program: Program, script: str, sentence: str) -> None:
    program("java", script)
    with pytest.raises(InputError, match=sentence):
        start_server(tmp_path / "home")


def test_without_maven_the_way_to_get_it_is_named(tmp_path: Path, program: Program) -> None:
    program("java", GOOD_JAVA)
    with pytest.raises(InputError, match=r"neither Docker nor Maven .*`apt-get install maven`"):
        start_server(tmp_path / "home", jars=tmp_path / "jars")


def test_a_maven_without_network_leaves_no_half_folder_of_jars(tmp_path: Path, program: Program) -> None:
    program("mvn", "echo '[ERROR] Failed to execute goal: Unknown host'; exit 1")
    with pytest.raises(InputError, match=r"could not collect Neo4j's jars: .*Unknown host; check the network"):
        collect_jars(tmp_path / "cache" / "jars")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_size_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the heap '1x' is no size; write a number and k, m or g"):
        start_server(tmp_path / "home", heap="1x")


def test_a_port_in_use_is_named(tmp_path: Path, program: Program) -> None:
    program("java", GOOD_JAVA)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used .* choose another with --port"):
            start_server(tmp_path / "home", port=port)


def test_a_password_that_neo4j_would_refuse_is_refused_before_the_start_and_not_repeated(
    tmp_path: Path, program: Program
) -> None:
    program("java", GOOD_JAVA)
    program("mvn", 'for last; do :; done; folder="${last#-DoutputDirectory=}"; /bin/mkdir -p "$folder"')
    with pytest.raises(InputError, match="has 5 characters, Neo4j wants 8 or more") as raised:
        start_server(tmp_path / "home", password="short", jars=tmp_path / "jars")
    assert "short" not in str(raised.value)


def test_a_server_that_never_ran_is_not_stopped(tmp_path: Path) -> None:
    assert not stop_server(tmp_path)
    assert running_uri(tmp_path) is None


def test_the_pid_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "neo4j.pid").write_text(str(os.getpid()))
    assert not stop_server(tmp_path)


def test_a_store_whose_password_was_given_asks_for_it(tmp_path: Path, program: Program) -> None:
    program("java", GOOD_JAVA)
    program("mvn", 'for last; do :; done; folder="${last#-DoutputDirectory=}"; /bin/mkdir -p "$folder"')
    (tmp_path / "home" / "data" / "dbms").mkdir(parents=True)
    (tmp_path / "home" / "data" / "dbms" / "auth.ini").touch()
    with pytest.raises(InputError, match="has a password that was given; set NEO4J_PASSWORD to it"):
        start_server(tmp_path / "home", jars=tmp_path / "jars")


def test_an_admin_command_that_fails_says_why(tmp_path: Path, program: Program) -> None:
    program("java", f'if [ "$1" = --list-modules ]; then {GOOD_JAVA}; else echo Database already exist; exit 70; fi')
    program("mvn", 'for last; do :; done; folder="${last#-DoutputDirectory=}"; /bin/mkdir -p "$folder"')
    with pytest.raises(InputError, match=r"`neo4j-admin database import full` failed: Database already exist"):
        run_admin(tmp_path / "home", ["database", "import", "full"], jars=tmp_path / "jars")
