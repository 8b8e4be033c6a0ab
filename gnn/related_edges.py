"""Ranks related products for a range of products: what is in one shard of the delivery product → product."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from jaxtyping import Int

from gnn.columns import Column, columns_of, with_types
from gnn.related import related_products
from gnn.run import Manifest
from gnn.shard_work import Shard
from kg.graph import Graph
from loaders.errors import InputError

NOTHING_FOR = "no other product that a purchase of it speaks for"


@dataclass(frozen=True)
class OfProducts:
    """Products that follow each other: how many, and the edges that start at them."""

    count: int
    edges: pl.DataFrame


@dataclass(frozen=True)
class RelatedEdges:
    """The largest ``RELATED`` edges of all products that a run ranks, made for some of them at a time."""

    ids: pl.Series
    """Ids of all products of the graph, by position."""

    manifest: Manifest
    products: Int[np.ndarray, " products"]
    edges: pl.DataFrame
    """Those above 0 from one product to another, sorted by ``source``: also ``target`` (positions), ``weight``, shares,
    ``near``."""

    k: int

    @classmethod
    def of(cls, graph: Graph, *, edges: pl.DataFrame, manifest: Manifest, k: int) -> RelatedEdges:
        """Return the edges of a run's ``RELATED`` (``edges``, by position) that speak for another product."""
        products = related_products(edges)
        if not len(products):
            raise InputError(f"the run {manifest.run!r} has no RELATED edge to deliver; train with more purchases")
        others = edges.filter(pl.col("weight") > 0, pl.col("source") != pl.col("target"))
        return cls(ids=graph.products["id"], manifest=manifest, products=products, edges=others.sort("source"), k=k)

    @property
    def most_rows(self) -> int:
        """How many edges there are at the most."""
        return min(self.k * len(self.products), len(self.edges))

    @property
    def owners(self) -> pl.Series:
        """Ids of the ranked products, by their place among them."""
        return self.ids.gather(self.products)

    @property
    def items(self) -> pl.Series:
        """Ids of what can be in a list."""
        return self.owners

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a shard."""
        return columns_of("related")

    def part(self, start: int, stop: int) -> OfProducts:
        """Return the edges that start at the products at these places."""
        first, last = self.products[[start, stop - 1]].tolist()
        begin = int(self.edges["source"].search_sorted(first, "left"))
        end = int(self.edges["source"].search_sorted(last, "right"))
        return OfProducts(stop - start, self.edges.slice(begin, end - begin))

    def without_owners(self) -> RelatedEdges:
        """Return the same without any edge."""
        return replace(self, edges=self.edges.clear())

    def shard(self, part: OfProducts) -> Shard:
        """Return the lists of these products; of equal weights the product whose id comes first."""
        best = (
            part.edges.sort("source", "weight", "target", descending=[False, True, False])
            .with_columns(rank=pl.int_range(1, pl.len() + 1).over("source"))
            .filter(pl.col("rank") <= self.k)
        )
        edges = best.with_columns(
            product_id=self.ids.gather(best["source"]),
            related_id=self.ids.gather(best["target"]),
            run=pl.lit(self.manifest.run),
            made_at=pl.lit(self.manifest.made_at),
        )
        covered = best["source"].n_unique()
        left_out = {NOTHING_FOR: part.count - covered}
        return Shard(with_types(edges, self.columns), owners=covered, left_out=left_out)
