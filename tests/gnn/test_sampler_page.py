"""The page of the sampler: its example is run."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "sampler.md"


def test_the_example_on_the_page_of_the_sampler_gives_what_it_shows() -> None:
    tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert tried.failed == 0
    assert tried.attempted > 10
