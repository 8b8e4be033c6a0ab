"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.moments import parse_moments


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("1509336000", 1509336000),
        ("1509336000.9", 1509336000),
        ("1970-01-02", 86400),
        ("2017-10-30T04:00:00Z", 1509336000),
        ("2017-10-30 04:00:00", 1509336000),
        ("2017-10-30T04:00", 1509336000),
        ("2017-10-30T04:00:00.123456z", 1509336000),
        ("2017-10-30T00:00:00-04:00", 1509336000),
        ("2017-10-30T09:30:00+0530", 1509336000),
        ("2017-10-30T05:00:00 +01", 1509336000),
        ("2017-02-29", None),
        ("2017-10-30T25:00:00", None),
        ("2017-10-30-04", None),
        ("30.10.2017", None),
        ("yesterday", None),
        ("-5", None),
    ],
)
def test_a_written_time_is_read_as_seconds_in_utc(written: str, seconds: int | None) -> None:
    assert parse_moments(pl.Series("at", [written])).to_list() == [seconds]


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_any_iso_time_with_an_offset_is_the_moment_that_python_reads(local: datetime, minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)), microsecond=0)
    assert parse_moments(pl.Series("at", [moment.isoformat()])).to_list() == [int(moment.timestamp())]


def test_dates_and_times_with_and_without_a_zone_are_moments() -> None:
    moment = datetime(2017, 10, 30, 4, tzinfo=UTC)
    zoned = pl.Series("at", [moment]).dt.convert_time_zone("Asia/Shanghai")
    assert parse_moments(zoned).to_list() == [1509336000]
    assert parse_moments(pl.Series("at", [moment.replace(tzinfo=None)])).to_list() == [1509336000]
    assert parse_moments(pl.Series("at", [date(1970, 1, 2)])).to_list() == [86400]


def test_what_is_no_time_has_no_moment() -> None:
    assert parse_moments(pl.Series("at", [True, None])).to_list() == [None, None]
    assert parse_moments(pl.Series("at", [1.5, float("nan")])).to_list() == [1, None]
