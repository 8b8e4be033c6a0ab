"""Makes the graph: a shop's tables become nodes and edges by id, and ids become positions."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from kg import schema
from kg.graph import ROWS_AT_ONCE, Graph, GraphTables
from loaders.tables import Shop

SEPARATOR = " > "


def graph_tables(shop: Shop) -> GraphTables:
    """Return the nodes and edges of ``shop``.

    Every prefix of a category path is a category of its own, whose id is that prefix; a product is in all of them,
    so that "same department" and "same type" are both one step in the graph.
    """
    product_extras = [column for column in shop.products.columns if column not in _PRODUCT_COLUMNS]
    paths = _category_paths(shop.products)
    brands = shop.products.select("product_id", "brand").drop_nulls()
    nodes = {
        "User": shop.users.rename({"user_id": "id"}),
        "Product": shop.products.select(pl.col("product_id").alias("id"), "name", "text", "price", *product_extras),
        "Brand": brands.select(pl.col("brand").unique().alias("id")).with_columns(pl.col("id").alias("name")),
        "Category": paths.select("id", "name", "level").unique(),
    }
    edges = {
        "BOUGHT": shop.purchases.rename({"user_id": "source", "product_id": "target"}),
        "HAS_BRAND": brands.select(source="product_id", target="brand"),
        "IN_CATEGORY": paths.select(source="product_id", target="id").unique(),
        "SUBCATEGORY_OF": paths.select(source="id", target="parent").drop_nulls().unique(),
    }
    for (relation,), links in shop.links.group_by("relation"):
        edges[str(relation)] = links.select(source="source_id", target="target_id")
    return GraphTables(
        shop=shop.name,
        nodes=nodes_in_order(nodes),
        edges=edges_in_order(edges),
        validation_from=shop.validation_from,
        test_from=shop.test_from,
    )


def nodes_in_order(nodes: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the tables in the order that makes a graph's fingerprint: labels as in the schema, rows by id."""
    return {label: nodes[label].sort("id") for label in schema.NODES}


def edges_in_order(edges: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the tables in the order that makes a graph's fingerprint: relations by name, rows by all columns."""
    return {relation: _in_order(edges[relation]) for relation in sorted(edges)}


def _in_order(edges: pl.DataFrame) -> pl.DataFrame:
    """Return the rows sorted by all columns."""
    # A shop's purchases are in order already; to sort 5 million of them anew takes 1 s and a second copy.
    key = [column for column in ("source", "target", "at") if column in edges.columns]
    after = pl.lit(value=False)
    for column in reversed(key):
        this, last = pl.col(column), pl.col(column).shift()
        after = (this > last) | ((this == last) & after)
    rises = (
        edges.slice(start, ROWS_AT_ONCE + 1).select(after.slice(1).all(ignore_nulls=False)).item()
        for start in range(0, len(edges), ROWS_AT_ONCE)
    )
    # Where the key rises from each row to the next, no other column decides.
    return edges if all(rises) else edges.sort(pl.all())


def build_graph(tables: GraphTables) -> Graph:
    """Return the graph by position: each id becomes the row number of its node."""

    def by_position(relation: str) -> pl.DataFrame:
        source, target = schema.endpoints(relation)
        return _with_positions(tables.edges[relation], source=tables.nodes[source], target=tables.nodes[target])

    own = [relation for relation in tables.edges if relation not in schema.ENDPOINTS]
    return Graph(
        shop=tables.shop,
        users=tables.nodes["User"],
        products=tables.nodes["Product"],
        brands=tables.nodes["Brand"],
        categories=tables.nodes["Category"],
        bought=by_position("BOUGHT").rename({"source": "user", "target": "product"}),
        has_brand=by_position("HAS_BRAND"),
        in_category=by_position("IN_CATEGORY"),
        subcategory_of=by_position("SUBCATEGORY_OF"),
        links={relation: by_position(relation) for relation in own},
        validation_from=tables.validation_from,
        test_from=tables.test_from,
    )


def results_by_position(edges: pl.DataFrame, graph: Graph, *, relation: str) -> pl.DataFrame:
    """Return edges read from a store with positions for ids; those at a node the graph does not have are left out."""
    nodes = {"User": graph.users, "Product": graph.products}
    source, target = schema.endpoints(relation)
    return _with_positions(edges, source=nodes[source], target=nodes[target]).drop_nulls(["source", "target"])


def _with_positions(edges: pl.DataFrame, *, source: pl.DataFrame, target: pl.DataFrame) -> pl.DataFrame:
    for column, nodes in (("source", source), ("target", target)):
        position = nodes.select(pl.col("id").alias(column), pl.int_range(pl.len(), dtype=pl.Int64).alias("position"))
        found = edges.select(column).join(position, on=column, how="left", maintain_order="left")
        edges = edges.with_columns(found["position"].alias(column))
    return edges


_PRODUCT_COLUMNS = ("product_id", "name", "brand", "category", "price", "text")


def _category_paths(products: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each product and each prefix of its paths: ``product_id, id, name, level, parent``."""
    levels = (
        products.select("product_id", pl.col("category").str.split("|").alias("path"))
        .explode("path")
        .drop_nulls()
        .with_row_index("nth")
        .with_columns(pl.col("path").str.split(">").list.eval(pl.element().str.strip_chars()).alias("name"))
    )
    rows = levels.with_columns(pl.int_ranges(1, pl.col("name").list.len() + 1).alias("level")).explode("level")
    prefix = pl.col("name").list.head(pl.col("level")).list.join(SEPARATOR)
    parent = pl.col("name").list.head(pl.col("level") - 1).list.join(SEPARATOR)
    return rows.select(
        "product_id",
        prefix.alias("id"),
        pl.col("name").list.get(pl.col("level") - 1),
        "level",
        pl.when(pl.col("level") > 1).then(parent).alias("parent"),
    )
