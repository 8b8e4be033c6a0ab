"""Makes cells of a CSV safe to open in a spreadsheet, and gives them back as they were."""

from __future__ import annotations

import polars as pl

DANGEROUS = r"^'*[=+\-@\t\r]"
"""What a spreadsheet takes for a formula (OWASP, "CSV Injection"), also behind apostrophes.

Else a cell that has an apostrophe of its own could not be told from one that was given it.
"""

GUARDED = r"^'('*[=+\-@\t\r])"


def guarded_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table with an apostrophe before each text that a spreadsheet would take for a formula.

    >>> guarded_cells(pl.DataFrame({"id": ["=1+1", "'=1", "tea"], "score": [-1.0, 0.0, 1.0]}))["id"].to_list()
    ["'=1+1", "''=1", 'tea']
    """
    text = pl.col(pl.String)
    return frame.with_columns(pl.when(text.str.contains(DANGEROUS)).then("'" + text).otherwise(text).name.keep())


def original_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table that :func:`guarded_cells` was given."""
    return frame.with_columns(pl.col(pl.String).str.replace(GUARDED, "$1"))
