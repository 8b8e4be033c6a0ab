"""Says what no profile may be made of: categories and brands that reveal what nobody should guess of a person."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

HEALTH = (
    *("ACNE", "ALLERG*", "ANALGESIC*", "ANTACID*", "ASTHMA*", "COLD AND FLU", "COLD & FLU", "COUGH", "DEA SCHEDULE"),
    *("DENTURE*", "DIABET*", "DIET*", "DIGESTI*", "DRUG*", "EYE AND EAR CARE", "FIRST AID", "FOOT CARE", "GLUTEN"),
    *("HEALTH*", "HEARING AID", "HOMEOPATH*", "INCONTINENCE", "LACTOSE", "LAXATIVE*", "MEDIC*", "NUT SUPP*"),
    *("PAIN RELIEF", "PHARMAC*", "PRESCRIPTION*", "REMED*", "SINUS", "SLIMMING", "SUGAR FREE", "SUPPLEMENT*"),
    *("VISION AID", "VITAMIN*", "WEIGHT CONTROL", "WEIGHT LOSS", "WEIGHT MANAGEMENT"),
)
FAMILY = (
    *("ADULT TOY", "BABIES", "BABY*", "BREAST PUMP", "BREASTFEEDING", "CONDOM", "CONTRACEPT*", "DIAPER*", "EROTIC*"),
    *("FAMILY PLANNING", "FEMININE", "FERTILITY", "HYGN", "INFANT*", "MATERNITY", "MENSTRU*", "NEWBORN", "NURSING"),
    *("OVULATION", "PERSONAL LUBRICANT", "PREGNAN*", "SEX", "SEXUAL*", "TAMPON*", "TODDLER*"),
)
FAITH_AND_ORIGIN = (
    *("BIBLE", "CATHOLIC", "CHRISTIAN", "CHRISTMAS", "CHURCH", "DIWALI", "EASTER", "ETHNIC*", "HALAL", "HANUKKAH"),
    *("HISPANIC", "ISLAM*", "JEWISH", "KOSHER", "MUSLIM", "PASSOVER", "POLITIC*", "PRAYER", "RAMADAN", "RELIGI*"),
)
ADDICTION = (
    *("ALCOHOL*", "BEER*", "BRANDY*", "CIGAR*", "COCKTAIL MIX*", "COCKTAILS", "COGNAC", "GAMBLING", "GIN", "LIQUEUR"),
    *("LIQUOR*", "LOTTERY", "RUM", "SMOKING", "SPIRITS", "TEQUILA", "TOBACCO*", "VAPING", "VODKA*", "WHISKEY*"),
    *("WHISKY", "WINE"),
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
    return ids.str.contains(rf"(?i)\b(?:{phrases})\b")


def _pattern(word: str) -> str:
    """Return the regular expression of a phrase; between its words may be any space, & stands for itself."""
    parts = [re.escape(part.rstrip("*")) + (r"\w*" if part.endswith("*") else "") for part in word.split()]
    return r"\s+".join(parts) + ("" if word.endswith("*") else "S?")
