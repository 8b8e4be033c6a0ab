"""What a checked shop is, and the sentence each broken rule ends in."""

from __future__ import annotations

import re
from typing import Any

import polars as pl
import pytest

from loaders.errors import InputError
from loaders.finding import Finding
from loaders.tables import Shop, check_shop

PRODUCTS = {"product_id": ["tea", "pot"]}
PURCHASES = {"user_id": ["ann", "bob"], "product_id": ["tea", "pot"]}


def shop(
    products: dict[str, Any] | None = None,
    purchases: dict[str, Any] | None = None,
    users: dict[str, Any] | None = None,
    links: dict[str, Any] | None = None,
) -> Shop:
    return check_shop(
        "corner",
        products=pl.DataFrame(PRODUCTS | (products or {}), strict=False),
        purchases=pl.DataFrame(PURCHASES | (purchases or {}), strict=False),
        users=None if users is None else pl.DataFrame(users),
        links=None if links is None else pl.DataFrame(links),
    )


def test_the_smallest_shop_has_every_core_column_with_its_type() -> None:
    checked = shop()
    text, number = pl.String, pl.Float64
    assert dict(checked.products.schema) == {
        "product_id": text,
        "name": text,
        "brand": text,
        "category": text,
        "price": number,
        "text": text,
    }
    assert dict(checked.purchases.schema) == {
        "user_id": text,
        "product_id": text,
        "at": pl.Int64,
        "quantity": number,
        "spend": number,
        "discount": number,
        "coupon": number,
        "fold": text,
    }
    assert dict(checked.users.schema) == {"user_id": text}
    assert dict(checked.links.schema) == {"source_id": text, "relation": text, "target_id": text}
    assert checked.purchases.rows() == [
        ("ann", "tea", 0, 1.0, None, None, None, None),
        ("bob", "pot", 0, 1.0, None, None, None, None),
    ]
    assert checked.products["product_id"].to_list() == ["pot", "tea"]
    assert checked.findings == ()
    assert (checked.validation_from, checked.test_from) == (None, None)


def test_integer_ids_become_text() -> None:
    checked = shop({"product_id": [10, 9]}, {"user_id": [2, 1], "product_id": [9, 10]})
    assert checked.purchases.select("user_id", "product_id").rows() == [("1", "10"), ("2", "9")]


def test_blank_text_is_no_text() -> None:
    assert shop({"brand": ["  ", "Acme"]}).products["brand"].to_list() == ["Acme", None]


def test_extra_columns_are_kept_in_their_order_with_plain_types() -> None:
    extras = {"weight_g": [1, 2], "Fair": [True, False], "score": [0.5, float("nan")], "since": ["2020", "2021"]}
    frame = pl.DataFrame(PRODUCTS | extras).with_columns(
        pl.col("weight_g").cast(pl.UInt8), pl.col("score").cast(pl.Float32), pl.col("since").cast(pl.Categorical)
    )
    checked = check_shop("corner", products=frame, purchases=pl.DataFrame(PURCHASES))
    kept = checked.products.select(list(extras))
    assert kept.dtypes == [pl.Int64, pl.Boolean, pl.Float64, pl.String]
    assert kept.rows() == [(2, False, None, "2021"), (1, True, 0.5, "2020")]


def test_an_extra_column_of_two_tables_has_one_type() -> None:
    checked = shop({"age": [3, 4]}, users={"user_id": ["ann"], "age": ["30-39"]})
    assert checked.products["age"].to_list() == ["4", "3"]
    assert checked.users.rows() == [("ann", "30-39"), ("bob", None)]


def test_users_are_the_given_rows_and_all_buyers() -> None:
    checked = shop(users={"user_id": ["zoe", "bob"], "age": [40, 50]})
    assert checked.users.rows() == [("ann", None), ("bob", 50), ("zoe", 40)]


def test_lines_of_one_user_product_and_time_are_added_up() -> None:
    checked = shop(
        purchases={
            "user_id": ["bob", "ann", "ann", "ann", "ann"],
            "product_id": ["pot", "tea", "tea", "tea", "pot"],
            "at": [5, 7, 7, 8, 7],
            "quantity": [1, 2, 3, 1, 1],
            "spend": [None, 1.5, None, 4.0, None],
            "discount": [0.5, 0.25, 0.5, None, 0.0],
            "coupon": [None, None, None, 2.0, None],
        }
    )
    assert checked.purchases.drop("fold").rows() == [
        ("ann", "pot", 7, 1.0, None, 0.0, None),
        ("ann", "tea", 7, 5.0, 1.5, 0.75, None),
        ("ann", "tea", 8, 1.0, 4.0, None, 2.0),
        ("bob", "pot", 5, 1.0, None, 0.5, None),
    ]
    rule = "shares user, product and time with another line, so was added to it"
    assert checked.findings == (Finding("purchases", rule, "kept", 1, "ann tea"),)


@pytest.mark.parametrize("money", ["spend", "discount", "coupon"])
def test_money_nobody_knows_stays_unknown_when_lines_are_added_up(money: str) -> None:
    purchases = {"user_id": ["ann", "ann"], "product_id": ["tea", "tea"], money: [None, None]}
    assert shop(purchases=purchases).purchases.rows() == [("ann", "tea", 0, 2.0, None, None, None, None)]


def test_no_discount_is_not_an_unknown_one() -> None:
    checked = shop(purchases={"discount": ["0", ""], "coupon": [None, "1.25"]})
    assert checked.purchases.select("discount", "coupon").rows() == [(0.0, None), (None, 1.25)]


def test_links_to_no_product_to_itself_and_given_twice_are_dropped_and_counted() -> None:
    checked = shop(
        links={
            "source_id": ["tea", "tea", "tea", "pot", "pot"],
            "relation": ["ALSO_BOUGHT", "ALSO_BOUGHT", "ALSO_BOUGHT", "ALSO_BOUGHT", "B2"],
            "target_id": ["pot", "pot", "mug", "pot", "tea"],
        }
    )
    assert checked.links.rows() == [("pot", "B2", "tea"), ("tea", "ALSO_BOUGHT", "pot")]
    assert checked.findings == (
        Finding("links", "names a product that does not exist", "dropped", 1, "tea ALSO_BOUGHT mug"),
        Finding("links", "links a product to itself", "dropped", 1, "pot ALSO_BOUGHT pot"),
        Finding("links", "is given more than once", "dropped", 1, "tea ALSO_BOUGHT pot"),
    )


def test_columns_of_purchases_that_are_not_kept_and_missing_times_are_counted() -> None:
    checked = shop(purchases={"at": [None, 9], "till": [1, 2]})
    assert "till" not in checked.purchases.columns
    assert checked.findings == (
        Finding("purchases", "is in a column that is not kept", "dropped", 2, "till"),
        Finding("purchases", "has no time, though others do: counted as the oldest", "kept", 1, "ann tea"),
    )


@pytest.mark.parametrize("money", ["spend", "discount", "coupon"])
def test_the_order_of_the_rows_does_not_change_the_shop(money: str) -> None:
    purchases = pl.DataFrame({"user_id": ["a"] * 3, "product_id": ["tea"] * 3, money: [0.1, 0.2, 0.3]})
    there = check_shop("corner", products=pl.DataFrame(PRODUCTS), purchases=purchases)
    back = check_shop("corner", products=pl.DataFrame(PRODUCTS).reverse(), purchases=purchases.reverse())
    assert there.purchases.equals(back.purchases)
    assert there.products.equals(back.products)


@pytest.mark.parametrize(
    ("products", "sentence"),
    [
        ({"product_id": []}, "'corner' is an empty shop: products has no rows; give at least one"),
        (
            {"product_id": ["tea", "tea", "pot", "pot", "mug"]},
            "products: product_id must be unique, but 2 of 3 occur more than once, first 'tea'; keep one row of each",
        ),
        ({"product_id": ["tea", None]}, "products: product_id is empty in 1 of 2 rows, first in row 2; fill it in"),
        ({"product_id": [" ", "tea"]}, "products: product_id is empty in 1 of 2 rows, first in row 1; fill it in"),
        (
            {"product_id": [1.0, 2.0]},
            "products: product_id holds decimal numbers, first 1.0; save ids as text or integers",
        ),
        (
            {"price": ["1.50", "three"]},
            "products: price 'three' in row 2 is not a number; write it like 12.5 or leave it empty (1 of 2 rows)",
        ),
        (
            {"price": [1.0, float("inf")]},
            "products: price inf is not a finite number (1 of 2 rows); write it like 12.5 or leave it empty",
        ),
        (
            {"category": ["Food > > Tea", "Food"]},
            "products: category 'Food > > Tea' has an empty level (1 of 2 rows); write 'A > B > C', several paths "
            "apart by '|'",
        ),
        (
            {"shelf no": [1, 2]},
            "products has a column 'shelf no' that cannot be a property; rename it to a letter followed by letters, "
            "digits and '_'",
        ),
        (
            {"Level": [1, 2]},
            "products has a column 'Level', a name the graph keeps for itself; rename it, for example to "
            "'product_level'",
        ),
        ({"Price": [1, 2]}, "products has a column 'Price' that differs from another only in case; rename it"),
        (
            {"tags": [["a"], ["b"]]},
            "products: tags holds List(String), not text or numbers; save it as text",
        ),
    ],
)
def test_a_product_table_that_breaks_a_rule_is_refused_in_one_sentence(products: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        check_shop("corner", products=pl.DataFrame(PRODUCTS | products), purchases=pl.DataFrame(PURCHASES))


@pytest.mark.parametrize(
    ("purchases", "sentence"),
    [
        (
            {"user_id": [], "product_id": []},
            "'corner' is an empty shop: purchases has no rows; give at least one",
        ),
        (
            {"product_id": ["mug", "tea"]},
            "1 of 2 purchases name an unknown product, first 'mug'; add its row to products or drop the purchase",
        ),
        ({"user_id": ["ann", ""]}, "purchases: user_id is empty in 1 of 2 rows, first in row 2; fill it in"),
        (
            {"quantity": [0, -1]},
            "purchases: quantity 0.0 is not above 0 (2 of 2 rows); drop returns and empty lines",
        ),
        (
            {"quantity": [1.0, float("nan")]},
            "purchases: quantity nan is not a finite number (1 of 2 rows); write it like 12.5 or leave it empty",
        ),
        (
            {"quantity": [float("inf"), 1.0]},
            "purchases: quantity inf is not a finite number (1 of 2 rows); write it like 12.5 or leave it empty",
        ),
        (
            {"quantity": ["1,5", "2"]},
            "purchases: quantity '1,5' in row 1 is not a number; write it like 12.5 or leave it empty (1 of 2 rows)",
        ),
        (
            {"spend": [True, None]},
            "purchases: spend 'true' in row 1 is not a number; write it like 12.5 or leave it empty (1 of 2 rows)",
        ),
        (
            {"discount": [0.5, -0.5]},
            "purchases: discount -0.5 is below 0 (1 of 2 rows); give what was taken off as a number of 0 or more, or "
            "leave it empty",
        ),
        (
            {"discount": [None, float("nan")]},
            "purchases: discount nan is not a finite number (1 of 2 rows); write it like 12.5 or leave it empty",
        ),
        (
            {"coupon": [-1, -2]},
            "purchases: coupon -1.0 is below 0 (2 of 2 rows); give what was taken off as a number of 0 or more, or "
            "leave it empty",
        ),
        (
            {"coupon": [float("inf"), None]},
            "purchases: coupon inf is not a finite number (1 of 2 rows); write it like 12.5 or leave it empty",
        ),
        (
            {"coupon": ["10 %", None]},
            "purchases: coupon '10 %' in row 1 is not a number; write it like 12.5 or leave it empty (1 of 2 rows)",
        ),
        (
            {"at": ["2024-05-31", "31.5.2024"]},
            "purchases: at '31.5.2024' in row 2 is not a time; write ISO 8601 like 2024-05-31T18:30:00Z, or seconds "
            "since 1970 (1 of 2 rows)",
        ),
        (
            {"at": [1717180200000, 0]},
            "purchases: at 1717180200000 is not between 1970 and 9999 (1 of 2 rows); give seconds since 1970, not "
            "milliseconds, or ISO 8601",
        ),
        (
            {"fold": ["train", "dev"]},
            "purchases: fold 'dev' is none of train, validation, test (1 of 2 rows); write one of these",
        ),
        (
            {"fold": ["train", None]},
            "purchases: fold is empty in 1 of 2 rows, first in row 2; fill in all of them or none",
        ),
        (
            {"user_id": ["ann", "ann"], "product_id": ["tea", "tea"], "fold": ["train", "test"]},
            "purchases: 1 purchases of the same user, product and time are in more than one fold, first 'ann' 'tea'; "
            "put them in one fold",
        ),
        ({"Quantity": [1, 2]}, "purchases has a column 'Quantity' that differs from another only in case; rename it"),
    ],
)
def test_a_purchase_table_that_breaks_a_rule_is_refused_in_one_sentence(
    purchases: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        shop(purchases=purchases)


@pytest.mark.parametrize(
    ("users", "sentence"),
    [
        (
            {"user_id": ["ann", "ann"]},
            "users: user_id must be unique, but 1 of 1 occur more than once, first 'ann'; keep one row of each",
        ),
        (
            {"user_id": ["ann"], "name": ["Ann"]},
            "users has a column 'name', a name the graph keeps for itself; rename it, for example to 'user_name'",
        ),
        (
            {"User": ["ann"]},
            "users has no column 'user_id' (did you mean 'User'?); its columns are 'User'; users needs user_id",
        ),
    ],
)
def test_a_user_table_that_breaks_a_rule_is_refused_in_one_sentence(users: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        shop(users=users)


@pytest.mark.parametrize(
    ("relation", "sentence"),
    [
        (
            "also bought",
            "links: relation 'also bought' is not a relation's name (1 of 1 rows); write capitals, digits and '_', "
            "like ALSO_BOUGHT",
        ),
        (
            "RELATED",
            "links: relation 'RELATED' is a name the graph keeps for itself (1 of 1 rows); choose another, like "
            "ALSO_BOUGHT",
        ),
        (None, "links: relation is empty in 1 of 1 rows, first in row 1; fill it in"),
    ],
)
def test_a_relation_that_cannot_be_an_edge_is_refused(relation: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        shop(links={"source_id": ["tea"], "relation": [relation], "target_id": ["pot"]})
