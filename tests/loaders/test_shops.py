"""A shop is found by its name or its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from loaders.errors import InputError
from loaders.shops import load_shop, shop_name


def test_a_known_name_is_loaded() -> None:
    assert load_shop("synthetic").name == "synthetic"


def test_a_path_is_a_folder_of_tables(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("product_id\ntea\n", encoding="utf-8")
    (tmp_path / "purchases.csv").write_text("user_id,product_id\nann,tea\n", encoding="utf-8")
    assert load_shop(str(tmp_path)).purchases.rows() == [("ann", "tea", 0, 1.0, *[None] * 4)]


@pytest.mark.parametrize("source", ["complete_journey", ""])
def test_an_unknown_shop_is_refused_with_what_is_accepted(source: str) -> None:
    known = "'complete-journey', 'synthetic', 'amazon-beauty', 'amazon-beauty-b'"
    with pytest.raises(InputError, match=f"no shop '{source}'; give {known} or the path of a folder with tables"):
        load_shop(source)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("complete-journey", "complete-journey"),
        ("synthetic", "synthetic"),
        ("/data/My shop (2024)/", "My-shop-2024"),
        ("/data/茶店", "茶店"),
        ("/", "shop"),
    ],
)
def test_a_name_is_fit_for_a_file_name(source: str, name: str) -> None:
    assert shop_name(source) == name
