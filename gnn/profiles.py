"""Makes the profiles of all users at one moment: habits, preferences, price bands, segments and vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse

from gnn.config import ProfileConfig
from gnn.habits import allowed_purchases, at_level, habits, price_bands
from gnn.preferences import Allowed, allowed, counted, preferences, preferences_by_id, shares
from gnn.segments import NOBODY, segment_names, segments, unit_rows, user_embeddings
from kg.graph import Graph

ATTRIBUTES = 64
"""Categories whose shares are in a user's vector: the largest of the population."""


@dataclass(frozen=True)
class Profiles:
    """All users at one moment."""

    users: pl.DataFrame
    """``user`` (id), the numbers that ``docs/profiles.md`` defines, and the segment; a row for each user who bought
    something that may be spoken of, in the order of the graph. Null is what nobody knows."""

    preferences: pl.DataFrame
    """``source`` (user)``, target, kind, weight, lift, purchases, last_at``."""

    price_bands: pl.DataFrame
    """``user, category`` (ids) and the columns of :func:`gnn.habits.price_bands`."""

    segments: pl.DataFrame
    """``segment, name, users``, and the means over its users of the numbers in ``users``."""

    segment_categories: pl.DataFrame
    """``segment, category, weight, lift, purchases``: what each segment over-buys, most telling first."""

    silhouette: float
    """Mean silhouette of the segments, NaN where there is one."""

    vectors: Float[np.ndarray, "users dimension"]
    """The vector of each row of ``users``: see :func:`user_vectors`."""

    parts: dict[str, tuple[int, int]]
    """Part of the vectors (intent, attributes, embedding) → its first column and the one after its last."""

    now: int
    """The moment (seconds, UTC); nothing later is known."""


@dataclass(frozen=True)
class Learned:
    """What a run learned, as far as profiles need it; rows and columns are the products that it ranks."""

    products: Int[np.ndarray, " products"]
    """Their positions."""

    history: sparse.csr_array
    """a(u, j), users × products."""

    related: sparse.csr_array
    """R, products × products."""

    queries: Float[np.ndarray, "products dimension"] | None
    """The graph network's query vectors; None where the run has no network."""


def make_profiles(
    graph: Graph,
    learned: Learned,
    text: Float[np.ndarray, "nodes dimension"],
    *,
    now: int,
    config: ProfileConfig,
    seed: int,
) -> Profiles:
    """Return the profiles of all users by their purchases before ``now``; ``text`` has a row for each product."""
    may = allowed(graph, config)
    recent = counted(graph.bought, may, now=now, half_life_days=config.half_life_days)
    purchases = allowed_purchases(graph, may, now=now)
    embeddings = user_embeddings(
        learned.history,
        may=may.products[learned.products],
        queries=learned.queries,
        related=learned.related,
        dimension=config.dimension,
        seed=seed,
    )
    vectors, parts = user_vectors(graph, recent, may, text=text, embeddings=embeddings, config=config)
    found = segments(embeddings, recent, may, config=config, seed=seed)
    names = segment_names(found, graph.categories["name"])
    rows = habits(purchases, graph, may, now=now, config=config)
    number = pl.Series("segment", found.of_user, dtype=pl.Int64).gather(rows["user"])
    rows = rows.with_columns(number.replace(NOBODY, None))
    label = pl.col("segment").replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)
    users = rows.with_columns(
        graph.users["id"].gather(rows["user"]).alias("user"),
        graph.brands["name"].gather(rows["top_brand"]).alias("top_brand"),
        label.alias("segment_name"),
    )
    preferred = preferences(shares(recent, may, shrinkage=config.shrinkage), most=config.most)
    bands = price_bands(purchases, may, config=config)
    return Profiles(
        users=users,
        preferences=preferences_by_id(preferred, graph),
        price_bands=bands.with_columns(
            graph.users["id"].gather(bands["user"]).alias("user"),
            graph.categories["id"].gather(bands["category"]).alias("category"),
        ),
        segments=_segment_rows(users),
        segment_categories=found.categories.with_columns(
            graph.categories["id"].gather(found.categories["category"]).alias("category")
        ),
        silhouette=found.silhouette,
        vectors=vectors[rows["user"].to_numpy()].astype(np.float32),
        parts=parts,
        now=now,
    )


def user_vectors(
    graph: Graph,
    recent: pl.DataFrame,
    may: Allowed,
    *,
    text: Float[np.ndarray, "nodes text"],
    embeddings: Float[np.ndarray, "users learned"],
    config: ProfileConfig,
) -> tuple[Float[np.ndarray, "users dimension"], dict[str, tuple[int, int]]]:
    """Return P = alpha · intent + beta · attributes + gamma · embedding for each user, and where each part stands.

    The three have different dimensions, so each has columns of its own (a direct sum): the parts stand side by side,
    each of unit length times its weight, or zero where nothing is known. So the product of two users' vectors is
    alpha² · cos(intents) + beta² · cos(attributes) + gamma² · cos(embeddings), and nothing is lost in a projection.

    intent is the recency-weighted mean of the text vectors of her purchases, attributes are the recency-weighted shares
    of her purchases in the :data:`ATTRIBUTES` largest categories. ``recent`` is from :func:`gnn.preferences.counted`.
    """
    num_users = len(graph.users)
    bought = sparse.csr_array(
        (recent["recent"].to_numpy(), (recent["user"].to_numpy(), recent["product"].to_numpy())),
        shape=(num_users, len(graph.products)),
    )
    members = at_level(may, level=config.level)
    ends = (members["product"].to_numpy(), members["target"].to_numpy())
    belongs = sparse.csr_array((np.ones(len(members)), ends), shape=(len(graph.products), len(graph.categories)))
    by_category = bought @ belongs
    largest = np.argsort(-by_category.sum(axis=0), kind="stable")[:ATTRIBUTES]
    blocks = {
        "intent": config.intent * unit_rows(np.asarray(bought @ text, dtype=np.float64)),
        "attributes": config.attributes * unit_rows(by_category[:, np.sort(largest)].toarray()),
        "embedding": config.embedding * embeddings,
    }
    ends_at = np.cumsum([0, *(block.shape[1] for block in blocks.values())]).tolist()
    return np.concatenate(list(blocks.values()), axis=1), {
        name: (start, stop) for name, start, stop in zip(blocks, ends_at[:-1], ends_at[1:], strict=True)
    }


def _segment_rows(users: pl.DataFrame) -> pl.DataFrame:
    means = (
        *("recency_days", "days_a_week", "rhythm_days", "spend_a_day", "deals", "coupons", "loyalty", "variety"),
        "own_label",
    )
    return (
        users.drop_nulls("segment")
        .group_by("segment", pl.col("segment_name").alias("name"))
        .agg(pl.len().cast(pl.Int64).alias("users"), *(pl.col(name).mean() for name in means))
        .sort("segment")
    )
