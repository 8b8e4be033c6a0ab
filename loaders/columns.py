"""Brings the columns of a raw table to their names and types, or says which name or value cannot be used."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import polars as pl

from loaders.errors import InputError
from loaders.moments import parse_moments

EXTRA_NAME = re.compile(r"^[a-z][a-z0-9_]*$", re.IGNORECASE)
# A graph store has one type for each property name, and these have theirs on other nodes.
RESERVED = {
    "products": {"id", "run", "level"},
    "users": {"id", "run", "level", "name", "price", "text"},
}


def normalise(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Return ``frame`` with all core columns of ``table``, cast, and after them the extra columns it keeps."""
    core = list(core_columns(frame.lazy(), table))
    extras = [_cast_extra(frame[column], table) for column in extra_columns(frame.columns, table) if table in RESERVED]
    return pl.DataFrame([*core, *extras])


def core_columns(frame: pl.LazyFrame, table: str) -> Iterator[pl.Series]:
    """Yield the core columns of ``table``, cast, each read when it is asked for."""
    columns = frame.collect_schema().names()
    require_columns(columns, table, where=table)
    rows = frame.select(pl.len()).collect().item()
    for column, cast in CORE[table].items():
        if column in columns:
            yield cast(frame.select(column).collect().to_series(), table)
        else:
            kind = cast(pl.Series(column, [], dtype=pl.String), table).dtype
            yield pl.repeat(None, rows, dtype=kind, eager=True).alias(column)


def extra_columns(columns: Sequence[str], table: str) -> list[str]:
    """Return those of the ``columns`` that ``table`` does not know, in their order."""
    return [column for column in columns if column not in CORE[table]]


def require_columns(columns: Sequence[str], table: str, *, where: str) -> None:
    """Raise if a required column is missing or a name cannot be used; ``where`` is what the message speaks of."""
    for column in REQUIRED[table]:
        if column not in columns:
            found = ", ".join(map(repr, columns)) or "none"
            raise InputError(
                f"{where} has no column {column!r}{_did_you_mean(column, columns)}; its columns are {found}; "
                f"{table} needs {_needs(table)}"
            )
    spelled = Counter(column.lower() for column in {*columns, *CORE[table]})
    for column in columns:
        if column not in CORE[table] and spelled[column.lower()] > 1:
            raise InputError(f"{where} has a column {column!r} that differs from another only in case; rename it")
        if column not in CORE[table] and table in RESERVED:
            _require_extra_name(column, table, where=where)


def _require_extra_name(column: str, table: str, *, where: str) -> None:
    if not EXTRA_NAME.match(column):
        raise InputError(
            f"{where} has a column {column!r} that cannot be a property; rename it to a letter followed by "
            "letters, digits and '_'"
        )
    if column.lower() in RESERVED[table]:
        raise InputError(
            f"{where} has a column {column!r}, a name the graph keeps for itself; rename it, "
            f"for example to {table[:-1] + '_' + column.lower()!r}"
        )


def _did_you_mean(column: str, columns: Sequence[str]) -> str:
    wanted = _letters(column)
    plain = {_letters(name): name for name in columns}
    parts = [name for name in plain if name and (name in wanted or wanted in name)]
    close = difflib.get_close_matches(wanted, plain, n=1) or parts
    return f" (did you mean {plain[close[0]]!r}?)" if close else ""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _needs(table: str) -> str:
    optional = [column for column in CORE[table] if column not in REQUIRED[table]]
    needed = ", ".join(REQUIRED[table])
    return f"{needed} and may have {', '.join(optional)}" if optional else needed


def _cast_text(raw: pl.Series, table: str) -> pl.Series:
    """Return ``raw`` as text; blank text is no text."""
    if raw.dtype.is_nested() or raw.dtype in {pl.Binary, pl.Object}:
        raise InputError(f"{table}: {raw.name} holds {raw.dtype}, not text or numbers; save it as text")
    text = raw.cast(pl.String)
    is_blank = text.str.strip_chars() == ""
    return text.set(is_blank, None) if is_blank.any() else text


def _cast_id(raw: pl.Series, table: str) -> pl.Series:
    if raw.dtype.is_float():
        # 12.0 would become the id '12.0', which matches no '12' of another table.
        raise InputError(
            f"{table}: {raw.name} holds decimal numbers, first {raw.first()!r}; save ids as text or integers"
        )
    return _cast_text(raw, table)


def _cast_number(raw: pl.Series, table: str) -> pl.Series:
    if raw.dtype.is_numeric():
        return raw.cast(pl.Float64)
    text = _cast_text(raw, table)
    numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
    _refuse_lost(text, numbers, table, "is not a number; write it like 12.5 or leave it empty")
    return numbers


def _cast_moment(raw: pl.Series, table: str) -> pl.Series:
    given = _cast_text(raw, table).str.strip_chars() if raw.dtype == pl.String else raw
    moments = parse_moments(given)
    rule = "is not a time; write ISO 8601 like 2024-05-31T18:30:00Z, or seconds since 1970"
    _refuse_lost(given, moments, table, rule)
    return moments


def _refuse_lost(raw: pl.Series, cast: pl.Series, table: str, rule: str) -> None:
    lost = (raw.is_not_null() & cast.is_null()).arg_true()
    if len(lost):
        raise InputError(
            f"{table}: {raw.name} {str(raw[lost[0]])!r} in row {lost[0] + 1} {rule} ({len(lost)} of {len(raw)} rows)"
        )


def _cast_truth(raw: pl.Series, table: str) -> pl.Series:
    """Return ``raw`` as true and false; what is empty is true."""
    if raw.dtype == pl.Boolean:
        return raw.fill_null(value=True)
    text = _cast_text(raw, table).str.strip_chars().str.to_lowercase()
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    found = text.replace_strict(words, default=None, return_dtype=pl.Boolean)
    _refuse_lost(text, found, table, "is neither true nor false; write one of them or leave it empty")
    return found.fill_null(value=True)


def _cast_extra(raw: pl.Series, table: str) -> pl.Series:
    if table == "products" and raw.name == "listed":
        return _cast_truth(raw, table)
    if raw.dtype == pl.Boolean:
        return raw
    if raw.dtype.is_float() or raw.dtype.is_decimal():
        # A property that is NaN equals nothing, not even itself.
        return raw.cast(pl.Float64).fill_nan(None)
    if raw.dtype.is_integer():
        numbers = raw.cast(pl.Int64, strict=False)
        return numbers if numbers.null_count() == raw.null_count() else raw.cast(pl.String)
    return _cast_text(raw, table)


CORE: dict[str, dict[str, Callable[[pl.Series, str], pl.Series]]] = {
    "products": {
        "product_id": _cast_id,
        "name": _cast_text,
        "brand": _cast_text,
        "category": _cast_text,
        "price": _cast_number,
        "text": _cast_text,
    },
    "purchases": {
        "user_id": _cast_id,
        "product_id": _cast_id,
        "at": _cast_moment,
        "quantity": _cast_number,
        "spend": _cast_number,
        "discount": _cast_number,
        "coupon": _cast_number,
        "fold": _cast_text,
    },
    "users": {"user_id": _cast_id},
    "links": {"source_id": _cast_id, "relation": _cast_text, "target_id": _cast_id},
}
REQUIRED = {
    "products": ("product_id",),
    "purchases": ("user_id", "product_id"),
    "users": ("user_id",),
    "links": ("source_id", "relation", "target_id"),
}
