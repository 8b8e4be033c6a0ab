"""Amazon Beauty: a folder of the same form worked out by hand, and the real files' counts where they are."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from loaders.amazon_beauty import RAW, load_amazon_beauty
from loaders.errors import InputError
from loaders.shops import load_shop
from loaders.tables import Shop

# Three products of the catalogue; the first two lead to B3, the last to X9, which is outside.
LINES = {
    "pgpr/product.txt.gz": ["B1", "B2", "B3"],
    "pgpr/users.txt.gz": ["ann", "bob"],
    "pgpr/brand.txt.gz": ["Oasis", "", "Coka"],
    "pgpr/brand_p_b.txt.gz": ["2", "1", ""],
    "pgpr/category.txt.gz": ["Hair > Care", "Make|up"],
    "pgpr/category_p_c.txt.gz": ["0 1", "1", ""],
    "pgpr/related_product.txt.gz": ["X9", "B3", "B1"],
    "pgpr/also_bought_p_p.txt.gz": ["1", "1", "0 2"],
    "pgpr/also_viewed_p_p.txt.gz": ["2", "", ""],
    "pgpr/bought_together_p_p.txt.gz": ["", "2", ""],
    "cafe/train_labels.txt.gz": ["0\t0\t2", "1\t1"],
    "cafe/test_labels.txt.gz": ["1\t0"],
    "s3rec/Beauty.txt": ["1 2 1 3", "2 3 1"],
    "llmrecsysid/datamaps.json": [
        json.dumps({"user2id": {"ann": "1", "bob": "2"}, "item2id": {"B1": "1", "B2": "2", "B3": "3"}})
    ],
    "dhr_titles/item_id_to_int.json": [json.dumps({"B1": 7, "B2": 8, "B3": 9})],
    "dhr_titles/products_lookup.csv": [",global_product_id,name", "0,7,Shampoo", '1,9,"Mask, red"', "2,8,"],
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name, lines in LINES.items():
        write(tmp_path / name, lines)
    return tmp_path


def write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)


def test_products_have_titles_brands_categories_and_those_outside_are_not_listed(raw: Path) -> None:
    shop = load_amazon_beauty(raw)
    assert shop.products.drop("price").rows() == [
        ("B1", "Shampoo", "Coka", "Hair / Care|Make/up", "Shampoo", True),
        ("B2", None, None, "Make/up", None, True),
        ("B3", "Mask, red", None, None, "Mask, red", True),
        ("X9", None, None, None, None, False),
    ]


def test_links_are_merged_by_asin(raw: Path) -> None:
    shop = load_amazon_beauty(raw)
    # B1 also_viewed leads to B1 itself, which is dropped.
    assert shop.links.rows() == [
        ("B1", "ALSO_BOUGHT", "B3"),
        ("B2", "ALSO_BOUGHT", "B3"),
        ("B2", "BOUGHT_TOGETHER", "B1"),
        ("B3", "ALSO_BOUGHT", "B1"),
        ("B3", "ALSO_BOUGHT", "X9"),
    ]
    assert [finding.rule for finding in shop.findings] == ["links a product to itself"]


def test_split_a_is_the_published_one(raw: Path) -> None:
    assert load_amazon_beauty(raw).purchases.select("user_id", "product_id", "at", "fold").rows() == [
        ("ann", "B1", 0, "train"),
        ("ann", "B3", 0, "train"),
        ("bob", "B1", 0, "test"),
        ("bob", "B2", 0, "train"),
    ]


def test_split_b_leaves_the_last_out_and_keeps_the_order_as_time(raw: Path) -> None:
    shop = load_shop("amazon-beauty-b", raw=str(raw))
    days = shop.purchases.select("user_id", "product_id", pl.col("at") // 86_400, "fold").sort("user_id", "at")
    # One a day, and everybody's last on the same day.
    assert days.rows() == [
        ("ann", "B2", 1, "train"),
        ("ann", "B1", 2, "validation"),
        ("ann", "B3", 3, "test"),
        ("bob", "B3", 2, "validation"),
        ("bob", "B1", 3, "test"),
    ]


def test_a_missing_folder_or_file_is_named(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder '.*nowhere' with Amazon Beauty; give its place by --raw"):
        load_shop("amazon-beauty", raw=str(tmp_path / "nowhere"))
    (raw / "pgpr" / "brand.txt.gz").unlink()
    with pytest.raises(InputError, match=r"has no file 'pgpr/brand.txt.gz', which Amazon Beauty needs"):
        load_amazon_beauty(raw)


def test_a_line_that_points_nowhere_is_named(raw: Path) -> None:
    write(raw / "pgpr" / "brand_p_b.txt.gz", ["2", "3", ""])
    with pytest.raises(InputError, match="brand_p_b: line 2 holds '3', which is no number below 3"):
        load_amazon_beauty(raw)
    write(raw / "pgpr" / "brand_p_b.txt.gz", ["2", "1"])
    with pytest.raises(InputError, match="brand_p_b' has 2 lines for 3 products"):
        load_amazon_beauty(raw)


def test_a_file_that_is_cut_short_is_named(raw: Path) -> None:
    file = raw / "pgpr" / "product.txt.gz"
    file.write_bytes(file.read_bytes()[:-6])
    with pytest.raises(InputError, match=r"product\.txt\.gz' cannot be read"):
        load_amazon_beauty(raw)


def test_a_shop_without_raw_files_refuses_a_folder() -> None:
    with pytest.raises(InputError, match="'synthetic' has no raw files to be found in 'here'; leave out --raw"):
        load_shop("synthetic", raw="here")


@pytest.fixture(scope="module")
def real() -> dict[str, Shop]:
    if not RAW.is_dir():
        pytest.skip(f"Amazon Beauty NOT TESTED on its real files: there is no {RAW}")
    return {"a": load_amazon_beauty(split="a"), "b": load_amazon_beauty(split="b")}


def test_the_real_files_have_the_counts_that_are_published(real: dict[str, Shop]) -> None:
    shop = real["a"]
    catalogue = shop.products.filter("listed")
    assert (len(shop.users), len(catalogue), len(shop.purchases)) == (22_363, 12_101, 198_502)
    assert catalogue["brand"].drop_nulls().n_unique() == 2_076
    assert catalogue["category"].str.split("|").explode().drop_nulls().n_unique() == 248
    assert catalogue["name"].null_count() == 7
    folds = dict(shop.purchases.group_by("fold").len().iter_rows())
    assert folds == {"train": 149_844, "test": 48_658}
    reached = shop.links["target_id"].unique()
    assert catalogue["product_id"].is_in(reached.implode()).sum() <= 7_404
    assert len(shop.products.filter(~pl.col("listed"))) + 7_404 >= reached.len()


def test_both_real_splits_hold_the_same_purchases(real: dict[str, Shop]) -> None:
    pairs = [shop.purchases.select("user_id", "product_id").sort(pl.all()) for shop in real.values()]
    assert pairs[0].equals(pairs[1])
    folds = dict(real["b"].purchases.group_by("fold").len().iter_rows())
    assert folds == {"train": 153_776, "validation": 22_363, "test": 22_363}
