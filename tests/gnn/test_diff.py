"""Two deliveries compared: by hand, and the page that a catalog manager reads."""

from __future__ import annotations

import polars as pl
import pytest

from gnn.columns import ENDS
from gnn.diff import changes, counted, page_of, require_comparable
from kg.build import graph_tables
from loaders.errors import InputError
from loaders.tables import check_shop


def lists(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user_id", "product_id", "rank"], orient="row").with_columns(score=pl.lit(1.0))


OLD = [lists(("ann", "tea", 1), ("ann", "cup", 2), ("ann", "jam", 3)), lists(("bob", "tea", 1))]
NEW = [lists(("ann", "jam", 1), ("ann", "tea", 2)), lists(("ann", "pot", 3), ("cat", "cup", 1))]
# The same pair in the same place.
OLD.append(lists(("dan", "tea", 1)))
NEW.append(lists(("dan", "tea", 1)))


def test_what_entered_left_and_moved() -> None:
    found = changes(OLD, NEW, ENDS["bought"])
    assert found.rows() == [
        ("ann", "cup", "left", 2, None),
        ("ann", "jam", "up", 3, 1),
        ("ann", "pot", "entered", None, 3),
        ("ann", "tea", "down", 1, 2),
        ("bob", "tea", "left", 1, None),
        ("cat", "cup", "entered", None, 1),
        ("dan", "tea", "same", 1, 1),
    ]


def test_changes_are_counted_for_each_group_of_a_product() -> None:
    pairs = [("tea", "drinks"), ("cup", "china"), ("pot", "china"), ("pot", "drinks")]
    groups = pl.DataFrame(pairs, schema=["source", "target"], orient="row")
    found = counted(changes(OLD, NEW, ENDS["bought"]), groups, item="product_id")
    assert found.rows() == [("china", 2, 1, 0, 0, 0), ("drinks", 1, 1, 0, 1, 1)]
    nothing = counted(changes(OLD, OLD, ENDS["bought"]), groups, item="product_id")
    assert nothing.is_empty()


def test_the_page_says_it_all() -> None:
    products = pl.DataFrame(
        {
            "product_id": ["tea", "cup", "jam", "pot"],
            "name": ["Green | Tea", None, "Jam", "Pot"],
            "brand": ["Leaf", "China", None, "China"],
            "category": ["Food > Tea", "Home", "Food", "Home"],
        }
    )
    bought = pl.DataFrame({"user_id": ["ann"], "product_id": ["tea"], "at": [86_400]})
    tables = graph_tables(check_shop("hand", products=products, purchases=bought))
    page = {"kind": "bought", "run": "first", "made_at": "2026-01-01", "now": 86_400, "rows": 5, "users": 3}
    found = page_of(changes(OLD, NEW, ENDS["bought"]), page, {**page, "run": "second"}, tables, ENDS["bought"])
    assert "- new: run second made at 2026-01-01, purchases before 1970-01-02, 5 rows for 3 users" in found
    assert "Users with a list in both: 2; only in the old: 1; only in the new: 1." in found
    assert "| all | 2 | 2 | 1 | 1 | 1 |" in found
    assert "| China | 2 | 1 | 0 | 0 | 0 |\n| Leaf | 0 | 1 | 0 | 1 | 1 |" in found
    assert "| Food | 0 | 1 | 1 | 1 | 1 |" in found
    assert "| Food > Tea | 0 | 1 | 0 | 1 | 1 |" in found
    assert "| Green \\| Tea (tea) | 0 | 1 | 0 | 1 | 1 |" in found
    assert "| cup (cup) | 1 | 1 | 0 | 0 | 0 |" in found
    same = page_of(changes(OLD, OLD, ENDS["bought"]), page, page, tables, ENDS["bought"])
    assert same.count("Nothing changed.") == 3


def test_deliveries_of_two_kinds_are_not_compared() -> None:
    with pytest.raises(InputError, match="the old delivery is of related edges and the new one of bought; give two of"):
        require_comparable({"kind": "related"}, {"kind": "bought"})
