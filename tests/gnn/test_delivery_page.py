"""The page for the catalog team says what the files hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnn.columns import BOOST, Column, Kind, columns_of
from gnn.rules import WORDS

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")
KINDS: tuple[Kind, ...] = ("bought", "related")


@pytest.mark.parametrize(
    "column", sorted({*columns_of("bought"), *columns_of("related"), BOOST}, key=str), ids=lambda each: each.name
)
def test_each_column_stands_on_the_page_with_its_type_and_meaning(column: Column) -> None:
    assert f"| `{column.name}` | {column.type} | {column.meaning} |" in PAGE


@pytest.mark.parametrize("kind", KINDS)
def test_the_sample_has_the_columns_in_their_order(kind: Kind) -> None:
    assert "\n" + ",".join(column.name for column in columns_of(kind)) + "\n" in PAGE


@pytest.mark.parametrize("word", [*WORDS, *(word for words in WORDS.values() for word in words)])
def test_each_word_of_a_rule_file_stands_on_the_page(word: str) -> None:
    assert f"{word}:" in PAGE
