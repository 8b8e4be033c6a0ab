"""Adds up the explanations of random pairs of a run: ``python -m benchmarks.exact_sums --run R``.

Ends with code 1 where the rows of a pair do not add up to the exported score, or the shares of a row to what it adds.
``--copy-to neo4j://localhost:7687`` (an empty database, or one of ours; a graph of another shop in it is replaced) puts
graph and edges there and asks that store too: the same numbers have to come from both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl
import tyro

from gnn.history import Weighing, history_weights
from gnn.read_delivery import delivered_edges
from gnn.related import related_matrix, related_products
from gnn.run import RunFolder
from kg.build import build_graph, results_by_position
from kg.cypher import read_query
from kg.explain import ALL_ROWS, score_parameters
from kg.graph import GraphTables, RunRecord
from kg.schema import SHARES
from kg.store import GraphStore, open_store
from loaders.errors import InputError, run_command

CLOSE = 1e-5


@dataclass(frozen=True)
class SumsConfig:
    """What to add up."""

    run: str
    """Name of a finished run."""

    runs: str = "runs"
    """Folder of all runs."""

    copy_to: str | None = None
    """Another store to copy the run to and to ask as well as the run's own."""

    pairs: int = 1000
    """Random pairs, half of them recommended ones."""

    seed: int = 0
    """Of the choice of pairs."""

    password_file: str | None = None
    """File that holds the password of a Neo4j; by default NEO4J_PASSWORD or the file NEO4J_PASSWORD_FILE."""


@dataclass(frozen=True)
class Sums:
    """What adding up found."""

    pairs: int
    rows: int
    """Of all explanations together."""

    apart: float
    """Largest difference of a sum from its score, over the score where that is above 1."""

    shares_apart: float
    """The same of a row's shares from what the row adds."""

    seconds: float
    """That the queries took."""

    @property
    def exact(self) -> bool:
        """Whether all sums are the scores."""
        return bool(np.max([self.apart, self.shares_apart]) <= CLOSE)

    def __str__(self) -> str:
        """Return it in a sentence."""
        return (
            f"{self.pairs} random pairs, {self.rows} rows: sums at most {self.apart:.1e} from the scores, shares at "
            f"most {self.shares_apart:.1e} from their row; {1000 * self.seconds / self.pairs:.1f} ms a pair"
        )


def add_up(
    store: GraphStore,
    tables: GraphTables,
    related: pl.DataFrame,
    delivered: pl.DataFrame,
    run: RunRecord,
    *,
    pairs: int,
    seed: int,
) -> Sums:
    """Explain random pairs in ``store``: half are delivered ones with their score, half any by the sparse product.

    ``tables`` and ``related`` (by id) are what the run made its edges of and the edges; ``delivered`` has ``user_id``,
    ``product_id`` and ``score``.
    """
    graph = build_graph(tables)
    edges = results_by_position(related, graph, relation="RELATED")
    products = related_products(edges)
    weighing = Weighing(exponent=run.exponent, half_life=run.half_life)
    known = graph.bought.filter(pl.col("at") < run.now)
    history = history_weights(known, products=products, num_users=len(graph.users), weighing=weighing, now=run.now)
    ids = graph.products["id"].gather(products)
    rng = np.random.default_rng(seed)
    ranked = delivered.sample(min(pairs // 2, len(delivered)), seed=seed)
    rows, columns = (rng.choice(size, pairs - len(ranked)) for size in (len(graph.users), len(ids)))
    towards = related_matrix(edges, products)[:, columns].T
    users = ranked["user_id"].to_list() + graph.users["id"].gather(rows).to_list()
    wanted = ranked["product_id"].to_list() + ids.gather(columns).to_list()
    any_scores = np.asarray(history[rows].multiply(towards).sum(axis=1)).ravel()
    scores = np.concatenate([ranked["score"].to_numpy(), any_scores])

    text = read_query("explain_score", dialect=store.dialect)
    start = time.perf_counter()
    explained = [
        store.query(text, score_parameters(user, product, run, limit=ALL_ROWS))
        for user, product in zip(users, wanted, strict=True)
    ]
    seconds = time.perf_counter() - start
    totals = np.array([float(each["contribution"].cast(pl.Float64).sum()) for each in explained])
    every = pl.concat([each for each in explained if len(each)] or explained[:1])
    contribution = every["contribution"].to_numpy()
    shares = every.select(pl.sum_horizontal(SHARES)).to_series().to_numpy()
    return Sums(
        pairs=len(totals),
        rows=len(every),
        apart=_largest(totals - scores, scores),
        shares_apart=_largest(shares - contribution, contribution),
        seconds=seconds,
    )


def _largest(difference: np.ndarray, of: np.ndarray) -> float:
    return float((np.abs(difference) / np.maximum(np.abs(of), 1.0)).max(initial=0.0))


@contextmanager
def copied(
    tables: GraphTables, related: pl.DataFrame, run: RunRecord, config: SumsConfig
) -> Iterator[tuple[GraphStore, ...]]:
    """Give the other store that is wanted, if there is one, with the same graph and edges in it."""
    if config.copy_to is None:
        yield ()
        return
    with open_store(config.copy_to, password_file=config.password_file) as other:
        other.replace_graph(tables)
        other.write_results("RELATED", related, run=run)
        yield (other,)


def main() -> None:
    """Add up what the command line names."""
    config = tyro.cli(SumsConfig, prog="python -m benchmarks.exact_sums", description=SumsConfig.__doc__)
    folder = RunFolder.open(config.runs, config.run)
    manifest = folder.manifest()
    if config.pairs < 2:
        raise InputError(f"pairs is {config.pairs}; give 2 or more")
    delivered = pl.concat(delivered_edges(folder.path / "ranked_edges")).drop_nulls("score")
    with open_store(manifest.store, read_only=True, password_file=config.password_file) as own:
        run = manifest.require_own_results(own)
        tables, related = own.read_graph(), own.read_results("RELATED", run.name)
        with copied(tables, related, run, config) as others:
            for store in (own, *others):
                found = add_up(store, tables, related, delivered, run, pairs=config.pairs, seed=config.seed)
                print(f"{store.address}: {found}")
                if not found.exact:
                    sys.exit(f"the explanations of run {run.name!r} in {store.address} do not add up to its scores")


if __name__ == "__main__":
    run_command(main)
