"""The page that says what each number means: its examples are run, and its formulas are the code's."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_every_example_on_the_page_of_metrics_gives_what_it_shows() -> None:
    tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert tried.failed == 0
    assert tried.attempted > 25
