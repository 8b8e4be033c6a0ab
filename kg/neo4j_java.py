"""Finds Java and collects Neo4j's jars with Maven, for a machine without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from loaders.errors import InputError

REPOSITORY = Path(__file__).resolve().parent.parent
POM = REPOSITORY / "neo4j" / "pom.xml"

JARS = Path("data/neo4j/jars")
JAVA_VERSION = 17
GET_JAVA = "install a JDK (`apt-get install openjdk-17-jdk-headless`) or start Docker"
GET_MAVEN = "install it (`apt-get install maven`) or start Docker"
JAVA_OPTIONS = [
    "-XX:+ExitOnOutOfMemoryError",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
    ),
]


def find_java() -> str:
    """Return the path of a Java that can run Neo4j; raise, saying how to get one, where there is none."""
    java = shutil.which("java")
    if java is None:
        raise InputError(f"neither Docker nor Java was found, one is needed to run Neo4j; {GET_JAVA}")
    # One call tells the version (`java.base@17.0.15`) and whether this is a JDK, which runs a .java file, or a JRE.
    modules = run_program([java, "--list-modules"]).stdout
    version = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
    if version is None or int(version[1]) < JAVA_VERSION:
        found = f"version {version[1]}" if version else "older than 9"
        raise InputError(f"the Java at {java!r} is {found}, Neo4j needs {JAVA_VERSION} or newer; {GET_JAVA}")
    if "jdk.compiler@" not in modules:
        raise InputError(f"the Java at {java!r} is a JRE without compiler; {GET_JAVA}")
    return java


def collect_jars(jars: Path) -> Path:
    """Make the folder ``jars`` hold the jars that ``neo4j/pom.xml`` names, if it does not yet, and return its path."""
    jars = jars.resolve()
    kept_pom = jars / "pom.xml"
    if kept_pom.exists() and kept_pom.read_bytes() == POM.read_bytes():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise InputError(f"neither Docker nor Maven (`mvn`) was found, one is needed to get Neo4j; {GET_MAVEN}")
    print(f"collecting Neo4j's jars in {jars} (123 MB, once)")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="jars-part-") as part:
        # Collected apart and renamed at the end: the folder is whole or not there.
        whole = Path(part) / "jars"
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={whole}"]
        done = run_program([maven, "--batch-mode", "--quiet", "--file", str(POM), *goal])
        if done.returncode:
            errors = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it gave no reason"]
            raise InputError(f"Maven could not collect Neo4j's jars: {errors[0]}; check the network, then start again")
        shutil.copyfile(POM, whole / "pom.xml")
        if jars.exists():
            jars.rename(Path(part) / "old")
        try:
            whole.rename(jars)
        except OSError:
            if not kept_pom.exists():  # Otherwise another process was faster, with the same jars.
                raise
    return jars


def run_program(
    command: list[str], *, environment: dict[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end, with what it prints and complains about in one text."""
    return subprocess.run(  # noqa: S603 - every command is a list made in this file, no shell reads it
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )


def last_sentence(text: str) -> str:
    """Return the line of a Java program's output that says why it failed."""
    # The lines of a Java stack trace begin with a tab; the last that does not names the innermost cause.
    # `neo4j-admin` tells the cause before three lines that say only that it failed.
    passed_over = ("\t", " ", "WARNING", "Error importing", "Run with")
    sentences = [line for line in text.splitlines() if line.strip() and not line.startswith(passed_over)]
    return sentences[-1] if sentences else "it gave no reason"
