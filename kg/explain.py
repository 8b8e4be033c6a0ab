"""Explains why a run gives a user a product: ``python -m kg.explain --user ID --product ID``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import tyro

from kg import schema
from kg.build import SEPARATOR
from kg.cypher import Value, read_query, with_values
from kg.graph import RunRecord
from kg.lookup import require_limit, require_product, require_run, require_user
from kg.store import GraphStore, address_of, open_store
from kg.text_table import date_text, one_line, product_text, text_table
from loaders.errors import InputError, run_command

# A score is the sum of all its rows; nobody has bought more products than this.
ALL_ROWS = 1_000_000_000
DRILLED = 3
"""Rows of an explanation whose evidence is shown in a line each."""


@dataclass(frozen=True)
class ExplainConfig:
    """Says which of a user's purchases lead to a product, and how much each adds to the score."""

    user: str
    """Id of the user."""

    product: str
    """Id of the product."""

    store: str | None = None
    """Address of the store; by default NEO4J_URI, else the file in data/ named after the shop."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""

    shop: str = "complete-journey"
    """The shop that was loaded, only to find its store."""

    run: str | None = None
    """Name of the run whose score is explained; by default the one made last."""

    limit: int = 10
    """Rows to show of each kind of evidence."""


@dataclass(frozen=True)
class Explanation:
    """Why this product for this user; the contributions of ``rows`` add up to ``score``."""

    user: str
    """Id of the user."""

    product: str
    """Id of the product."""

    name: str | None
    """Name of the product, where it has one."""

    run: RunRecord
    """The run whose score it is."""

    score: float
    """Sum of the contributions, 0 where no purchase leads to the product."""

    rows: pl.DataFrame
    """One row a purchased product that leads to this one, largest contribution first; all of them."""

    brand: pl.DataFrame
    """What she bought of the same brand."""

    category: pl.DataFrame
    """What she bought of the same categories below the department."""

    department: pl.DataFrame
    """How much she bought in the same department."""

    buyers: pl.DataFrame
    """Her products that this product's buyers bought too."""

    query: str
    """The Cypher that returns ``rows``, to paste."""


@dataclass(frozen=True)
class EdgeEvidence:
    """What the graph knows of two products that a run relates: the evidence behind one row of an explanation."""

    because: str
    """Id of the product that was bought."""

    product: str
    """Id of the product that it leads to."""

    brand: str | None
    """Name of the brand they share, None where they share none."""

    categories: tuple[str, ...]
    """The categories they share, of every level, sorted; each named by its whole path."""

    people: int
    """How many people bought both before the run's moment."""

    some_people: tuple[str, ...]
    """Ids of a few of them, the first in order."""

    weight: float
    """Weight of the edge, the sum of its shares."""

    shares: Mapping[str, float]
    """Each of :data:`kg.schema.SHARES` → its part of the weight."""

    near: float
    """Cosine of the vectors of their texts, 0 where one has no text."""


def explain(store: GraphStore, *, user: str, product: str, run: RunRecord, limit: int) -> Explanation:
    """Return why ``run`` gives ``user`` this product, with at most ``limit`` rows of each further evidence."""
    require_user(store, user)
    name = require_product(store, product)
    score = read_query("explain_score", dialect=store.dialect)
    values = score_parameters(user, product, run, limit=ALL_ROWS)
    rows = store.query(score, values)
    pair = {"user": user, "product": product, "now": float(run.now), "limit": limit}
    return Explanation(
        user=user,
        product=product,
        name=name,
        run=run,
        score=float(rows["contribution"].cast(pl.Float64).sum()),
        rows=rows,
        brand=store.query(read_query("explain_brand", dialect=store.dialect), pair),
        category=store.query(read_query("explain_category", dialect=store.dialect), pair),
        department=store.query(read_query("explain_department", dialect=store.dialect), pair),
        buyers=store.query(read_query("explain_buyers", dialect=store.dialect), pair),
        query=with_values(score, store.stored_values(score, values)),
    )


def drill_down(store: GraphStore, *, because: str, product: str, run: RunRecord, sample: int = 3) -> EdgeEvidence:
    """Return what the graph knows of the edge ``because`` → ``product``, with at most ``sample`` people of those.

    Raises
    ------
    InputError
        Where ``run`` has no such edge, as between products that no row of an explanation joins.
    """
    text = read_query("explain_edge", dialect=store.dialect)
    ends = {"because": because, "product": product, "run": run.name}
    rows = store.query(text, {**ends, "now": float(run.now), "sample": sample, "limit": 1})
    if rows.is_empty():
        raise InputError(
            f"the run {run.name!r} has no RELATED edge from {because!r} to {product!r}; give the two products of a row "
            "of an explanation"
        )
    row = rows.row(0, named=True)
    # A column `brand` is the brand's name, so its share has another.
    shares = {share: row[f"{share}_share" if share in {"brand", "category"} else share] for share in schema.SHARES}
    return EdgeEvidence(
        because=because,
        product=product,
        brand=row["brand"],
        categories=tuple(row["categories"]),
        people=row["people"],
        some_people=tuple(row["some_people"]),
        weight=row["weight"],
        shares=shares,
        near=row["near"],
    )


def score_parameters(user: str, product: str, run: RunRecord, *, limit: int) -> dict[str, Value]:
    """Return the parameters of the query ``explain_score``."""
    return {"user": user, "product": product, **weighing_values(run), "limit": limit}


def weighing_values(run: RunRecord) -> dict[str, Value]:
    """Return the parameters by which a query finds the edges of ``run`` and weighs a purchase as it did."""
    # Floats, for an integer parameter takes a type too narrow for seconds in Ladybug's arithmetic.
    return {"run": run.name, "now": float(run.now), "half_life": run.half_life, "exponent": run.exponent}


def reasons_text(found: Explanation, *, limit: int) -> str:
    """Return the score, ``limit`` of the purchases that make it, and the other evidence, for a terminal."""
    called = product_text(found.product, found.name)
    parts = [f"{called} for user {one_line(found.user)}: score {found.score:.6g} (run {one_line(found.run.name)})"]
    if found.rows.is_empty():
        parts.append("None of her purchases leads to it.")
    else:
        parts += [_shares_text(found), _rows_text(found.rows, limit=limit)]
    parts += ["\n".join(sentences) for sentences in [_evidence(found)] if sentences]
    return "\n\n".join(parts)


def explanation_text(found: Explanation, edges: Sequence[EdgeEvidence], *, limit: int) -> str:
    """Return the reasons, what is behind some of them, and the Cypher that anyone can paste to get the same rows."""
    parts = [reasons_text(found, limit=limit)]
    if edges:
        names = dict(found.rows.select("because", "name").rows())
        parts.append("\n".join(f"{product_text(edge.because, names[edge.because])}: {_edge(edge)}." for edge in edges))
    return "\n\n".join([*parts, "The same from the graph, to paste:", found.query.rstrip()])


def main() -> None:
    """Explain the pair that the command line names."""
    config = tyro.cli(ExplainConfig, prog="python -m kg.explain")
    require_limit(config.limit)
    address = address_of(config.store, config.shop)
    with open_store(address, read_only=True, password_file=config.password_file) as store:
        run = require_run(store, config.run)
        found = explain(store, user=config.user, product=config.product, run=run, limit=config.limit)
        first = found.rows["because"].head(DRILLED)
        edges = [drill_down(store, because=because, product=config.product, run=run) for because in first]
    print(explanation_text(found, edges, limit=config.limit))


def _shares_text(found: Explanation) -> str:
    shares = [(share, float(found.rows[share].sum())) for share in _present_shares(found.rows)]
    # Parts may cancel out, and no share of nothing is a percentage.
    return "Shares: " + ", ".join(
        f"{share} {100 * part / found.score:.1f} %" if found.score else f"{share} {part:.4f}" for share, part in shares
    )


def _present_shares(rows: pl.DataFrame) -> list[str]:
    """Return the shares that say something: a run without a graph, for example, has no other than ``bought``."""
    return [share for share in schema.SHARES if (rows[share] != 0).any()] or ["bought"]


def _rows_text(rows: pl.DataFrame, *, limit: int) -> str:
    shares = _present_shares(rows)
    table = text_table(
        ("because she bought", "times", "last", "weight", "related", "adds", *shares),
        [
            (
                product_text(row["because"], row["name"]),
                row["purchases"],
                date_text(row["last_at"]),
                *(row[column] for column in ("weight", "related", "contribution", *shares)),
            )
            for row in rows.head(limit).iter_rows(named=True)
        ],
    )
    rest = rows.slice(limit)
    if rest.is_empty():
        return table
    return f"{table}\n  and {len(rest)} more, which add {rest['contribution'].sum():.4f} together"


def _evidence(found: Explanation) -> list[str]:
    return [
        *(f"Same brand {one_line(row['brand'])}: {_bought(row)}." for row in found.brand.iter_rows(named=True)),
        *(
            f"Same category {one_line(row['category'])}: {_bought(row)}."
            for row in found.category.iter_rows(named=True)
        ),
        *(
            f"Same department {one_line(row['department'])}: she made {row['purchases']} purchases of "
            f"{row['products']} products there, the last {date_text(row['last_at'])}."
            for row in found.department.iter_rows(named=True)
        ),
        *(
            f"{row['people']} other buyers of it bought {product_text(row['because'], row['name'])}, as she did."
            for row in found.buyers.iter_rows(named=True)
        ),
    ]


def _edge(edge: EdgeEvidence) -> str:
    """Return the evidence of one edge in a line."""
    shares = [f"{share} {part:.4f}" for share, part in edge.shares.items() if part]
    people = f"{edge.people} people bought both"
    if edge.some_people:
        more = ", …" if edge.people > len(edge.some_people) else ""
        people += f" ({', '.join(map(one_line, edge.some_people))}{more})"
    # The deepest categories: that of a path implies all above it.
    deepest = [
        path for path in edge.categories if not any(other.startswith(path + SEPARATOR) for other in edge.categories)
    ]
    return "; ".join(
        [
            f"related {edge.weight:.4f}" + (f" ({', '.join(shares)})" if shares else ""),
            *([f"the same brand {one_line(edge.brand)}"] if edge.brand is not None else []),
            *(f"the same category {one_line(path)}" for path in deepest),
            people,
            *([f"texts {edge.near:.2f} near"] if edge.near else []),
        ]
    )


def _bought(row: dict[str, str | int]) -> str:
    name = product_text(str(row["because"]), None if row["name"] is None else str(row["name"]))
    return f"she bought {name} {row['purchases']} times, the last {date_text(int(row['last_at']))}"


if __name__ == "__main__":
    run_command(main)
