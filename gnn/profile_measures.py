"""Measures whether profiles are right: what they foretell of later purchases, and of what users told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gnn.compare import Comparison, Interval, bootstrap_interval, compare
from gnn.config import ProfileConfig
from gnn.habits import at_level
from gnn.metrics import PerUser
from gnn.preferences import BRAND, Allowed, counted

OURS, PAST, POPULATION = "profile", "plain past shares", "population"
FLOOR = 0.01
"""Part of every prediction that is the population's shares: nothing that anybody buys is said to be impossible."""

TOP = 3
BLOCK_USERS = 128
FOLDS = 5
MOST_CLASSES = 20


@dataclass(frozen=True)
class Foretold:
    """One predictor's mean over users, and how much better or worse the profile is."""

    about: str
    """What is predicted: brand or category shares, or a property of users."""

    predictor: str

    measure: str
    """``log-loss`` (nats; less is better), ``top-3 hit`` or ``accuracy`` (more is better)."""

    mean: float
    interval: Interval
    """95 % bootstrap interval of the mean."""

    ours_less_it: Comparison | None
    """The profile's number less this one's, user by user; None for the profile itself."""

    users: int


def measure_shares(
    known: pl.DataFrame,
    later: pl.DataFrame,
    may: Allowed,
    *,
    num_users: int,
    now: int,
    config: ProfileConfig,
    seed: int,
) -> list[Foretold]:
    """Return how well profiles of ``known``, all before ``now``, foretell shares of brands and categories later.

    log-loss is the cross-entropy −Σ_b y(b) · log q(b) of a user's later shares y under the prediction q, which is mixed
    with :data:`FLOOR` of the shares of all; top-3 hit is whether one of the three largest predictions is her largest
    later share. Over users who buy later something that was bought before by anybody, and bought something before.
    """
    recent = counted(known, may, now=now, half_life_days=config.half_life_days)
    end = int(later["at"].max() or 0) + 1  # type: ignore[arg-type]
    after = counted(later, may, now=end, half_life_days=1.0)
    members = {
        "brand shares": may.groups.filter(pl.col("kind") == BRAND).select("product", "target"),
        "category shares": at_level(may, level=config.level),
    }
    found = []
    for about, table in members.items():
        size = int(table["target"].max() or 0) + 1  # type: ignore[arg-type]
        shape = (num_users, size)
        recently, plainly = (_by_group(recent, table, weight, shape=shape) for weight in ("recent", "purchases"))
        wanted = _by_group(after, table, "purchases", shape=shape)
        # A shop without brands, or without categories, has nothing to foretell of them.
        if not recently.nnz:
            continue
        numbers = _numbers(recently, plainly, wanted, shrinkage=config.shrinkage)
        for measure in ("log-loss", f"top-{TOP} hit"):
            found += _compared(about, measure, {name: each[measure] for name, each in numbers.items()}, seed=seed)
    return found


def measure_properties(
    users: pl.DataFrame,
    inputs: Mapping[str, Float[np.ndarray, "users _"]],
    *,
    seed: int,
) -> list[Foretold]:
    """Return how often a logistic regression tells each property of ``users`` from each input, cross-validated.

    Properties are the columns of text of 2 to :data:`MOST_CLASSES` values, of the users who have one; values of fewer
    than :data:`FOLDS` users are left out. The first of ``inputs`` is compared with the others and with always saying
    the commonest value. Folds are stratified and the same for all.
    """
    found = []
    for name in [column for column, kind in users.schema.items() if kind == pl.String and column != "id"]:
        values = users[name].to_numpy()
        sizes = users[name].drop_nulls().value_counts(sort=True).filter(pl.col("count") >= FOLDS)
        if not 2 <= len(sizes) <= MOST_CLASSES:
            continue
        told = np.flatnonzero(users[name].is_in(sizes[name].implode()).fill_null(value=False).to_numpy())
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        right = {
            source: (
                cross_val_predict(
                    make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, C=0.1)),
                    vectors[told],
                    values[told],
                    cv=folds,
                )
                == values[told]
            ).astype(np.float64)
            for source, vectors in inputs.items()
        }
        # Ties by name, so that the commonest is one and the same on every machine.
        commonest = sizes.sort("count", name, descending=[True, False])[name][0]
        right["majority class"] = (values[told] == commonest).astype(np.float64)
        found += _compared(name, "accuracy", right, seed=seed)
    return found


def as_table(found: list[Foretold]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| about | measure | predictor | mean (95 %) | first less it (95 %) | p | users |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in found:
        mean = f"{row.mean:.4f} ({row.interval.low:.4f} to {row.interval.high:.4f})"
        other = row.ours_less_it
        less = f"{other.difference:+.4f} ({other.interval.low:+.4f} to {other.interval.high:+.4f})" if other else "-"
        p = f"{other.p:.4f}" if other else "-"
        lines.append(f"| {row.about} | {row.measure} | {row.predictor} | {mean} | {less} | {p} | {row.users} |")
    return "\n".join(lines)


def _by_group(
    purchases: pl.DataFrame, members: pl.DataFrame, weight: str, *, shape: tuple[int, int]
) -> sparse.csr_array:
    rows = purchases.join(members, on="product", maintain_order="left")
    ends = (rows["user"].to_numpy(), rows["target"].to_numpy())
    return sparse.csr_array((rows[weight].cast(pl.Float64).to_numpy(), ends), shape=shape)


def _numbers(
    recent: sparse.csr_array, plain: sparse.csr_array, wanted: sparse.csr_array, *, shrinkage: float
) -> dict[str, dict[str, PerUser]]:
    """Return predictor → measure → a number for each user, NaN for one who is not measured."""
    population = np.asarray(recent.sum(axis=0)).ravel()
    population /= max(float(population.sum()), 1e-300)
    known = np.flatnonzero(population > 0)
    parts: dict[str, list[tuple[PerUser, PerUser]]] = {OURS: [], PAST: [], POPULATION: []}
    mix = population[known]
    for start in range(0, recent.shape[0], BLOCK_USERS):
        users = np.arange(start, min(start + BLOCK_USERS, recent.shape[0]))
        own, past, later = (matrix[users][:, known].toarray() for matrix in (recent, plain, wanted))
        # The posterior of gnn.preferences.shares, also for what she never bought.
        ours = (own + shrinkage * mix) / (own.sum(axis=1, keepdims=True) + shrinkage)
        total = past.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, past / np.where(total > 0, total, 1.0), mix)
        predictions = {OURS: ours, PAST: shares, POPULATION: np.broadcast_to(mix, own.shape)}
        measured = (total.ravel() > 0) & (later.sum(axis=1) > 0)
        for name, predicted in predictions.items():
            parts[name].append(_of_block(predicted, later, mix, measured=measured))
    return {
        name: {
            "log-loss": np.concatenate([loss for loss, _ in each]),
            f"top-{TOP} hit": np.concatenate([hit for _, hit in each]),
        }
        for name, each in parts.items()
    }


def _of_block(
    predicted: Float[np.ndarray, "users groups"],
    later: Float[np.ndarray, "users groups"],
    mix: Float[np.ndarray, " groups"],
    *,
    measured: Bool[np.ndarray, " users"],
) -> tuple[PerUser, PerUser]:
    total = later.sum(axis=1, keepdims=True)
    wanted = later / np.where(total > 0, total, 1.0)
    loss = -(wanted * np.log((1 - FLOOR) * predicted + FLOOR * mix)).sum(axis=1)
    # Ties of a prediction go to the commoner group.
    order = np.lexsort((-np.broadcast_to(mix, predicted.shape), -predicted), axis=1)[:, :TOP]
    largest = later.max(axis=1, keepdims=True)
    hit = (np.take_along_axis(later, order, axis=1) == largest).any(axis=1).astype(np.float64)
    return np.where(measured, loss, np.nan), np.where(measured, hit, np.nan)


def _compared(about: str, measure: str, numbers: Mapping[str, PerUser], *, seed: int) -> list[Foretold]:
    """Return a row for each predictor, the first compared with each of the others."""
    first = next(iter(numbers.values()))
    return [
        Foretold(
            about=about,
            predictor=name,
            measure=measure,
            mean=float(np.nanmean(values)) if (~np.isnan(values)).any() else float("nan"),
            interval=bootstrap_interval(values, seed=seed),
            ours_less_it=None if values is first else compare(first, values, seed=seed),
            users=int((~np.isnan(values)).sum()),
        )
        for name, values in numbers.items()
    ]
