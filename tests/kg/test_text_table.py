"""Rows in plain text: aligned whatever the letters, and always one line each."""

from __future__ import annotations

from kg.text_table import date_text, one_line, product_text, text_table


def test_text_is_aligned_left_and_numbers_right() -> None:
    shown = text_table(("name", "count", "share"), [("tea", 5, 0.25), ("green tea", 12, -1.0)])
    assert shown.split("\n") == [
        "  name       count    share",
        "  tea            5   0.2500",
        "  green tea     12  -1.0000",
    ]


def test_wide_letters_take_two_columns() -> None:
    assert text_table(("name", "n"), [("茶", 1), ("tea", 2)]).split("\n")[1:] == ["  茶    1", "  tea   2"]


def test_line_breaks_and_control_signs_become_spaces() -> None:
    assert one_line("a\nb\x1b[31m\tc") == "a b [31m c"
    assert product_text("p\n1", None) == "p 1"
    assert product_text("p1", "n" * 50) == "n" * 40 + " (p1)"


def test_a_day_is_in_utc_and_zero_is_unknown() -> None:
    assert date_text(1704067199) == "2023-12-31"
    assert date_text(0) == "unknown"
