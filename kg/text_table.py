"""Puts rows and moments in plain text for a terminal: aligned columns, dates, names in one line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

WIDEST = 40


def text_table(header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Return ``rows`` under ``header``: text to the left, numbers to the right, decimals with four places."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(_width(cell) for cell in column) for column in zip(*cells, strict=True)]
    is_text = [all(isinstance(row[place], str) for row in rows) for place in range(len(header))]
    lines = []
    for line in cells:
        padded = (
            cell + " " * (width - _width(cell)) if left else " " * (width - _width(cell)) + cell
            for cell, width, left in zip(line, widths, is_text, strict=True)
        )
        lines.append("  " + "  ".join(padded).rstrip())
    return "\n".join(lines)


def one_line(text: str) -> str:
    """Return ``text`` without line breaks and other signs a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def date_text(at: int) -> str:
    """Return the day (UTC) of a moment in seconds since 1970, of which 0 means that nobody knows."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") if at else "unknown"


def time_text(at: int) -> str:
    """Return the minute (UTC) of a moment in seconds since 1970."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def product_text(product: str, name: str | None) -> str:
    """Return what to call a product: its name where it has one, and its id."""
    return one_line(f"{name[:WIDEST]} ({product})" if name else product)


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return one_line(value) if isinstance(value, str) else str(value)


def _width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes; Chinese letters and emoji take two, accents none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(bool(unicodedata.combining(letter)) for letter in text)
