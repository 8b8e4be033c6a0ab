"""The answer to every query file, worked out from the tables with polars: what the stores are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from kg import schema
from kg.graph import GraphTables, RunRecord

Values = Mapping[str, Any]
RECOMMENDED = {"rank": pl.Int64, "score": pl.Float64, "user": pl.String, "product": pl.String}


@dataclass(frozen=True)
class Known:
    """What answers are made of; every frame is by id."""

    bought: pl.DataFrame
    """``user, product, at``, one row a purchase."""

    names: pl.DataFrame
    """``product, name``."""

    brands: pl.DataFrame
    """``product, brand``, the brand by its name."""

    categories: pl.DataFrame
    """``product, category, level``, one row for every level of its paths."""

    users: pl.DataFrame
    """``user``."""

    preferred: pl.DataFrame
    """One run's PREFERS edges: ``source, target, kind, weight, lift, purchases, last_at``."""

    levels: Mapping[str, int]
    """Category → its level."""

    related: pl.DataFrame
    """One run's edges: ``source, target, weight`` and shares."""

    recommended: pl.DataFrame
    """What one run's last export gave: ``user, product, rank, score``."""

    run: RunRecord
    """The run, the only one."""

    @classmethod
    def of(
        cls,
        graph: GraphTables,
        related: pl.DataFrame,
        run: RunRecord,
        *,
        preferred: pl.DataFrame,
        recommended: pl.DataFrame | None = None,
    ) -> Known:
        nodes, edges = graph.nodes, graph.edges
        brands = edges["HAS_BRAND"].join(nodes["Brand"], left_on="target", right_on="id")
        categories = edges["IN_CATEGORY"].join(nodes["Category"], left_on="target", right_on="id")
        return cls(
            bought=edges["BOUGHT"].select("at", user="source", product="target"),
            names=nodes["Product"].select("name", product="id"),
            brands=brands.select(product="source", brand="name"),
            categories=categories.select("level", product="source", category="target"),
            users=nodes["User"].select(user="id"),
            preferred=preferred,
            levels=dict(nodes["Category"].select("id", "level").rows()),
            related=related,
            recommended=pl.DataFrame(schema=RECOMMENDED)
            if recommended is None
            else recommended.select("rank", "score", user="source", product="target"),
            run=run,
        )

    def purchases(self, values: Values) -> pl.DataFrame:
        """Return what the user bought before now: ``product, purchases, last_at, weight``, one row a product."""
        age = pl.lit(values["now"]) - pl.col("at")
        recent = (0.5 ** (age / values.get("half_life", math.inf))).sum()
        return (
            self.bought.filter(pl.col("user") == values["user"], pl.col("at") < values["now"])
            .group_by("product")
            .agg(
                pl.len().cast(pl.Int64).alias("purchases"),
                pl.col("at").max().alias("last_at"),
                (recent ** values.get("exponent", 1.0)).alias("weight"),
            )
        )

    def others(self, values: Values) -> pl.DataFrame:
        """Return the purchases of the user with the names of the products, without the product asked about."""
        return self.purchases(values).filter(pl.col("product") != values["product"]).join(self.names, on="product")


def explain_brand(known: Known, values: Values) -> pl.DataFrame:
    own = known.brands.filter(pl.col("product") == values["product"]).select("brand")
    same = known.others(values).join(known.brands, on="product").join(own, on="brand")
    ordered = same.sort("purchases", "last_at", "product", descending=[True, True, False])
    return ordered.select("brand", "product", "name", "purchases", "last_at")


def explain_buyers(known: Known, values: Values) -> pl.DataFrame:
    past = known.bought.filter(pl.col("at") < values["now"], pl.col("user") != values["user"])
    buyers = past.filter(pl.col("product") == values["product"]).select("user").unique()
    bought_too = past.join(buyers, on="user").unique(["user", "product"])
    people = bought_too.group_by("product").agg(pl.len().cast(pl.Int64).alias("people"))
    both = known.others(values).join(people, on="product")
    return both.sort("people", "product", descending=[True, False]).select("product", "name", "people")


def explain_category(known: Known, values: Values) -> pl.DataFrame:
    own = known.categories.filter(pl.col("product") == values["product"], pl.col("level") > 1).select("category")
    same = known.others(values).join(known.categories, on="product").join(own, on="category")
    ordered = same.sort(
        "level", "purchases", "last_at", "product", "category", descending=[True, True, True, False, False]
    )
    return ordered.select("category", "level", "product", "name", "purchases", "last_at")


def explain_department(known: Known, values: Values) -> pl.DataFrame:
    own = known.categories.filter(pl.col("product") == values["product"], pl.col("level") == 1).select("category")
    return _by(known.others(values).join(known.categories, on="product").join(own, on="category"), "category")


def explain_edge(known: Known, values: Values) -> pl.DataFrame:
    ends = [values["because"], values["product"]]

    def shared(frame: pl.DataFrame, column: str) -> list[str]:
        both = [set(frame.filter(pl.col("product") == end)[column]) for end in ends]
        return sorted(both[0] & both[1])

    people = shared(known.bought.filter(pl.col("at") < values["now"]), "user")
    edge = known.related.filter(pl.col("source") == ends[0], pl.col("target") == ends[1])
    brands = shared(known.brands, "brand")
    evidence = {
        "brand": brands[0] if brands else None,
        "categories": shared(known.categories, "category"),
        "people": len(people),
        "some_people": people[: values["sample"]],
    }
    named = {share: f"{share}_share" if share in evidence | {"category": 0} else share for share in schema.SHARES}
    shares = [pl.col(share).alias(name) for share, name in named.items()]
    return pl.DataFrame([evidence] * len(edge), schema=list(evidence)).hstack(edge.select("weight", *shares, "near"))


def explain_score(known: Known, values: Values) -> pl.DataFrame:
    towards = known.related.filter(pl.col("target") == values["product"]).rename({"source": "product"})
    bought = known.purchases(values).rename({"weight": "factor"}).join(known.names, on="product")
    rows = bought.join(towards, on="product").with_columns(
        (pl.col("factor") * pl.col("weight")).alias("contribution"),
        *((pl.col("factor") * pl.col(share)).alias(share) for share in schema.SHARES),
    )
    ordered = rows.sort("contribution", "product", descending=[True, False])
    return ordered.select("product", "name", "purchases", "last_at", "factor", "weight", "contribution", *schema.SHARES)


def explain_with_basket(known: Known, values: Values) -> pl.DataFrame:
    towards = known.related.filter(pl.col("target") == values["product"])
    rows = _basket(values).join(towards, left_on="product", right_on="source").join(known.names, on="product")
    rows = rows.with_columns(
        (pl.col("factor") * pl.col("weight")).alias("contribution"),
        *((pl.col("factor") * pl.col(share)).alias(share) for share in schema.SHARES),
    )
    ordered = rows.sort("contribution", "product", descending=[True, False])
    return ordered.select("product", "name", "times", "factor", "weight", "contribution", *schema.SHARES)


def find_product(known: Known, values: Values) -> pl.DataFrame:
    return known.names.filter(pl.col("product") == values["product"]).select("product", "name")


def find_user(known: Known, values: Values) -> pl.DataFrame:
    return known.users.filter(pl.col("user") == values["user"])


def list_popular(known: Known, values: Values) -> pl.DataFrame:
    return list_popular_among(known, {**values, "users": known.users["user"].to_list()})


def list_popular_among(known: Known, values: Values) -> pl.DataFrame:
    bought = known.bought.filter(
        pl.col("at") < values["now"],
        pl.col("user").is_in(values["users"]),
        pl.col("product").is_in(known.related["target"].implode()),
    )
    if not values["repeat"]:
        bought = bought.join(known.purchases({**values, "half_life": math.inf}), on="product", how="anti")
    buyers = bought.group_by("product").agg(pl.col("user").n_unique().cast(pl.Int64).alias("buyers"))
    ordered = buyers.join(known.names, on="product").sort("buyers", "product", descending=[True, False])
    return ordered.select("product", "name", "buyers")


def group_purchases(known: Known, values: Values) -> pl.DataFrame:
    each = [
        known.purchases({**values, "user": user}).select(
            pl.lit(user).alias("user"), "product", "purchases", "last_at", "weight"
        )
        for user in values["users"]
    ]
    return pl.concat(each).sort("user", "product")


def list_buyers(known: Known, values: Values) -> pl.DataFrame:
    bought = known.bought.filter(pl.col("at") < values["now"], pl.col("user").is_in(values["users"]))
    return bought.select("user").unique().sort("user")


def list_products(known: Known, _: Values) -> pl.DataFrame:
    return known.names.sort("product").select("product", "name")


def list_runs(known: Known, _: Values) -> pl.DataFrame:
    return pl.DataFrame({"run": [known.run.name], "made_at": [known.run.made_at]})


def list_users(known: Known, _: Values) -> pl.DataFrame:
    return known.users.sort("user")


def product_buyers(known: Known, values: Values) -> pl.DataFrame:
    past = known.bought.filter(pl.col("at") < values["now"], pl.col("product") == values["product"])
    total = past.group_by("product").agg(
        pl.len().cast(pl.Int64).alias("purchases"), pl.col("user").n_unique().cast(pl.Int64).alias("buyers")
    )
    return total.select("product", "purchases", "buyers")


def profile_preferences(known: Known, values: Values) -> pl.DataFrame:
    own = known.preferred.filter(pl.col("source") == values["user"])
    level = pl.col("target").replace_strict(known.levels, default=None, return_dtype=pl.Int64)
    rows = own.with_columns(pl.when(pl.col("kind") == "Category").then(level).alias("level"))
    ordered = rows.sort("weight", "lift", "target", descending=[True, True, False])
    return ordered.select(pl.col("target").alias("id"), "level", "weight", "lift", "purchases", "last_at")


def profile_product_brands(known: Known, values: Values) -> pl.DataFrame:
    own = known.purchases(values).select("product")
    return own.join(known.brands, on="product").select("product", "brand").sort("product", "brand")


def profile_product_categories(known: Known, values: Values) -> pl.DataFrame:
    own = known.purchases(values).select("product")
    return own.join(known.categories, on="product").select("product", "category", "level").sort("product", "category")


def profile_products(known: Known, values: Values) -> pl.DataFrame:
    own = known.bought.filter(pl.col("user") == values["user"], pl.col("at") < values["now"])
    first = own.group_by("product").agg(pl.col("at").min().alias("first_at"))
    rows = known.purchases(values).join(first, on="product").join(known.names, on="product")
    ordered = rows.sort("purchases", "product", descending=[True, False])
    return ordered.select("product", "name", "purchases", "first_at", "last_at")


def profile_purchases(known: Known, values: Values) -> pl.DataFrame:
    own = known.bought.filter(pl.col("user") == values["user"], pl.col("at") < values["now"])
    total = own.group_by("user").agg(
        pl.len().cast(pl.Int64).alias("purchases"),
        pl.col("product").n_unique().cast(pl.Int64).alias("products"),
        pl.col("at").min().alias("first_at"),
        pl.col("at").max().alias("last_at"),
    )
    return total.select("user", "purchases", "products", "first_at", "last_at")


def recommend(known: Known, values: Values) -> pl.DataFrame:
    return _recommended(known, values, known.purchases(values).select("product", factor="weight"))


def recommend_with_basket(known: Known, values: Values) -> pl.DataFrame:
    return _recommended(known, values, _basket(values))


def _basket(values: Values) -> pl.DataFrame:
    """Return ``product, times, factor`` of what is in the basket."""
    counted = (
        pl.DataFrame({"product": values["basket"]}).group_by("product").agg(pl.len().cast(pl.Int64).alias("times"))
    )
    return counted.with_columns((pl.col("times").cast(pl.Float64) ** values["exponent"]).alias("factor"))


def _recommended(known: Known, values: Values, bought: pl.DataFrame) -> pl.DataFrame:
    """Return what ``bought`` (``product, factor``) leads to, best first."""
    scores = (
        known.related.join(bought, left_on="source", right_on="product")
        .group_by(product="target")
        .agg((pl.col("factor") * pl.col("weight")).sum().alias("score"))
        .join(known.names, on="product")
    )
    if not values["repeat"]:
        scores = scores.join(bought, on="product", how="anti")
    return scores.sort("score", "product", descending=[True, False]).select("product", "name", "score")


def recommended(known: Known, values: Values) -> pl.DataFrame:
    own = known.recommended.filter(pl.col("user") == values["user"]).join(known.names, on="product")
    return own.sort("rank", "product").select("product", "name", "rank", "score")


def recommended_to(known: Known, values: Values) -> pl.DataFrame:
    own = known.recommended.filter(pl.col("product") == values["product"])
    return own.sort("rank", "user").select("user", "rank", "score")


def related_to(known: Known, values: Values) -> pl.DataFrame:
    towards = known.related.filter(pl.col("target") == values["product"]).rename({"source": "product"})
    ordered = towards.join(known.names, on="product").sort("weight", "product", descending=[True, False])
    return ordered.select("product", "name", "weight", *schema.SHARES)


def _by(rows: pl.DataFrame, group: str) -> pl.DataFrame:
    """Return purchases, products and the last moment of each ``group``, most purchases first."""
    counted = rows.group_by(group).agg(
        pl.col("purchases").sum(),
        pl.col("product").n_unique().cast(pl.Int64).alias("products"),
        pl.col("last_at").max(),
    )
    return counted.sort("purchases", group, descending=[True, False]).select(group, "purchases", "products", "last_at")


ANSWERS: dict[str, Callable[[Known, Values], pl.DataFrame]] = {
    answer.__name__: answer
    for answer in (
        explain_brand,
        explain_buyers,
        explain_category,
        explain_department,
        explain_edge,
        explain_score,
        explain_with_basket,
        find_product,
        find_user,
        list_buyers,
        list_popular,
        list_popular_among,
        group_purchases,
        list_products,
        list_runs,
        list_users,
        product_buyers,
        profile_preferences,
        profile_product_brands,
        profile_product_categories,
        profile_products,
        profile_purchases,
        recommend,
        recommend_with_basket,
        recommended,
        recommended_to,
        related_to,
    )
}
"""Name of the query file → what it has to answer; its ``$limit`` is left to the caller."""


def same_rows(found: pl.DataFrame, wanted: pl.DataFrame) -> bool:
    """Return whether two answers agree row for row, numbers up to the order in which they were added up."""
    return found.shape == wanted.shape and all(
        ours == theirs
        or (
            isinstance(ours, float)
            and isinstance(theirs, float)
            and math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
        )
        for row, other in zip(found.rows(), wanted.rows(), strict=True)
        for ours, theirs in zip(row, other, strict=True)
    )
