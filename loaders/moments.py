"""Reads moments in time: ISO 8601 text, seconds since 1970 or dates become whole seconds, UTC."""

from __future__ import annotations

import polars as pl

SECONDS = r"^\d+(\.\d+)?$"
# Groups: date, hours and minutes, seconds, offset. Offsets in use end at +14:00.
ISO_8601 = (
    r"^(\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](\d{2}:\d{2})(?:(:\d{2})(?:[.,]\d+)?)? ?([Zz]|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?$"
)


def parse_moments(raw: pl.Series) -> pl.Series:
    """Return the seconds since 1970 (UTC) of each value; null where there is none or it cannot be read."""
    if raw.dtype.is_temporal() and raw.dtype not in {pl.Time, pl.Duration}:
        return raw.dt.epoch("s")
    if raw.dtype.is_numeric():
        # A decimal of seconds is cut off: a purchase is known to the second.
        return raw.cast(pl.Int64, strict=False)
    if raw.dtype == pl.String:
        return _parse_text(raw)
    return pl.repeat(None, len(raw), dtype=pl.Int64, eager=True).alias(raw.name)


def _parse_text(raw: pl.Series) -> pl.Series:
    text = pl.col(raw.name)
    parts = text.str.extract_groups(ISO_8601)
    local = (
        pl.concat_str(
            parts.struct.field("1"),
            pl.lit("T"),
            parts.struct.field("2").fill_null("00:00"),
            parts.struct.field("3").fill_null(":00"),
        )
        .str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="ms")
        .dt.epoch("s")
    )
    seconds = pl.when(text.str.contains(SECONDS)).then(text.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False))
    moment = seconds.otherwise(local - _offset(parts.struct.field("4")))
    return raw.to_frame().select(moment.alias(raw.name)).to_series()


def _offset(text: pl.Expr) -> pl.Expr:
    """Return the seconds that ``+05:30``, ``-0800``, ``+01`` or ``Z`` are ahead of UTC; no offset means UTC."""
    digits = text.str.replace(":", "")
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    return sign * (hours * 3600 + minutes * 60)
