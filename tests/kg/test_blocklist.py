"""What is too sensitive for a profile is known by its name."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from kg.blocklist import SENSITIVE, require_words, sensitive
from loaders.errors import InputError

REVEALING = (
    *("DRUG GM", "Pharmacy", "DRUG GM > CANDY - CHECKLANE", "NUTRITION > FITNESS&DIET", "NUTRITION > NATURAL VITAMINS"),
    *("GROCERY > RESTRICTED DIET", "MISCELLANEOUS > DEA SCHEDULE C II", "COSMETICS > MAKEUP > ACNE MEDICATIONS"),
    *("Health & Household", "PASTRY > PIES > PIES: SUGAR FREE", "Shop > Family  Planning", "Pregnancy tests"),
    *("NUTRITION > BABYFOOD", "Toys > Baby & Toddler Toys", "Infant formula", "MISCELLANEOUS > FEM. HYGN. TAMPONS"),
    *("MEAT-PCKGD > HOT DOGS > KOSHER/SPECIALTY", "Halal Meats", "FLORAL > EASTER LILY", "Books > Religious", "Bibles"),
    *(
        "SPIRITS > LIQUOR",
        "GROCERY > BEERS/ALES",
        "GROCERY > DOMESTIC WINE",
        "MISCELLANEOUS > CHEWING TOBACCO",
        "cigarettes",
    ),
    *(
        "GROCERY > TEA BAGS & BULK TEA (SUPPLEMEN",
        "MULTI_VITAMIN",
        "Multivitamins",
        "Prenatal care",
        "HIV test",
        "Nappies",
    ),
    *("GROCERY > SALT SUBSTITUTES", "GROCERY > AUTHENTIC INDIAN FOODS", "TOYS > KIDS BOOKS", "Nappies", "Vape"),
    "Sanitary pads",
)
HARMLESS = (
    *("GROCERY", "GROCERY > FROZEN PIZZA", "PRODUCE > HERBS", "DELI > SANDWICHES > SANDWICHES - (COLD)"),
    *("GROCERY > COLD CEREAL > ADULT CEREAL", "GROCERY > TEAS > TEA BAGS HERBAL & FLAVORED", "Ginger", "Rump steak"),
    *("PRODUCE > TOMATOES > TOMATOES COCKTAIL", "MEAT > CHICKEN > CHICKEN DRUMS", "Essex"),
    *("COSMETICS > BATH", "Swine", "Music > Drum Stick"),
)  # fmt: skip


@pytest.mark.parametrize("name", REVEALING)
def test_a_revealing_name_is_sensitive(name: str) -> None:
    assert sensitive(pl.Series([name]), words=SENSITIVE).to_list() == [True]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_name_is_not(name: str) -> None:
    assert sensitive(pl.Series([name]), words=SENSITIVE).to_list() == [False]


def test_words_of_ones_own_take_the_place_of_the_list() -> None:
    names = pl.Series(["Wine", "Music > Guitar String", "Music.Box"])
    assert sensitive(names, words=("guitar*", "c.box")).to_list() == [False, True, False]
    assert sensitive(names, words=()).to_list() == [False, False, False]


def test_the_page_lists_every_word() -> None:
    text = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\*\*(?:Health|Pregnancy|Religion|Alcohol)[^*]*\*\*: (.*)\.$", text, re.MULTILINE)
    assert sorted(re.findall(r"`([^`]+)`", " ".join(listed))) == sorted(SENSITIVE)


@pytest.mark.parametrize("word", ["", "*", "&"])
def test_a_word_without_a_letter_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="has no letter, so it would block every name; give words with letters"):
        require_words(("beer", word))
