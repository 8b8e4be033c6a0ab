"""Groups users by their learned vectors, and names each group by what it buys more of than others do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator, svds
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from gnn.config import ProfileConfig
from gnn.habits import at_level
from gnn.preferences import CATEGORY, MORE, Allowed, shares

SAMPLE = 2_000
"""Users by whom the number of segments is chosen: the silhouette compares each with each."""

FITTED = 50_000
"""Users by whom the centres are found, at the most."""

NAMED_BY = 2
"""Categories in the name of a segment."""

NOBODY = -1
"""Segment of a user about whom nothing is known."""


@dataclass(frozen=True)
class Segments:
    """Groups of users who buy alike."""

    of_user: Int[np.ndarray, " users"]
    """Number of each user's segment, the largest being 0; :data:`NOBODY` without a vector."""

    silhouette: float
    """Mean silhouette of the sample (Rousseeuw 1987), NaN where there is one segment."""

    categories: pl.DataFrame
    """``segment, category`` (position)``, weight, lift, purchases``, what each buys more of, most telling first."""


def user_embeddings(
    history: sparse.csr_array,
    *,
    may: Bool[np.ndarray, " products"],
    queries: Float[np.ndarray, "products dimension"] | None,
    related: sparse.csr_array,
    dimension: int,
    seed: int,
) -> Float[np.ndarray, "users _"]:
    """Return a vector of unit length for each user, zero for one of whom nothing may be said.

    With a graph network it is Σ a(u, j) q(j), the network's own view of the user. Without, it is her row of the
    scores a(u, ·) · R in their ``dimension`` leading directions (truncated singular value decomposition). Only of the
    products that ``may`` be spoken of.
    """
    kept = sparse.diags_array(may.astype(np.float64))
    weights = sparse.csr_array(history @ kept)
    if queries is not None:
        return unit_rows(np.asarray(weights @ queries, dtype=np.float64))
    # The scores are nearly dense; a decomposition only multiplies by them, so they are never made.
    spoken = sparse.csr_array(related @ kept)
    scores = aslinearoperator(weights) @ aslinearoperator(spoken)
    rank = min(dimension, *(size - 1 for size in scores.shape))
    # Whether any score is not 0, without making them: whether a purchase leads anywhere.
    if rank < 1 or not (abs(weights).sum(0) @ abs(spoken)).any():
        return np.zeros((history.shape[0], 1))
    left, values, right = svds(scores, k=rank, rng=np.random.default_rng(seed))
    order = np.argsort(-values)
    # A direction and its opposite are the same to the decomposition: its largest entry is made positive.
    signs = np.sign(right[np.arange(rank), np.abs(right).argmax(axis=1)])
    return unit_rows((left * values * signs)[:, order])


def unit_rows(vectors: Float[np.ndarray, "rows dimension"]) -> Float[np.ndarray, "rows dimension"]:
    """Return the rows with length 1; rows of next to nothing become zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = length > 1e-9 * max(float(length.max(initial=0.0)), 1e-300)
    return np.where(whole, vectors / np.where(whole, length, 1.0), 0.0)


def segments(
    vectors: Float[np.ndarray, "users dimension"],
    purchases: pl.DataFrame,
    may: Allowed,
    *,
    config: ProfileConfig,
    seed: int,
) -> Segments:
    """Return the segments of the users by k-means of their vectors; k from 2 up is chosen by the silhouette.

    ``purchases`` are from :func:`gnn.preferences.counted`.
    """
    known = np.flatnonzero(np.abs(vectors).sum(axis=1) > 0)
    of_user = np.full(len(vectors), NOBODY, dtype=np.int64)
    silhouette = float("nan")
    if len(known):
        of_user[known], silhouette = _clusters(vectors[known], most=config.most_segments, seed=seed)
    sizes = np.bincount(of_user[known])
    by_size = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    of_user[known] = by_size[of_user[known]]
    return Segments(
        of_user=of_user, silhouette=silhouette, categories=_over_bought(of_user, purchases, may, config=config)
    )


def segment_names(found: Segments, names: pl.Series) -> list[str]:
    """Return a name for each segment: what it over-buys most; a second of the same name gets its number."""
    count = int(found.of_user.max(initial=NOBODY)) + 1
    made: list[str] = []
    for segment in range(count):
        best = found.categories.filter(pl.col("segment") == segment).head(NAMED_BY)["category"]
        name = " and ".join(names.gather(best)) or "everything"
        made.append(name if name not in made else f"{name} ({segment})")
    return made


def _clusters(
    vectors: Float[np.ndarray, "users dimension"], *, most: int, seed: int
) -> tuple[Int[np.ndarray, " users"], float]:
    """Return the cluster of each vector, and the silhouette by which their number was chosen."""
    rng = np.random.default_rng(seed)
    fitted = vectors[np.sort(rng.permutation(len(vectors))[:FITTED])]
    sample = fitted[np.sort(rng.permutation(len(fitted))[:SAMPLE])]
    best, best_silhouette = None, -np.inf
    # More clusters than there are different vectors cannot be made, and the silhouette needs two of one cluster.
    for k in range(2, min(most, len(np.unique(sample.round(9), axis=0)), len(sample) - 1) + 1):
        found = KMeans(n_clusters=k, n_init=4, random_state=seed).fit(fitted)
        labels = found.predict(sample)
        if len(np.unique(labels)) < 2:
            continue
        silhouette = float(silhouette_score(sample, labels))
        if silhouette > best_silhouette:
            best, best_silhouette = found, silhouette
    if best is None:
        return np.zeros(len(vectors), dtype=np.int64), float("nan")
    return best.predict(vectors).astype(np.int64), best_silhouette


def _over_bought(
    of_user: Int[np.ndarray, " users"], purchases: pl.DataFrame, may: Allowed, *, config: ProfileConfig
) -> pl.DataFrame:
    """Return the categories that each segment buys more of than all users do: as :func:`shares` sees one user."""
    segment = pl.Series("user", of_user).gather(purchases["user"])
    own = purchases.with_columns(segment).filter(pl.col("user") != NOBODY)
    found = shares(own, may, shrinkage=config.shrinkage).filter(pl.col("kind") == CATEGORY)
    shown = at_level(may, level=config.level)["target"].unique()
    tells = pl.col("weight") * pl.col("lift").log()
    return (
        found.filter(pl.col("lift") > MORE, pl.col("target").is_in(shown.implode()))
        .with_columns(tells.alias("tells"))
        .sort("user", "tells", "target", descending=[False, True, False])
        .select(pl.col("user").alias("segment"), pl.col("target").alias("category"), "weight", "lift", "purchases")
    )
