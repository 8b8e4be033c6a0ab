"""Parameters are found in code only, and a query with its values written out is the same query."""

from __future__ import annotations

import pytest

from kg.cypher import parameters_of, purpose, query_names, read_query, require_parameters, statements, with_values
from kg.store import GraphStore
from loaders.errors import InputError
from tests.kg.test_store_contract import NASTY


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("RETURN $one + $two + $one", {"one", "two"}),
        ("// $not this\nRETURN $one // nor $that", {"one"}),
        ("RETURN '$no', \"$no\", $yes", {"yes"}),
        (r"RETURN 'it\'s $no', $yes, 'x'", {"yes"}),
        ("MATCH (n:`$no`) RETURN n.x // it's\n, $yes", {"yes"}),
        ("RETURN 'http://x' + $yes", {"yes"}),
        ("RETURN 1", set()),
    ],
)
def test_parameters_in_comments_strings_and_backticks_are_none(text: str, parameters: set[str]) -> None:
    assert parameters_of(text) == parameters


def test_exactly_the_parameters_must_be_given() -> None:
    require_parameters("RETURN $one", {"one": 1})
    with pytest.raises(InputError, match=r"needs the parameter 'one'; give a value for each of \['one'\]"):
        require_parameters("RETURN $one", {"two": 1})
    with pytest.raises(InputError, match=r"has no parameter 'two'; it takes \['one'\]"):
        require_parameters("RETURN $one", {"one": 1, "two": 2})


def test_values_are_written_into_code_only() -> None:
    text = "// $user\nRETURN '$user', $user, $now, $limit"
    assert with_values(text, {"user": "o'$now", "now": 5.0, "limit": 3}) == (
        "// $user\nRETURN '$user', 'o\\'$now', 5.0, 3"
    )


def test_lists_and_truths_are_written_out_as_cypher_has_them() -> None:
    values = {"basket": ["it's", "$repeat"], "repeat": True}
    assert with_values("RETURN $basket, $repeat", values) == "RETURN ['it\\'s', '$repeat'], true"


def test_a_value_written_out_is_the_value(store: GraphStore) -> None:
    text = "RETURN $value AS value"
    assert [store.query(with_values(text, {"value": value}), {}).item() for value in NASTY] == NASTY
    assert store.query(with_values(text, {"value": NASTY}), {}).rows() == [(NASTY,)]
    assert [store.query(with_values(text, {"value": value}), {}).item() for value in (True, False)] == [True, False]


def test_a_schema_is_split_into_statements_without_comments() -> None:
    assert statements("// one; two\nCREATE A;\n\nCREATE B; // three\n") == ["CREATE A", "CREATE B"]


def test_the_schema_is_no_question() -> None:
    assert "explain_score" in query_names()
    assert not [name for name in query_names() if name.startswith("schema")]
    assert purpose(read_query("find_user")) == "Whether the graph has this user."
