"""Says what a user buys, from the graph alone: ``python -m kg.profile --user ID``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import tyro

from kg.cypher import read_query
from kg.lookup import require_limit, require_user
from kg.store import GraphStore, address_of, open_store
from kg.text_table import date_text, one_line, text_table
from loaders.errors import run_command
from loaders.schemas import YEAR_10000

LEVELS = (1, 2)


@dataclass(frozen=True)
class ProfileConfig:
    """Says how much a user buys, of which brands and in which categories."""

    user: str
    """Id of the user."""

    store: str | None = None
    """Address of the store; by default NEO4J_URI, else the file in data/ named after the shop."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    shop: str = "complete-journey"
    """The shop that was loaded, only to find its store."""

    limit: int = 10
    """Brands and categories to show."""


@dataclass(frozen=True)
class Profile:
    """What a user bought, in all and by brand and category."""

    user: str
    """Id of the user."""

    purchases: int
    """Number of her purchases."""

    products: int
    """Number of different products among them."""

    first_at: int
    """Her first purchase (seconds, UTC), 0 where nobody knows."""

    last_at: int
    """Her last purchase (seconds, UTC), 0 where nobody knows."""

    brands: pl.DataFrame
    """``brand, purchases, products, last_at``, most purchases first."""

    categories: Mapping[int, pl.DataFrame]
    """Level → ``category, purchases, products, last_at``, most purchases first."""


def profile(store: GraphStore, *, user: str, limit: int, now: float = float(YEAR_10000)) -> Profile:
    """Return what ``user`` bought before ``now`` (seconds, UTC), by default all, with ``limit`` rows of each kind."""
    require_user(store, user)
    whom = {"user": user, "now": now}
    total = store.query(read_query("profile_purchases"), {**whom, "limit": 1})
    counts = {"purchases": 0, "products": 0, "first_at": 0, "last_at": 0}
    if len(total):
        counts = {column: total[column][0] for column in counts}
    by_level = read_query("profile_categories")
    return Profile(
        user=user,
        **counts,
        brands=store.query(read_query("profile_brands"), {**whom, "limit": limit}),
        categories={level: store.query(by_level, {**whom, "level": level, "limit": limit}) for level in LEVELS},
    )


def profile_text(found: Profile) -> str:
    """Return the profile for a terminal."""
    total = f"User {one_line(found.user)} made {found.purchases} purchases of {found.products} products"
    if found.purchases:
        total += f", the first {date_text(found.first_at)}, the last {date_text(found.last_at)}"
    tables = [("brand", found.brands)]
    tables += [("category", frame) for frame in found.categories.values()]
    return "\n\n".join(
        [
            f"{total}.",
            *(
                text_table(
                    (kind, "purchases", "products", "last"),
                    [(name, purchases, products, date_text(last)) for name, purchases, products, last in frame.rows()],
                )
                for kind, frame in tables
                if len(frame)
            ),
        ]
    )


def main() -> None:
    """Print the profile of the user that the command line names."""
    config = tyro.cli(ProfileConfig, prog="python -m kg.profile")
    require_limit(config.limit)
    address = address_of(config.store, config.shop)
    with open_store(address, read_only=True, password_file=config.password_file) as store:
        found = profile(store, user=config.user, limit=config.limit)
    print(profile_text(found))


if __name__ == "__main__":
    run_command(main)
