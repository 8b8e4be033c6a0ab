"""Reads the Cypher files of ``kg/queries`` and says which parameters a query takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources

from loaders.errors import InputError

Value = str | float | Sequence[str]
"""What a parameter may be: text, a number, true or false, or a list of texts."""

_NOT_CODE = re.compile(r"//[^\n]*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`")
_PARAMETER = re.compile(r"\$(\w+)")
_NOT_CODE_OR_PARAMETER = re.compile(f"{_NOT_CODE.pattern}|{_PARAMETER.pattern}")


def read_query(name: str, *, dialect: str = "") -> str:
    """Return the text of ``kg/queries/<name>.<dialect>.cypher`` where there is one, else of ``<name>.cypher``."""
    folder = resources.files("kg") / "queries"
    own = folder / f"{name}.{dialect}.cypher"
    return (own if own.is_file() else folder / f"{name}.cypher").read_text(encoding="utf-8")


def query_names() -> list[str]:
    """Return the names of all questions in ``kg/queries``; schemas and texts for one store only are left out."""
    files = (resources.files("kg") / "queries").iterdir()
    names = sorted(file.name.removesuffix(".cypher") for file in files if file.name.endswith(".cypher"))
    return [name for name in names if not name.startswith("schema_") and "." not in name]


def purpose(query: str) -> str:
    """Return the first line of a query's text, which says what it answers."""
    return query.partition("\n")[0].removeprefix("//").strip()


def statements(text: str) -> list[str]:
    """Return the statements of a schema file, which end in a semicolon."""
    code = re.sub(r"//[^\n]*", "", text)
    return [statement.strip() for statement in code.split(";") if statement.strip()]


def parameters_of(query: str) -> set[str]:
    """Return the names of the parameters in ``query``; those inside comments, strings and backticks are none."""
    return set(_PARAMETER.findall(_NOT_CODE.sub(" ", query)))


def with_values(query: str, parameters: Mapping[str, Value]) -> str:
    """Return ``query`` with its parameters written out, for a person to paste; programs pass parameters instead."""

    def written(found: re.Match[str]) -> str:
        return found[0] if found[1] is None else _literal(parameters[found[1]])

    require_parameters(query, parameters)
    return _NOT_CODE_OR_PARAMETER.sub(written, query)


def _literal(value: Value) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
        return f"'{escaped}'"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    # Ladybug reads 1e30 and not 1e+30.
    return repr(value).replace("e+", "e")


def require_parameters(query: str, given: Mapping[str, object]) -> None:
    """Raise unless exactly the parameters of ``query`` are given.

    Ladybug takes a parameter that is not given for NULL and answers with no rows, so the check is ours.
    """
    wanted = parameters_of(query)
    if missing := sorted(wanted - given.keys()):
        raise InputError(f"the query needs the parameter {missing[0]!r}; give a value for each of {sorted(wanted)}")
    if unknown := sorted(given.keys() - wanted):
        raise InputError(f"the query has no parameter {unknown[0]!r}; it takes {sorted(wanted)}")
