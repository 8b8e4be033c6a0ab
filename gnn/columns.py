"""The columns of the two kinds of deliveries: their names, types and meanings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from kg.schema import SHARES

Kind = Literal["bought", "related"]
TYPES: dict[str, type[pl.DataType]] = {
    "string": pl.String,
    "int64": pl.Int64,
    "float64": pl.Float64,
    "boolean": pl.Boolean,
}


@dataclass(frozen=True)
class Column:
    """A column of a delivery."""

    name: str
    type: Literal["string", "int64", "float64", "boolean"]
    meaning: str
    """One line for the catalog team."""


@dataclass(frozen=True)
class Ends:
    """Which columns of a delivery name what is ranked for what."""

    owner: str
    """Whose list it is: its rows stand together, best first, and owners rise."""

    item: str
    """What is in the list."""

    weight: str
    """What the list is ordered by; it does not rise."""

    owners: str
    """What the owners are called in the manifest."""


ENDS: Mapping[Kind, Ends] = {
    "bought": Ends("user_id", "product_id", "score", "users"),
    "related": Ends("product_id", "related_id", "weight", "products"),
}
MADE_BY = (
    Column("run", "string", "name of the run that ranked"),
    Column("made_at", "string", "when that run was trained (ISO 8601, UTC)"),
)
BOOST = Column("boost", "float64", "factor of the shop's rules on the score, for the order; 1 is none")
RANK = Column("rank", "int64", "place in the list, 1 is the best")
BOUGHT = (
    Column("user_id", "string", "id of the user, as the shop writes it"),
    Column("product_id", "string", "id of the product that is recommended to her"),
    RANK,
    Column("score", "float64", "sum of what each of her purchases adds; comparable within one run; empty where filled"),
    Column(
        "probability",
        "float64",
        "probability that she buys it within a time as long as the validation part; empty where filled or not known",
    ),
    Column(
        "reason_kind",
        "string",
        "what mostly joins it to the best reason: bought (by the same people), brand, category, text, links, network "
        "or repeat; empty where nothing of hers speaks for it",
    ),
    Column("reason_via", "string", "id of the product she bought that adds most to the score"),
    Column("reason_share", "float64", "what that purchase adds, over the score; above 1 where others speak against it"),
    Column("filled", "boolean", "true where the row is no recommendation but a best seller that fills her list"),
)
SHARE_MEANINGS = {
    "bought": "part of the weight from what the same people buy",
    "brand": "part of the weight from the same brand",
    "category": "part of the weight from the same categories",
    "text": "part of the weight from alike texts",
    "links": "part of the weight from the shop's own links between products",
    "network": "part of the weight that only the graph network proposed",
    "repeat": "part of the weight of a product on itself, where products may be bought again",
}
RELATED = (
    Column("product_id", "string", "id of the product, as the shop writes it"),
    Column("related_id", "string", "id of the product that a purchase of it speaks for"),
    RANK,
    Column("weight", "float64", "what one purchase adds to the related product's score: the sum of the next seven"),
    *(Column(name, "float64", SHARE_MEANINGS[name]) for name in SHARES),
    Column("near", "float64", "cosine of the two texts' vectors: 1 is the same text; 0 where one has no text"),
)


def columns_of(kind: Kind, *, boosted: bool = False) -> tuple[Column, ...]:
    """Return the columns of a delivery of this kind, in their order."""
    own = BOUGHT if kind == "bought" else RELATED
    return (*own, *((BOOST,) if boosted else ()), *MADE_BY)


def with_types(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Return these columns of the table, each of its type."""
    return frame.select(pl.col(column.name).cast(TYPES[column.type]) for column in columns)
