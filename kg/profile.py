"""Says what a user buys and prefers, or what a segment does: ``python -m kg.profile --user ID``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import tyro

from kg.blocklist import SENSITIVE, require_words, sensitive
from kg.cypher import read_query
from kg.delivered import delivered, delivered_table, sources
from kg.graph import RunRecord
from kg.habit_words import HABITS, MADE_FROM, habit_evidence
from kg.lookup import require_limit, require_run, require_user
from kg.profile_page import Format, Page, Section, written
from kg.store import GraphStore, address_of, open_store
from kg.text_table import date_text, product_text
from loaders.errors import InputError, run_command
from loaders.schemas import YEAR_10000

LEVELS = (1, 2)
ALL_ROWS = 1_000_000_000
EVIDENCE = 2
"""Products named as the evidence behind a brand or a category: those that she bought most often."""


@dataclass(frozen=True)
class ProfileConfig:
    """Says how much a user buys, of which brands and in which categories, or what sets a segment apart."""

    user: str | None = None
    """Id of the user."""

    segment: int | None = None
    """Number of a segment, in place of a user; 0 is the largest."""

    format: Format = "text"
    """text, json, or html: one file with small charts and no scripts."""

    run: str | None = None
    """The run whose preferences and profiles to read; by default the one made last, where there is any."""

    profiles: str | None = None
    """Folder of the profiles by gnn.export --profiles; by default profiles in the run's folder in runs/."""

    store: str | None = None
    """Address of the store; by default NEO4J_URI, else the file in data/ named after the shop."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    shop: str = "complete-journey"
    """The shop that was loaded, only to find its store."""

    limit: int = 10
    """Brands and categories to show."""

    blocked: tuple[str, ...] = SENSITIVE
    """Words of names (``*``: any further letters) of categories and brands that a profile must not speak of."""


@dataclass(frozen=True)
class Profile:
    """What a user bought that may be spoken of, in all and by brand and category."""

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
    """``brand, purchases, products, first_at, last_at``, most purchases first, and as ``evidence``, in words, the
    products of it that she bought most often, and how often."""

    categories: Mapping[int, pl.DataFrame]
    """Level → the same of each ``category``."""


def profile(
    store: GraphStore,
    *,
    user: str,
    limit: int,
    now: float = float(YEAR_10000),
    blocked: tuple[str, ...] = SENSITIVE,
) -> Profile:
    """Return what ``user`` bought before ``now`` (seconds, UTC), by default all, with ``limit`` rows of each kind.

    A product that holds one of the words ``blocked`` in its name, its brand or a category counts nowhere.
    """
    require_user(store, user)
    products, brands, categories = _spoken_purchases(store, user, now=now, blocked=blocked)
    by_level = {
        level: _group(products, categories.filter(pl.col("level") == level).drop("level"), "category")
        for level in LEVELS
    }
    by_brand = _group(products, brands, "brand")
    return Profile(
        user=user,
        purchases=int(products["purchases"].sum()),
        products=len(products),
        first_at=int(products["first_at"].min() or 0),  # type: ignore[arg-type]
        last_at=int(products["last_at"].max() or 0),  # type: ignore[arg-type]
        brands=by_brand.head(limit),
        categories={level: frame.head(limit) for level, frame in by_level.items()},
    )


def evidence(store: GraphStore, *, user: str, now: float, blocked: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return ``brand`` and ``category`` → name → the purchases before ``now`` (seconds, UTC) that carry most of it."""
    products, brands, categories = _spoken_purchases(store, user, now=now, blocked=blocked)
    grouped = {"brand": _group(products, brands, "brand"), "category": _group(products, categories, "category")}
    return {kind: dict(frame.select(kind, "evidence").rows()) for kind, frame in grouped.items()}


def user_page(found: Profile) -> Page:
    """Return what the graph alone says of a user."""
    total = f"User {found.user} made {found.purchases} purchases of {found.products} products"
    if found.purchases:
        total += f", the first {date_text(found.first_at)}, the last {date_text(found.last_at)}"
    tables = [("Brands", "brand", found.brands)]
    tables += [(f"Categories of level {level}", "category", frame) for level, frame in found.categories.items()]
    return Page(
        title=f"User {found.user}",
        lead=f"{total}.",
        sections=tuple(
            Section(
                title=title,
                header=(kind, "purchases", "products", "first", "last", "most often"),
                rows=[
                    (name, purchases, products, date_text(first), date_text(last), most_often)
                    for name, purchases, products, first, last, most_often in frame.rows()
                ],
                note="all her purchases, counted",
                bar=1,
            )
            for title, kind, frame in tables
            if len(frame)
        ),
    )


def preference_section(
    store: GraphStore, found: Profile, run: RunRecord, *, limit: int, blocked: tuple[str, ...]
) -> Section | None:
    """Return what the run says the user prefers, most telling first; None where it says nothing."""
    rows = store.query(read_query("profile_preferences"), {"user": found.user, "run": run.name, "limit": ALL_ROWS})
    if rows.is_empty():
        return None
    rows = rows.filter(~sensitive(rows["id"].cast(pl.String), words=blocked))
    behind = evidence(store, user=found.user, now=float(run.now), blocked=blocked)
    ordered = rows.sort(pl.col("weight") * pl.col("lift").log(), "id", descending=[True, False]).head(limit)
    return Section(
        title="Preferences",
        header=("what", "kind", "share", "lift", "purchases", "last", "most often"),
        rows=[
            (name, kind, weight, lift, purchases, date_text(last), behind[kind].get(name))
            for name, level, weight, lift, purchases, last in ordered.rows()
            for kind in ("brand" if level is None else "category",)
        ],
        note=f"recent purchases, shrunk towards everybody's; lift is her share over theirs (run {run.name})",
        bar=2,
    )


def delivered_sections(
    store: GraphStore, folder: Path, user: str, run: RunRecord, *, limit: int, blocked: tuple[str, ...]
) -> list[Section]:
    """Return what the run's delivered profiles add: habits, price bands, segment."""
    now = delivered(folder, run=run).now
    behind = evidence(store, user=user, now=float(now), blocked=blocked)
    own = delivered_table(folder, "users", run=run, columns=(*HABITS, *MADE_FROM)).filter(pl.col("user") == user)
    if own.is_empty():
        return []
    row = own.row(0, named=True)
    row["top_brand"] = _spoken(row["top_brand"], blocked)
    made_from = habit_evidence(row, now=now, top_brand=behind["brand"].get(row["top_brand"]))
    habits = [(name, row[name], made_from[name]) for name in HABITS if row[name] is not None]
    priced = ("category", "band", "quantile", "mean_paid", "purchases", "compared", "first_at", "last_at")
    bands = delivered_table(folder, "price_bands", run=run, columns=priced).filter(pl.col("user") == user)
    bands = bands.filter(~sensitive(bands["category"], words=blocked)).head(limit)
    note = f"purchases before {date_text(now)}, defined in docs/profiles.md (run {run.name})"
    sections = [Section("Habits", ("what", "number", "made from"), habits, note=note)]
    if row["segment"] is not None:
        known = delivered_table(folder, "segments", run=run).filter(pl.col("segment") == row["segment"])
        of_segment = (row["segment"], _spoken(row["segment_name"], blocked), known["users"][0])
        note = f"users whose learned vectors are near, named by what they over-buy: --segment {row['segment']} shows it"
        sections.append(Section("Segment", ("segment", "name", "users"), [of_segment], note=note))
    if len(bands):
        rows = [
            (category, *numbers, date_text(first), date_text(last), behind["category"].get(category))
            for category, *numbers, first, last in bands.select(priced).rows()
        ]
        note = "where her mean price for one lies among the usual prices of the category's products compared, 0 to 1"
        header = ("category", "band", "quantile", "mean paid", "purchases", "compared", "first", "last", "most often")
        sections.append(Section("Price bands", header, rows, note=note, bar=2))
    return sections


def segment_page(folder: Path, segment: int, run: RunRecord, *, limit: int, blocked: tuple[str, ...]) -> Page:
    """Return what sets a segment apart, from the run's delivered profiles; raise where there is no such segment."""
    known = delivered_table(folder, "segments", run=run)
    own = known.filter(pl.col("segment") == segment)
    if own.is_empty():
        raise InputError(f"no segment {segment} in {str(folder)!r}; it has 0 to {len(known) - 1}")
    row = own.row(0, named=True)
    rows = delivered_table(folder, "segment_categories", run=run).filter(pl.col("segment") == segment)
    rows = rows.filter(~sensitive(rows["category"], words=blocked)).head(limit)
    means = [
        (name, row[name]) for name in own.columns if name not in {"segment", "name", "users"} and row[name] is not None
    ]
    named = _spoken(row["name"], blocked)
    called = f", {named}," if named else ""
    return Page(
        title=f"Segment {segment}" + (f": {named}" if named else ""),
        lead=f"Segment {segment}{called} has {row['users']} users (run {run.name}).",
        sections=(
            Section(
                "Over-bought categories",
                ("category", "share", "lift", "purchases"),
                rows.select("category", "weight", "lift", "purchases").rows(),
                note="share of its recent purchases; lift is that over everybody's share",
                bar=1,
            ),
            Section("Means of its users", ("what", "number"), means, note="defined in docs/profiles.md"),
        ),
    )


def profile_text(found: Profile) -> str:
    """Return what the graph alone says of a user, for a terminal."""
    return written(user_page(found), "text")


def make_page(store: GraphStore, config: ProfileConfig) -> Page:
    """Return the page that the command line asks for."""
    if config.segment is not None:
        run = require_run(store, config.run)
        return segment_page(_folder(config, run), config.segment, run, limit=config.limit, blocked=config.blocked)
    found = profile(store, user=config.user or "", limit=config.limit, blocked=config.blocked)
    page = user_page(found)
    record = require_run(store, config.run) if config.run else store.run_record()
    if record is None:
        return page
    folder = _folder(config, record)
    source = sources(folder, record, named=config.profiles is not None)
    sections = list(page.sections)
    if source.graph:
        preferred = preference_section(store, found, record, limit=config.limit, blocked=config.blocked)
        sections += [preferred] if preferred else []
    if source.folder:
        sections += delivered_sections(store, folder, found.user, record, limit=config.limit, blocked=config.blocked)
    return replace(page, sections=tuple(sections), notes=source.notes)


_QUERIES = ("products", "product_brands", "product_categories")


def _spoken_purchases(
    store: GraphStore, user: str, *, now: float, blocked: tuple[str, ...]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return what she bought before ``now`` that may be spoken of, most often first, and all brands and categories."""
    values = {"user": user, "now": now, "limit": ALL_ROWS}
    found = {name: store.query(read_query(f"profile_{name}"), values) for name in _QUERIES}
    brands, categories = found["product_brands"], found["product_categories"]
    unspoken = pl.concat(
        [
            frame.filter(sensitive(frame[column].cast(pl.String), words=blocked))["product"].cast(pl.String)
            for frame, column in ((brands, "brand"), (categories, "category"))
        ]
    )
    products = found["products"].with_columns(pl.col("product", "name").cast(pl.String))
    products = products.filter(
        ~pl.col("product").is_in(unspoken.implode()), ~sensitive(products["name"].fill_null(""), words=blocked)
    )
    return products, brands, categories


def _spoken(name: str | None, blocked: tuple[str, ...]) -> str | None:
    """Return a name of delivered profiles; None if it holds a word that is blocked now, whatever was at delivery."""
    return None if name is None or sensitive(pl.Series([name]), words=blocked).item() else name


def _group(products: pl.DataFrame, members: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return ``column, purchases, products, first_at, last_at, evidence`` of each group, most purchases first."""
    named = [
        f"{times} × {product_text(product, name)}"
        for product, name, times in products.select("product", "name", "purchases").rows()
    ]
    best = pl.col("text").head(EVIDENCE).str.join(", ")
    return (
        products.with_columns(pl.Series("text", named, dtype=pl.String))
        .join(members.cast({"product": pl.String, column: pl.String}), on="product", maintain_order="left")
        .group_by(column, maintain_order=True)
        .agg(
            pl.col("purchases").sum(),
            pl.col("product").n_unique().cast(pl.Int64).alias("products"),
            pl.col("first_at").min(),
            pl.col("last_at").max(),
            best.alias("evidence"),
        )
        .sort("purchases", column, descending=[True, False])
    )


def _folder(config: ProfileConfig, run: RunRecord) -> Path:
    return Path(config.profiles) if config.profiles else Path("runs") / run.name / "profiles"


def main() -> None:
    """Print the profile of the user or the segment that the command line names."""
    config = tyro.cli(ProfileConfig, prog="python -m kg.profile", description=ProfileConfig.__doc__)
    require_limit(config.limit)
    require_words(config.blocked)
    if (config.user is None) == (config.segment is None):
        raise InputError(f"--user is {config.user!r} and --segment is {config.segment!r}; give one of them")
    address = address_of(config.store, config.shop)
    with open_store(address, read_only=True, password_file=config.password_file) as store:
        page = make_page(store, config)
    print(written(page, config.format))


if __name__ == "__main__":
    run_command(main)
