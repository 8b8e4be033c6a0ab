"""Splits the purchases into past, validation and test, before anything is learned from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from gnn.config import SplitConfig, moment
from kg.graph import Graph
from loaders.errors import InputError

ENOUGH_BUYERS = 5
WAYS = ("by fold", "by time", "by chance")


@dataclass(frozen=True)
class Split:
    """The purchases of a graph in three parts; of each ``user``, ``product`` (positions) and ``at``."""

    past: pl.DataFrame
    """What models learn from while choices are made."""

    validation: pl.DataFrame
    """What choices are made by."""

    test: pl.DataFrame
    """What is scored once, at the end."""

    way: str
    """``by fold`` (published), ``by time`` or ``by chance`` (no times are known)."""

    validation_from: int
    """Purchases are aged to this moment (seconds, UTC) while choices are made."""

    test_from: int
    """Purchases are aged to this moment (seconds, UTC) in the test."""

    now: int
    """One second after the last purchase: the moment that deliveries are made for."""

    @property
    def before_test(self) -> pl.DataFrame:
        """Past and validation: what the final model learns from."""
        return pl.concat([self.past, self.validation])

    @property
    def everything(self) -> pl.DataFrame:
        """All purchases: what deliveries weigh."""
        return pl.concat([self.past, self.validation, self.test])


def enough_buyers(graph: Graph, wanted: int | None) -> int:
    """Return how many buyers a product needs to be ranked: what is wanted, else 5, or 0 where a split is published."""
    if wanted is not None:
        return wanted
    return 0 if _has_folds(graph.bought) else ENOUGH_BUYERS


def split_purchases(graph: Graph, config: SplitConfig, *, seed: int) -> Split:
    """Return the parts of the graph's purchases; raise where the past or the validation part would be empty."""
    bought = graph.bought
    now = int(bought["at"].max() or 0) + 1  # type: ignore[arg-type]
    if _has_folds(bought):
        fold = _with_validation(bought, config, seed=seed)
        moments = _moments_of(bought, fold)
        if moments:
            return _parted(bought, fold, way="by time", cutoffs=moments, now=now)
        return _parted(bought, fold, way="by fold", cutoffs=(now, now), now=now)
    if bought["at"].n_unique() == 1:
        return _parted(bought, _chance_folds(bought, config, seed=seed), way="by chance", cutoffs=(now, now), now=now)
    cutoffs = _cutoffs(graph, config)
    validation_from, test_from = cutoffs
    fold = bought.select(
        pl.when(pl.col("at") < validation_from)
        .then(pl.lit("train"))
        .when(pl.col("at") < test_from)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("test"))
    ).to_series()
    return _parted(bought, fold, way="by time", cutoffs=cutoffs, now=now)


def _has_folds(bought: pl.DataFrame) -> bool:
    return bought["fold"].null_count() == 0


def _moments_of(bought: pl.DataFrame, fold: pl.Series) -> tuple[int, int] | None:
    """Return where validation and test begin, if published folds follow each other in time; None if they overlap."""
    spans = {
        name: (each.min(), each.max())
        for name in ("train", "validation", "test")
        if len(each := bought["at"].filter(fold == name))
    }
    if set(spans) != {"train", "validation", "test"}:
        return None
    (_, past_to), (validation_from, validation_to), (test_from, _) = spans.values()
    if past_to < validation_from and validation_to < test_from:  # type: ignore[operator]
        return int(validation_from), int(test_from)  # type: ignore[arg-type]
    return None


def _cutoffs(graph: Graph, config: SplitConfig) -> tuple[int, int]:
    at = graph.bought["at"].sort()

    def moment_at(share: float) -> int:
        """Return the moment from which on about ``share`` of the purchases were made."""
        return int(at[-1]) + 1 if share <= 0 else int(at[min(len(at) - 1, round(len(at) * (1 - share)))])

    test_from = _first(moment(config.test_from, "test_from"), graph.test_from, moment_at(config.test_share))
    validation_from = _first(
        moment(config.validation_from, "validation_from"),
        graph.validation_from,
        moment_at(config.test_share + config.validation_share),
    )
    if validation_from > test_from:
        raise InputError(
            f"validation begins at {_day(validation_from)}, after test at {_day(test_from)}; "
            "give --split.validation-from and --split.test-from in this order"
        )
    return validation_from, test_from


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _day(seconds: int) -> str:
    return str(np.datetime64(seconds, "s"))


def _chance_folds(bought: pl.DataFrame, config: SplitConfig, *, seed: int) -> pl.Series:
    """Return a random fold for each purchase: without times, the only other way to hide some of them."""
    draw = np.random.default_rng(seed).random(len(bought))
    test, validation = config.test_share, config.validation_share
    return pl.Series(np.where(draw < test, "test", np.where(draw < test + validation, "validation", "train")))


def _with_validation(bought: pl.DataFrame, config: SplitConfig, *, seed: int) -> pl.Series:
    """Return the published folds; where none is validation, a part of each user's train purchases becomes it.

    Of n purchases round(fold_validation_share · n) are drawn, at least one where n is 3 or more.
    """
    if (bought["fold"] == "validation").any():
        return bought["fold"]
    draw = pl.Series("draw", np.random.default_rng(seed).random(len(bought)))
    in_train = pl.col("fold") == "train"
    count = in_train.sum().over("user")
    wanted = (count * config.fold_validation_share).round().clip(lower_bound=pl.when(count >= 3).then(1).otherwise(0))
    place = pl.when(in_train).then(pl.col("draw")).otherwise(2.0).rank("ordinal").over("user")
    drawn = in_train & (place <= wanted)
    return (
        bought.with_columns(draw)
        .select(pl.when(drawn).then(pl.lit("validation")).otherwise(pl.col("fold")).alias("fold"))
        .to_series()
    )


def _parted(bought: pl.DataFrame, fold: pl.Series, *, way: str, cutoffs: tuple[int, int], now: int) -> Split:
    known = bought.select("user", "product", "at")
    parts = {name: known.filter(fold == name) for name in ("train", "validation", "test")}
    if way != "by time" and (parts["train"].is_empty() or parts["validation"].is_empty()):
        sizes = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
        raise InputError(
            f"the purchases are split {way} into {sizes}, and train and validation need at least one each; give more "
            f"purchases{', or purchases at more than one time' if way == 'by chance' else ' these folds'}"
        )
    first, last = _day(int(bought["at"].min() or 0)), _day(now - 1)  # type: ignore[arg-type]
    span = f"purchases run from {first} to {last}"
    if parts["train"].is_empty():
        raise InputError(
            f"no purchase is in the past of validation ({_day(cutoffs[0])}): {span}; "
            "give a later --split.validation-from, or more purchases"
        )
    if parts["validation"].is_empty():
        raise InputError(
            f"no purchase is in the validation part ({_day(cutoffs[0])} to {_day(cutoffs[1])}): {span}; "
            "give an earlier --split.validation-from, or more purchases"
        )
    return Split(
        past=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        way=way,
        validation_from=cutoffs[0],
        test_from=cutoffs[1],
        now=now,
    )
