"""Loads Amazon Beauty (2014, 5-core) from its public files, with both published splits and the products' links."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from loaders.errors import InputError
from loaders.tables import Shop, check_shop

RAW = Path("../shared/data/amazon_beauty")
"""Where the raw files are looked for unless another folder is given."""

SECONDS_PER_DAY = 86_400
LINKS = {"ALSO_BOUGHT": "also_bought", "ALSO_VIEWED": "also_viewed", "BOUGHT_TOGETHER": "bought_together"}


def load_amazon_beauty(raw: Path = RAW, *, split: Literal["a", "b"] = "a") -> Shop:
    """Return the shop: 12,101 products of the catalogue, 22,363 users, 198,502 purchases.

    Split A is that of PGPR and CAFE: ``fold`` is train or test, times are unknown. Split B leaves each user's last
    purchase out for test and the one before for validation; of times the order alone is known, and ``at`` makes it
    one purchase a day, the last of every user on the same day. The links
    were crawled after all purchases and lead to further products, which are kept with ``listed`` false: never
    recommended, but two products that lead to the same one are alike.
    """
    if not raw.is_dir():
        raise InputError(f"there is no folder {str(raw)!r} with Amazon Beauty; give its place by --raw FOLDER")
    catalogue = _entities(raw, "product").rename({"name": "product_id"})
    related = _entities(raw, "related_product")["name"]
    products = (
        catalogue.join(_titles(raw), on="product_id", how="left", maintain_order="left")
        .join(_names_of(raw, "brand", "brand_p_b", len(catalogue)), on="position", how="left", maintain_order="left")
        .join(_names_of(raw, "category", "category_p_c", len(catalogue)), on="position", how="left")
        .select("product_id", "name", "brand", "category", text="name", listed=pl.lit(value=True))
    )
    outside = pl.DataFrame({"product_id": related.unique()}).join(products, on="product_id", how="anti")
    links = pl.concat(
        [
            _pairs(raw, f"{file}_p_p", sources=len(catalogue), targets=len(related)).with_columns(
                relation=pl.lit(relation)
            )
            for relation, file in LINKS.items()
        ]
    )
    return check_shop(
        "amazon-beauty" if split == "a" else "amazon-beauty-b",
        products=pl.concat([products, outside.with_columns(listed=pl.lit(value=False))], how="diagonal"),
        purchases=_published_folds(raw, catalogue) if split == "a" else _leave_one_out(raw),
        links=pl.DataFrame(
            {
                "source_id": catalogue["product_id"].gather(links["source"]),
                "relation": links["relation"],
                "target_id": related.gather(links["target"]),
            }
        ),
    )


def _lines(raw: Path, name: str) -> list[str]:
    """Return the lines of a text file, packed or not; the last line break ends the last line."""
    file = raw / name
    try:
        data = file.read_bytes()
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    except FileNotFoundError as error:
        raise InputError(f"{str(raw)!r} has no file {name!r}, which Amazon Beauty needs; give another --raw") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{str(file)!r} cannot be read ({error}); fetch it again") from error
    return text.removesuffix("\n").split("\n")


def _entities(raw: Path, name: str) -> pl.DataFrame:
    """Return ``position``, ``name``: one entity a line, an empty line is one without a name."""
    names = pl.DataFrame({"name": _lines(raw, f"pgpr/{name}.txt.gz")})
    return names.select(pl.int_range(pl.len()).alias("position"), pl.col("name").str.strip_chars())


def _pairs(raw: Path, name: str, *, sources: int, targets: int) -> pl.DataFrame:
    """Return ``source``, ``target``: line i holds the targets of source i."""
    lines = _lines(raw, f"pgpr/{name}.txt.gz")
    if len(lines) != sources:
        raise InputError(f"{str(raw / 'pgpr' / name)!r} has {len(lines)} lines for {sources} products; fetch it again")
    return _numbers(lines, name=name, limit=targets)


def _numbers(lines: Sequence[str], *, name: str, limit: int) -> pl.DataFrame:
    """Return ``source`` (line, from 0) and ``target``, one row a number."""
    pairs = (
        pl.DataFrame({"text": lines})
        .select(pl.int_range(pl.len()).alias("source"), pl.col("text").str.extract_all(r"\S+").alias("target"))
        .explode("target")
        .drop_nulls()
        .with_columns(pl.col("target").cast(pl.Int64, strict=False).alias("number"))
    )
    wrong = pairs.filter(pl.col("number").is_null() | ~pl.col("number").is_between(0, limit - 1))
    if len(wrong):
        line, value = wrong["source"][0] + 1, wrong["target"][0]
        raise InputError(f"{name}: line {line} holds {value!r}, which is no number below {limit}; fetch the file again")
    return pairs.select("source", target="number")


def _names_of(raw: Path, entity: str, pairs: str, products: int) -> pl.DataFrame:
    """Return ``position`` of a product and the names of its entities, several as paths of one level apart by '|'."""
    names = _entities(raw, entity).with_columns(pl.col("name").str.replace_all("[>|]", "/"))
    found = _pairs(raw, pairs, sources=products, targets=len(names)).join(
        names.filter(pl.col("name") != ""), left_on="target", right_on="position"
    )
    column = pl.col("name").sort().str.join("|") if entity == "category" else pl.col("name").sort().first()
    return found.group_by("source").agg(column.alias(entity)).rename({"source": "position"})


def _titles(raw: Path) -> pl.DataFrame:
    """Return ``product_id``, ``name`` of the products that have a title."""
    numbers = _json(raw, "dhr_titles/item_id_to_int.json")
    ids = pl.DataFrame({"product_id": list(numbers), "number": list(numbers.values())})
    file = raw / "dhr_titles/products_lookup.csv"
    if not file.exists():
        raise InputError(f"{str(raw)!r} has no file {file.name!r}, which Amazon Beauty needs; give another --raw")
    titles = pl.read_csv(file).select(number=pl.col("global_product_id").cast(pl.Int64), name=pl.col("name"))
    return ids.join(titles.unique("number"), on="number").select("product_id", "name")


def _json(raw: Path, name: str) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads("\n".join(_lines(raw, name)))
    except json.JSONDecodeError as error:
        raise InputError(f"{str(raw / name)!r} is no JSON ({error}); fetch it again") from error
    return found


def _published_folds(raw: Path, catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs of split A; each line is a user and her products."""
    users = _entities(raw, "users")["name"]
    parts = []
    for fold in ("train", "test"):
        name = f"cafe/{fold}_labels.txt.gz"
        numbers = _numbers(_lines(raw, name), name=name, limit=max(len(users), len(catalogue)))
        owner = numbers.group_by("source", maintain_order=True).agg(
            pl.col("target").first().alias("user"), pl.col("target").slice(1).alias("product")
        )
        parts.append(owner.explode("product").select("user", "product", fold=pl.lit(fold)))
    pairs = pl.concat(parts)
    return pairs.select(
        pl.Series("user_id", users.gather(pairs["user"])),
        pl.Series("product_id", catalogue["product_id"].gather(pairs["product"])),
        "fold",
    )


def _leave_one_out(raw: Path) -> pl.DataFrame:
    """Return split B: each line is a user and her products, oldest first."""
    maps = json.loads("\n".join(_lines(raw, "llmrecsysid/datamaps.json")))
    numbers = _numbers(_lines(raw, "s3rec/Beauty.txt"), name="s3rec/Beauty.txt", limit=10**6)
    users = pl.DataFrame({"user_id": list(maps["user2id"]), "user": list(maps["user2id"].values())}).cast(
        {"user": pl.Int64}
    )
    items = pl.DataFrame({"product_id": list(maps["item2id"]), "product": list(maps["item2id"].values())}).cast(
        {"product": pl.Int64}
    )
    place = pl.int_range(pl.len()).over("source")
    left = pl.len().over("source") - 1 - place
    at = (left.max() - left) * SECONDS_PER_DAY
    user = pl.col("target").first().over("source")
    ordered = numbers.with_columns(user.alias("user"), place.alias("place"), at.alias("at"), left.alias("left"))
    return (
        ordered.filter(pl.col("place") > 0)
        .join(users, on="user")
        .join(items, left_on="target", right_on="product")
        .select(
            "user_id",
            "product_id",
            "at",
            fold=pl.when(pl.col("left") == 0)
            .then(pl.lit("test"))
            .when(pl.col("left") == 1)
            .then(pl.lit("validation"))
            .otherwise(pl.lit("train")),
        )
    )
