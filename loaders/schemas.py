"""States the rules of each table as a pandera schema, and puts a broken rule in one sentence."""

from __future__ import annotations

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason

from loaders.errors import InputError

GRAPH_NAMES = (
    *("BOUGHT", "HAS_BRAND", "IN_CATEGORY", "SUBCATEGORY_OF", "RELATED", "RECOMMENDED", "PREFERS"),
    # Ladybug keeps nodes and edges in one list of names that ignores case.
    *("USER", "PRODUCT", "BRAND", "CATEGORY", "GRAPH", "RUN"),
)
LEVEL = r"[^>|]*[^>|\s][^>|]*"
YEAR_10000 = 253_402_300_800
FOLDS = ("train", "validation", "test")


def _finite(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col(data.key).is_finite())


def _not_a_graph_name(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(~pl.col(data.key).is_in(GRAPH_NAMES))


FINITE = pa.Check(_finite, error="is not a finite number; write it like 12.5 or leave it empty")
IDENTIFIER = pa.Column(pl.String)
MONEY_OFF = pa.Column(
    pl.Float64,
    # FINITE first: polars orders NaN above every number.
    [FINITE, pa.Check.ge(0, error="is below 0; give what was taken off as a number of 0 or more, or leave it empty")],
    nullable=True,
)

SCHEMAS = {
    "products": pa.DataFrameSchema(
        {
            "product_id": pa.Column(pl.String, unique=True),
            "name": pa.Column(pl.String, nullable=True),
            "brand": pa.Column(pl.String, nullable=True),
            "category": pa.Column(
                pl.String,
                pa.Check.str_matches(
                    rf"^{LEVEL}([>|]{LEVEL})*$",
                    error="has an empty level; write 'A > B > C', several paths apart by '|'",
                ),
                nullable=True,
            ),
            "price": pa.Column(pl.Float64, FINITE, nullable=True),
            "text": pa.Column(pl.String, nullable=True),
        }
    ),
    "purchases": pa.DataFrameSchema(
        {
            "user_id": IDENTIFIER,
            "product_id": IDENTIFIER,
            "at": pa.Column(
                pl.Int64,
                pa.Check.in_range(
                    0,
                    YEAR_10000,
                    include_max=False,
                    error="is not between 1970 and 9999; give seconds since 1970, not milliseconds, or ISO 8601",
                ),
            ),
            "quantity": pa.Column(
                pl.Float64,
                # FINITE first: polars orders NaN above every number.
                [FINITE, pa.Check.gt(0, error="is not above 0; drop returns and empty lines")],
                # Never null by now, but pandera would report NaN as a null.
                nullable=True,
            ),
            "spend": pa.Column(pl.Float64, FINITE, nullable=True),
            "discount": MONEY_OFF,
            "coupon": MONEY_OFF,
            "fold": pa.Column(
                pl.String,
                pa.Check.isin(FOLDS, error=f"is none of {', '.join(FOLDS)}; write one of these"),
                nullable=True,
            ),
        }
    ),
    "users": pa.DataFrameSchema({"user_id": pa.Column(pl.String, unique=True)}),
    "links": pa.DataFrameSchema(
        {
            "source_id": IDENTIFIER,
            "relation": pa.Column(
                pl.String,
                [
                    pa.Check.str_matches(
                        r"^[A-Z][A-Z0-9_]*$",
                        error="is not a relation's name; write capitals, digits and '_', like ALSO_BOUGHT",
                    ),
                    pa.Check(
                        _not_a_graph_name,
                        error="is a name the graph keeps for itself; choose another, like ALSO_BOUGHT",
                    ),
                ],
            ),
            "target_id": IDENTIFIER,
        }
    ),
}


def validate(frame: pl.DataFrame, table: str) -> None:
    """Raise an InputError that names the first rule of ``table`` that ``frame``, all or some of its columns, breaks."""
    rules = {name: column for name, column in SCHEMAS[table].columns.items() if name in frame.columns}
    try:
        pa.DataFrameSchema(rules).validate(frame)
    except SchemaError as error:
        raise InputError(_sentence(error, frame, table)) from None


def _sentence(error: SchemaError, frame: pl.DataFrame, table: str) -> str:
    column = error.schema.name
    where = f"{table}: {column}"
    if error.reason_code is SchemaErrorReason.SERIES_CONTAINS_NULLS:
        empty = frame[column].is_null().arg_true()
        return f"{where} is empty in {len(empty)} of {len(frame)} rows, first in row {empty[0] + 1}; fill it in"
    if error.reason_code is SchemaErrorReason.SERIES_CONTAINS_DUPLICATES:
        repeated = frame[column].filter(frame[column].is_duplicated())
        return (
            f"{where} must be unique, but {repeated.n_unique()} of {frame[column].n_unique()} occur more than once, "
            f"first {repeated[0]!r}; keep one row of each"
        )
    broken = pl.DataFrame(error.failure_cases).to_series()
    rule, remedy = str(error.check.error).split("; ", 1)
    return f"{where} {broken[0]!r} {rule} ({len(broken)} of {len(frame)} rows); {remedy}"
