"""Says what no profile may be made of: categories and brands that reveal what nobody should guess of a person."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from loaders.errors import InputError

HEALTH = (
    *("ACNE", "ALLERG*", "ANALGESIC*", "ANTACID*", "ASTHMA*", "COLD AND FLU", "COLD & FLU", "COUGH", "DEA SCHEDULE"),
    *("DENTURE*", "DIABET*", "DIET*", "DIGESTI*", "DRUG*", "EYE AND EAR CARE", "FIRST AID", "FOOT CARE", "GLUTEN"),
    *("HEALTH*", "HEARING AID", "HOMEOPATH*", "INCONTINENCE", "LACTOSE", "LAXATIVE*", "MEDIC*", "NUT SUPP*"),
    *("PAIN RELIEF", "PHARMAC*", "PRESCRIPTION*", "REMED*", "SINUS", "SLIMMING", "SUGAR FREE", "SUPPLEMEN*"),
    *("ANTIDEPRESS*", "BLOOD GLUCOSE", "HEMORRHOID*", "HIV", "MULTIVITAMIN*", "SALT SUBSTITUTE", "VISION AID"),
    *("VITAMIN*", "WEIGHT CONTROL", "WEIGHT LOSS", "WEIGHT MANAGEMENT"),
)
FAMILY = (
    *("ADULT TOY", "BABIES", "BABY*", "BREAST PUMP", "BREASTFEEDING", "CONDOM", "CONTRACEPT*", "DIAPER*", "EROTIC*"),
    *("FAMILY PLANNING", "FEMININE", "FERTILITY", "HYGN", "INFANT*", "MATERNITY", "MENSTRU*", "NEWBORN", "NURSING"),
    *("KIDS", "MENOPAUS*", "NAPPIES", "NAPPY", "OVULATION", "PERSONAL LUBRICANT", "PREGNAN*", "PRENATAL", "PRESCHOOL"),
    *("PRESHCOOL", "SANITARY PAD", "SEX", "SEXUAL*", "TAMPON*", "TODDLER*", "TOYS"),
)
FAITH_AND_ORIGIN = (
    *("AUTHENTIC", "CARIBBEAN", "MEDITERRANEAN", "MEXICAN", "QURAN", "ROSARY", "TORAH"),
    *("BIBLE", "CATHOLIC", "CHRISTIAN", "CHRISTMAS", "CHURCH", "DIWALI", "EASTER", "ETHNIC*", "HALAL", "HANUKKAH"),
    *("HISPANIC", "ISLAM*", "JEWISH", "KOSHER", "MUSLIM", "PASSOVER", "POLITIC*", "PRAYER", "RAMADAN", "RELIGI*"),
)
ADDICTION = (
    *("ALCOHOL*", "BEER*", "BRANDY*", "CIGAR*", "COCKTAIL MIX*", "COCKTAILS", "COGNAC", "GAMBLING", "GIN", "LIQUEUR"),
    *("LIQUOR*", "LOTTERY", "RUM", "SMOKING", "SPIRITS", "TEQUILA", "TOBACCO*", "VAPING", "VODKA*", "WHISKEY*"),
    *("CANNABIS", "CHAMPAGNE", "NICOTINE", "VAPE", "WHISKIES", "WHISKY", "WINE"),
)

SENSITIVE = (*HEALTH, *FAMILY, *FAITH_AND_ORIGIN, *ADDICTION)
"""Words and phrases of a name that make it sensitive, in any case; ``*`` stands for any further letters.

A word may have a plural's S. Chosen by reading all departments, categories and types of The Complete Journey.
"""


def sensitive(ids: pl.Series, *, words: Sequence[str]) -> pl.Series:
    """Return whether each of ``ids`` (whole paths of categories, or brands) holds one of ``words``; of none, all False.

    A path holds the names of all levels, so what lies below a sensitive category is sensitive too.
    """
    if not words:
        return pl.repeat(value=False, n=len(ids), eager=True)
    phrases = "|".join(_pattern(word) for word in words)
    # An underscore parts words in names, though \b takes it for a letter.
    return ids.str.replace_all("_", " ", literal=True).str.contains(rf"(?i)\b(?:{phrases})\b")


def require_words(words: Sequence[str]) -> None:
    """Raise where a word has no letter: it would block every name."""
    for word in words:
        if not re.search(r"\w", word):
            raise InputError(f"--blocked {word!r} has no letter, so it would block every name; give words with letters")


def _pattern(word: str) -> str:
    """Return the regular expression of a phrase; between its words may be any space, & stands for itself."""
    parts = [re.escape(part.rstrip("*")) + (r"\w*" if part.endswith("*") else "") for part in word.split()]
    return r"\s+".join(parts) + ("" if word.endswith("*") else "S?")
