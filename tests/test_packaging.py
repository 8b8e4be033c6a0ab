"""The two lists of dependencies are one, and the files' first lines are a table of contents."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(file for package in ("loaders", "kg", "gnn") for file in (ROOT / package).glob("*.py"))


def dependencies() -> list[str]:
    return PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]


def conda_entries() -> list[str]:
    """Return the entries of environment.yml below ``dependencies``, of conda and pip alike."""
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    return re.findall(r'^ *- "?([^"\n]+?)"?$', text.partition("\ndependencies:\n")[2], flags=re.MULTILINE)


def test_the_conda_environment_has_the_dependencies_of_the_project_and_no_others() -> None:
    assert conda_entries() == ["python>=3.11", "pip", "pip:", *dependencies(), "--editable ."]


def test_the_conda_environment_has_the_projects_python() -> None:
    assert f"python{PROJECT['project']['requires-python']}" in conda_entries()


@pytest.mark.parametrize("dependency", dependencies())
def test_a_dependency_has_a_lower_bound(dependency: str) -> None:
    assert re.fullmatch(r"[\w-]+(\[\w+\])?>=[\d.]+(,<[\d.]+)?", dependency)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_first_line_of_a_file_says_its_one_job(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith('"""')
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    assert first.endswith((".", ":"))
