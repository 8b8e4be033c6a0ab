"""Reads the rules of the shop: a small YAML file, each word of it checked against the graph before all ranking."""

from __future__ import annotations

import hashlib
import math
import reprlib
import sys
import textwrap
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from jaxtyping import Bool, Float, Int

from gnn.caps import NO_GROUP, Caps
from kg.graph import Graph
from loaders.csv_file import read_csv
from loaders.errors import InputError

NAMED = ("products", "brands", "categories")
WORDS: Mapping[str, tuple[str, ...]] = {
    "only_users": (),
    "block": NAMED,
    "in_stock": (),
    "price": ("from", "to"),
    "minimum_probability": (),
    "boost": NAMED,
    "at_most": ("brand", "category"),
}
"""What a file of rules may say → what may stand below it; the rules hold in this order."""

ANSWER = "see docs/delivery.md for what a file of rules may say"


LARGEST = sys.float_info.max
MOST_COUNTED = 10**9

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 2


def _shown(value: object) -> str:
    """Return a value of the file for an error, cut where it is long."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no whole number of thousands of digits.
        return "a very long number"


@dataclass(frozen=True)
class Rules:
    """Rules by position: a row for each user of the graph, a column for each product that is ranked."""

    given: Mapping[str, Any]
    """The file as it is, and its hash, for the manifest."""

    users: Bool[np.ndarray, " users"]
    """Who gets a list."""

    removed_by: Int[np.ndarray, " products"]
    """The first of ``catalog_rules`` that removes the product from every list; -1 where none does."""

    catalog_rules: tuple[str, ...]
    minimum_probability: float | None
    boost: Float[np.ndarray, " products"]
    """Factor on the score, for the order."""

    caps: Caps | None

    @property
    def boosted(self) -> bool:
        """Whether there is any boost."""
        return "boost" in self.given["rules"]

    @property
    def allowed(self) -> Bool[np.ndarray, " products"]:
        """Whether a product may be in a list at all."""
        return self.removed_by < 0


@dataclass
class _Check:
    """Gathers what is wrong with a file, so that all of it is told at once."""

    file: Path
    graph: Graph
    faults: list[str] = field(default_factory=list)

    def ids(self, where: str, value: object, known: pl.Series, called: str) -> list[str]:
        """Return the ids in a list; each that is none, or that the graph does not know, is a fault."""
        if not isinstance(value, list):
            self.faults.append(f"{where} is {_shown(value)}; give a list of ids")
            return []
        kept, names = [], set(known)
        for each in value:
            if not isinstance(each, str):
                self.faults.append(f"{where} has {_shown(each)}, which is no text; put ids in quotes")
            elif each not in names:
                self.faults.append(f"{where} has {_shown(each)}, and the graph knows no such {called}")
            else:
                kept.append(each)
        return kept

    def number(self, where: str, value: object, *, least: float, most: float = LARGEST) -> float | None:
        """Return a finite number between the two; else that is a fault."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            upto = " on" if most == LARGEST else f" to {most:g}"
            self.faults.append(f"{where} is {_shown(value)}; give a number from {least:g}{upto}")
            return None
        return float(value)

    def count(self, where: str, value: object) -> int | None:
        """Return a whole number from 1 on; else that is a fault."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.faults.append(f"{where} is {_shown(value)}; give a whole number from 1 on")
            return None
        if value > MOST_COUNTED:
            self.faults.append(f"{where} is {_shown(value)}; give a whole number from 1 to {MOST_COUNTED}")
            return None
        return value

    def part(self, where: str, value: object, words: tuple[str, ...]) -> dict[str, Any]:
        """Return a mapping that has some of these words and no others; else that is a fault."""
        if not isinstance(value, dict):
            self.faults.append(f"{where} is {_shown(value)}; give {', '.join(words)} below it")
            return {}
        if not value:
            self.faults.append(f"{where} is empty; give {', '.join(words)} below it, or leave it out")
        for word in value:
            if word not in words:
                self.faults.append(f"{where} has {_shown(word)}, which is none of {', '.join(words)}")
        return {word: each for word, each in value.items() if word in words}

    def file_of_ids(self, where: str, value: object, column: str) -> pl.Series:
        """Return the ids in a column of a CSV whose path is relative to the file of rules."""
        if not isinstance(value, str) or not (self.file.parent / value).is_file():
            self.faults.append(
                f"{where} is {_shown(value)}; give the path of a CSV, from the folder of {self.file.name}"
            )
            return pl.Series([], dtype=pl.String)
        frame = read_csv(self.file.parent / value, core=(column,))
        if column not in frame.columns:
            self.faults.append(f"{where}: {value!r} has no column {column}; it has {', '.join(frame.columns)}")
            return pl.Series([], dtype=pl.String)
        return frame[column].drop_nulls()


def read_rules(file: Path, graph: Graph, *, products: Int[np.ndarray, " products"], calibrated: bool) -> Rules:
    """Return the rules in ``file`` for the ranked ``products`` (positions); raise with all that is wrong with it.

    ``calibrated`` says whether the run knows probabilities, without which none can be the least.
    """
    content = file.read_bytes()
    check = _Check(file, graph)
    page = _page(file, content, check)
    users = _users(page, check)
    removed_by, names = _removed_by(page, check, products)
    minimum = None
    if "minimum_probability" in page:
        minimum = check.number("minimum_probability", page["minimum_probability"], least=0.0, most=1.0)
        if not calibrated:
            check.faults.append("minimum_probability needs probabilities, and this run has none")
    boost = _boost(page, check, products)
    caps = _caps(page, check, products)
    if check.faults:
        raise InputError(f"{str(file)!r} cannot be used; {ANSWER}:\n  " + "\n  ".join(check.faults))
    files = {
        name: hashlib.sha256((file.parent / page[name]).read_bytes()).hexdigest()
        for name in ("in_stock", "only_users")
        if isinstance(page.get(name), str)
    }
    given = {"file": file.name, "sha256": hashlib.sha256(content).hexdigest(), "files": files, "rules": page}
    rules = Rules(given, users, removed_by, names, minimum, boost, caps)
    if not rules.allowed.any():
        raise InputError(
            f"{str(file)!r} leaves none of the {len(products)} ranked products; take some of its rules out"
        )
    if not users.any():
        raise InputError(f"{str(file)!r} leaves no user; take only_users out, or give at least one")
    return rules


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that stands twice: the first would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key) for key, _ in node.value]
        known: set[Hashable] = set()
        for key in keys:
            # A list cannot be a key: that is told by YAML itself, below.
            if isinstance(key, Hashable):
                if key in known:
                    raise yaml.constructor.ConstructorError(None, None, f"{_shown(key)} stands twice", node.start_mark)
                known.add(key)
        return super().construct_mapping(node, deep=deep)


def _page(file: Path, content: bytes, check: _Check) -> dict[str, Any]:
    try:
        page = yaml.load(content, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise InputError(f"{str(file)!r} is no YAML ({reason}); {ANSWER}") from error
    except RecursionError as error:
        raise InputError(f"{str(file)!r} has parts within parts beyond all measure; {ANSWER}") from error
    except (AttributeError, KeyError, OverflowError, ValueError) as error:
        # What YAML takes for a date, a number or a truth value and Python does not: 2024-13-01, !!bool maybe.
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise InputError(
            f"{str(file)!r} has an entry that looks like a date or a number and is none ({reason}); put quotes around "
            "ids"
        ) from error
    if page is None or page == {}:
        raise InputError(f"{str(file)!r} has no rule in it; {ANSWER}")
    return check.part("the file", page, tuple(WORDS))


def _users(page: Mapping[str, Any], check: _Check) -> Bool[np.ndarray, " users"]:
    known = check.graph.users["id"]
    if "only_users" not in page:
        return np.ones(len(known), dtype=bool)
    given = page["only_users"]
    if isinstance(given, str):
        given = check.file_of_ids("only_users", given, "user_id").to_list()
    return known.is_in(check.ids("only_users", given, known, "user")).to_numpy()


def _removed_by(
    page: Mapping[str, Any], check: _Check, products: Int[np.ndarray, " products"]
) -> tuple[Int[np.ndarray, " products"], tuple[str, ...]]:
    """Return the first rule that removes each product from every list, and the names of these rules in their order."""
    graph = check.graph
    removes: dict[str, Bool[np.ndarray, " nodes"]] = {}
    if "block" in page:
        for kind, ids in check.part("block", page["block"], NAMED).items():
            if ids == []:
                check.faults.append(f"block.{kind} is empty; give ids, or leave it out")
            kept = check.ids(f"block.{kind}", ids, _known(graph, kind), _called(kind))
            removes[f"block {kind}"] = _members(graph, kind, kept)
    if "in_stock" in page:
        stock = check.file_of_ids("in_stock", page["in_stock"], "product_id")
        removes["in_stock"] = ~graph.products["id"].is_in(stock.implode()).to_numpy()
    if "price" in page:
        band = check.part("price", page["price"], WORDS["price"])
        low, high = (
            check.number(f"price.{word}", band[word], least=0.0) if word in band else None for word in ("from", "to")
        )
        if low is not None and high is not None and low > high:
            check.faults.append(f"price.from is {low:g} and price.to is {high:g}; give the lower one first")
        inside = pl.col("price").is_between(0.0 if low is None else low, math.inf if high is None else high)
        # A price that nobody knows is in no band.
        removes["price"] = ~graph.products.select(inside.fill_null(value=False)).to_series().to_numpy()
    removed_by = np.full(len(products), -1, dtype=np.int64)
    for number, where in enumerate(removes.values()):
        removed_by[(removed_by < 0) & where[products]] = number
    return removed_by, tuple(removes)


def _boost(page: Mapping[str, Any], check: _Check, products: Int[np.ndarray, " products"]) -> Float[np.ndarray, " p"]:
    """Return the factor of each product; of several that hold for it, their product."""
    factor = np.ones(len(check.graph.products))
    if "boost" in page:
        for kind, factors in check.part("boost", page["boost"], NAMED).items():
            if not isinstance(factors, dict):
                check.faults.append(f"boost.{kind} is {_shown(factors)}; give ids and their factors below it")
                continue
            if not factors:
                check.faults.append(f"boost.{kind} is empty; give ids and their factors below it, or leave it out")
            for each in check.ids(f"boost.{kind}", list(factors), _known(check.graph, kind), _called(kind)):
                number = check.number(f"boost.{kind}.{each}", factors[each], least=0.001, most=1000.0)
                factor[_members(check.graph, kind, [each])] *= number or 1.0
    kept: np.ndarray = factor[products]
    return kept


def _caps(page: Mapping[str, Any], check: _Check, products: Int[np.ndarray, " products"]) -> Caps | None:
    if "at_most" not in page:
        return None
    graph, given = check.graph, check.part("at_most", page["at_most"], WORDS["at_most"])
    kinds: list[tuple[str, pl.DataFrame, int | None]] = []
    if "brand" in given:
        kinds.append(("at_most brand", graph.has_brand, check.count("at_most.brand", given["brand"])))
    if "category" in given:
        part = check.part("at_most.category", given["category"], ("level", "products"))
        level, most = (
            check.count(f"at_most.category.{word}", part.get(word)) if part else None for word in ("level", "products")
        )
        of_level = np.flatnonzero(graph.categories["level"].to_numpy() == level)
        if level is not None and not len(of_level):
            check.faults.append(f"at_most.category.level is {level}, and the graph has no category of that level")
        inside = graph.in_category.filter(pl.col("target").is_in(of_level))
        kinds.append(("at_most category", inside, most))
    groups: list[np.ndarray] = []
    most_of: list[int] = []
    names: list[str] = []
    for name, edges, most in kinds:
        columns, count = _group_columns(edges, num_products=len(graph.products), first=len(most_of))
        groups.append(columns[products])
        most_of += [most or 1] * count
        names += [name] * columns.shape[1]
    if not groups:
        return None
    return Caps(np.concatenate(groups, axis=1), np.array(most_of, dtype=np.int64), tuple(names))


def _group_columns(edges: pl.DataFrame, *, num_products: int, first: int) -> tuple[Int[np.ndarray, "nodes most"], int]:
    """Return the groups of each product, from ``first`` on, in as many columns as one has at most; and their number."""
    group = edges["target"].rank("dense").cast(pl.Int64) - 1 + first
    told = edges.select("source", group=group).unique().sort("source", "group")
    place = told.select(pl.int_range(pl.len()).over("source")).to_series()
    columns = np.full((num_products, int(place.max() or 0) + 1), NO_GROUP, dtype=np.int64)  # type: ignore[arg-type]
    columns[told["source"].to_numpy(), place.to_numpy()] = told["group"].to_numpy()
    return columns, told["group"].n_unique()


def _known(graph: Graph, kind: str) -> pl.Series:
    return {"products": graph.products, "brands": graph.brands, "categories": graph.categories}[kind]["id"]


def _called(kind: str) -> str:
    return {"products": "product", "brands": "brand", "categories": "category"}[kind]


def _members(graph: Graph, kind: str, ids: list[str]) -> Bool[np.ndarray, " nodes"]:
    """Return which products these are, or belong to these; what is below a category belongs to it."""
    wanted = np.flatnonzero(_known(graph, kind).is_in(ids).to_numpy())
    member = np.zeros(len(graph.products), dtype=bool)
    if kind == "products":
        member[wanted] = True
    else:
        edges = graph.has_brand if kind == "brands" else graph.in_category
        member[edges.filter(pl.col("target").is_in(wanted))["source"].to_numpy()] = True
    return member
