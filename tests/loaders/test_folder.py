"""Your own shop, as CSV and as Parquet, and the sentence each mistake ends in."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from loaders.errors import InputError
from loaders.folder import load_folder
from loaders.tables import check_shop

PRODUCTS = "product_id,name,price\ntea,Green Tea,2.5\npot,,\n"
PURCHASES = "user_id,product_id,at\nann,tea,2024-05-31\nbob,pot,1717113600\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "corner"
    place.mkdir()
    (place / "products.csv").write_text(PRODUCTS, encoding="utf-8")
    (place / "purchases.csv").write_text(PURCHASES, encoding="utf-8")
    return place


def refused(folder: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_of_csv_files_is_a_shop(folder: Path) -> None:
    shop = load_folder(folder)
    assert shop.name == "corner"
    assert shop.products.select("product_id", "name", "price").rows() == [
        ("pot", None, None),
        ("tea", "Green Tea", 2.5),
    ]
    assert shop.purchases["at"].to_list() == [1717113600, 1717113600]
    assert (shop.validation_from, shop.test_from) == (None, None)


def test_parquet_and_csv_may_be_mixed_and_give_the_same_shop(folder: Path) -> None:
    from_csv = load_folder(folder)
    pl.read_csv(folder / "products.csv").write_parquet(folder / "products.parquet")
    (folder / "products.csv").unlink()
    assert load_folder(folder).products.equals(from_csv.products)


def test_leading_zeros_of_ids_survive(folder: Path) -> None:
    (folder / "products.csv").write_text("product_id\n007\n7\n", encoding="utf-8")
    (folder / "purchases.csv").write_text("user_id,product_id\n01,007\n1,7\n", encoding="utf-8")
    assert load_folder(folder).purchases.select("user_id", "product_id").rows() == [("01", "007"), ("1", "7")]


def test_an_extra_column_is_a_number_only_where_no_digit_is_lost(folder: Path) -> None:
    header = "product_id,whole,decimal,zip_code,ean,mixed,nothing\n"
    rows = "tea,-5,1.5,01234,12345678901234567890,5,\npot,0,2,99999,1,five,\n"
    (folder / "products.csv").write_text(header + rows, encoding="utf-8")
    products = load_folder(folder).products.drop("name", "brand", "category", "price", "text")
    assert products.rows() == [
        ("pot", 0, 2.0, "99999", "1", "five", None),
        ("tea", -5, 1.5, "01234", "12345678901234567890", "5", None),
    ]
    assert products.dtypes[1:] == [pl.Int64, pl.Float64, pl.String, pl.String, pl.String, pl.String]


def test_users_and_links_are_read_where_they_are(folder: Path) -> None:
    (folder / "users.csv").write_text("user_id,age\nann,41\n\nzoe,\n", encoding="utf-8")
    (folder / "links.csv").write_text("source_id,relation,target_id\ntea,ALSO_BOUGHT,pot\n", encoding="utf-8")
    shop = load_folder(folder)
    assert shop.users.rows() == [("ann", 41), ("bob", None), ("zoe", None)]
    assert shop.links.rows() == [("tea", "ALSO_BOUGHT", "pot")]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(folder: Path) -> None:
    (folder / "products.csv").write_bytes(b"\xef\xbb\xbf" + PRODUCTS.replace("\n", "\r\n").encode())
    assert load_folder(folder).products["product_id"].to_list() == ["pot", "tea"]


HARD_IDS = ["O'Brien", 'say "hi"', "a,b", "two\nlines", "\r\n x", "'}) DETACH DELETE n //", "🫖", "商店", "\\", "$u"]


@settings(max_examples=60)
@given(
    st.sets(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip() != "")
        | st.sampled_from(HARD_IDS),
        min_size=1,
    )
)
def test_any_id_survives_a_csv_file(ids: set[str]) -> None:
    frame = pl.DataFrame({"product_id": sorted(ids)})
    with tempfile.TemporaryDirectory() as place:
        frame.write_csv(Path(place) / "products.csv")
        frame.with_columns(pl.col("product_id").alias("user_id")).write_csv(Path(place) / "purchases.csv")
        shop = load_folder(Path(place))
    assert set(shop.products["product_id"]) == ids
    assert set(shop.users["user_id"]) == ids


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", f"{tmp_path / 'nowhere'} does not exist; give the folder that holds products.csv or")


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    refused(folder / "products.csv", "products.csv is a file, not a folder; give the folder that holds products.csv")


def test_a_missing_table_is_refused_with_the_columns_it_needs(folder: Path) -> None:
    (folder / "purchases.csv").unlink()
    refused(
        folder,
        f"{folder} has no purchases.csv or purchases.parquet; add it with the columns user_id, product_id and, "
        "where you have them, at, quantity, spend, discount, coupon, fold",
    )


def test_one_table_in_two_files_is_refused(folder: Path) -> None:
    pl.DataFrame({"product_id": ["tea"]}).write_parquet(folder / "products.parquet")
    refused(folder, f"{folder} has both products.csv and products.parquet; keep one")


def test_a_parquet_file_that_is_cut_off_is_refused(folder: Path) -> None:
    (folder / "products.csv").unlink()
    whole = folder / "products.parquet"
    pl.DataFrame({"product_id": ["tea", "pot"]}).write_parquet(whole)
    for content in (whole.read_bytes()[:-20], b"", b"product_id\ntea\n" * 5):
        whole.write_bytes(content)
        refused(folder, f"{whole} is not a whole Parquet file (")


@pytest.mark.parametrize("table", ["products", "purchases"])
def test_a_parquet_file_whose_schema_cannot_be_read_is_refused(folder: Path, table: str) -> None:
    (folder / f"{table}.csv").unlink()
    path = folder / f"{table}.parquet"
    twice = pa.Table.from_arrays([pa.array(["tea"])] * 3, names=["product_id", "user_id", "product_id"])
    parquet.write_table(twice, path)
    refused(folder, f"{path} is not a whole Parquet file (")
    pl.DataFrame({"user_id": ["ann"], "product_id": ["tea"]}).write_parquet(path)
    content = bytearray(path.read_bytes())
    # Within the schema, which is written in base 64.
    content[content.rfind(b"/////") + 40] = ord("!")
    path.write_bytes(content)
    refused(folder, f"{path} is not a whole Parquet file (")


def written_in_row_groups_of_two(folder: Path, **columns: list[object]) -> None:
    (folder / "purchases.csv").unlink()
    (folder / "products.csv").write_text("product_id\ntea\npot\n", encoding="utf-8")
    pl.DataFrame(columns).write_parquet(folder / "purchases.parquet", row_group_size=2)


def test_purchases_that_are_read_a_column_at_a_time_are_those_of_the_whole_table(folder: Path) -> None:
    lines = {
        "user_id": [12, 3, 12, 3, 7],
        "product_id": ["tea", "pot", "tea", "tea", "pot"],
        "at": [50, None, 50, 20, 10],
        "spend": [1.5, None, 2.0, 0.25, None],
        "till": [1, 2, 3, 4, 5],
    }
    written_in_row_groups_of_two(folder, **lines)
    read = load_folder(folder)
    products = pl.DataFrame({"product_id": ["tea", "pot"]})
    assert read.purchases.equals(check_shop("corner", products=products, purchases=pl.DataFrame(lines)).purchases)
    # Ids are sorted as text; the two lines of user 12 are one purchase.
    assert read.purchases.select("user_id", "product_id", "at", "quantity", "spend").rows() == [
        ("12", "tea", 50, 2.0, 3.5),
        ("3", "pot", 0, 1.0, None),
        ("3", "tea", 20, 1.0, 0.25),
        ("7", "pot", 10, 1.0, None),
    ]
    assert [(each.rule.split(",")[0], each.rows, each.example) for each in read.findings] == [
        ("is in a column that is not kept", 5, "till"),
        ("has no time", 1, "3 pot"),
        ("shares user", 1, "12 tea"),
    ]


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("at", ["50", "50", "50", "soon", "late"], "purchases: at 'soon' in row 4 is not a time; write ISO 8601"),
        ("spend", [1.0, 2.0, 3.0, 4.0, float("inf")], "purchases: spend inf is not a finite number"),
        ("quantity", [1, 1, 1, 0, -2], "purchases: quantity 0.0 is not above 0 (2 of 5 rows)"),
        ("user_id", ["a", "b", "c", "d", " "], "purchases: user_id is empty in 1 of 5 rows, first in row 5"),
        ("product_id", ["tea", "pot", "tea", "mug", "cup"], "2 of 5 purchases name an unknown product, first 'mug'"),
        ("fold", ["train", "train", "test", None, "test"], "purchases: fold is empty in 1 of 5 rows, first in row 4"),
    ],
)
def test_a_value_of_a_later_row_group_is_named_with_its_row(
    folder: Path, column: str, values: list[object], sentence: str
) -> None:
    lines: dict[str, list[object]] = {"user_id": list("abcab"), "product_id": ["tea", "pot", "tea", "pot", "tea"]}
    written_in_row_groups_of_two(folder, **(lines | {column: values}))
    refused(folder, sentence)


def test_a_parquet_file_with_a_broken_page_is_refused(folder: Path) -> None:
    written_in_row_groups_of_two(folder, user_id=list("abcde"), product_id=["tea"] * 5)
    purchases = folder / "purchases.parquet"
    content = bytearray(purchases.read_bytes())
    content[4:44] = b"\xff" * 40
    purchases.write_bytes(content)
    refused(folder, f"{purchases} is not a whole Parquet file (")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"id,name\ntea,Tea\n",
            "has no column 'product_id' (did you mean 'id'?); its columns are 'id', 'name'; products needs product_id "
            "and may have name, brand, category, price, text",
        ),
        (b"Product ID,name\ntea,Tea\n", "has no column 'product_id' (did you mean 'Product ID'?)"),
        (b"product_id;name\ntea;Tea\n", "products.csv separates its columns by ';'; save it with commas"),
        (b"product_id,name\ntea,Tea\npot,Caf\xe9\n", "products.csv is not UTF-8 in line 3; save as UTF-8"),
        ("product_id\ntea\n".encode("utf-16"), "products.csv is not UTF-8 in line 1; save as UTF-8"),
        (
            b"product_id,name\ntea,Tea\npot,Pot,blue\n",
            "products.csv has 3 values where its header has 2, at line 3; give each line as many",
        ),
        (b"product_id,name\ntea\n", "products.csv has 1 values where its header has 2, at line 2"),
        (
            b'product_id,name\ntea,"Tea\npot,Pot\n',
            "products.csv has broken quotes near line 3 (unexpected end of data)",
        ),
        (b'product_id,name\ntea,"Tea"s\n', "products.csv has broken quotes near line 2 (',' expected after '\"')"),
        (b"", "products.csv is empty; give it a first line with the names of its columns"),
        (b"\n\n", "products.csv is empty; give it a first line with the names of its columns"),
        (b"product_id,name,name\n", "products.csv has more than one column 'name'; rename all but one"),
        (b"product_id,\ntea,1\n", "has a column '' that cannot be a property"),
        (b"product_id\n", "'corner' is an empty shop: products has no rows; give at least one"),
        (
            b"product_id,price\ntea,cheap\n",
            "products: price 'cheap' in row 1 is not a number; write it like 12.5 or leave it empty (1 of 1 rows)",
        ),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_refused_in_one_sentence(folder: Path, content: bytes, sentence: str) -> None:
    (folder / "products.csv").write_bytes(content)
    refused(folder, sentence)
