"""Measures whether a run's explanations are true: ``gnn.evaluate --explanations``."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse
from tqdm import tqdm

from gnn.explained_pairs import Pairs, Scores, pairs_of, rescored, scores_of
from gnn.explanation_measures import (
    NAMED,
    OURS,
    PLACES,
    Truth,
    coverage,
    distinct_reasons,
    entropy,
    explanations,
    first_named,
    jaccard,
    part_counts,
    tie_counts,
    truth,
)
from gnn.explanation_table import LEAD, SCORE, Agreement, ExplanationTable
from gnn.graph_paths import incidence, product_graph, steps_between
from gnn.judges import Judged, lime, rank_correlation, rescan, shapley
from gnn.metrics import Mean, mean
from gnn.pyg_explainers import explained_by_pyg
from gnn.related import related_products
from gnn.run import RunFolder
from kg.build import build_graph, results_by_position
from kg.graph import Graph, RunRecord
from kg.store import open_store
from loaders.errors import InputError

AS_STORED = 1e-6
"""By how much, relatively, a score in the graph may differ from the sum: it is stored in other bits."""


@dataclass(frozen=True)
class ExplanationSample:
    """Which explanations are measured, and how closely."""

    pairs: int = 500
    """Users, drawn by chance, whose first recommended product is explained."""

    judged: int = 10
    """Pairs, of these, that sampling Shapley and LIME judge."""

    permutations: int = 4
    """Orders of a user's purchases that sampling Shapley goes through."""

    lime_samples: int = 1000
    """Lists of purchases that LIME fits its model to."""

    explained_by_pyg: int = 100
    """Pairs, of these, that PyG's explainers explain; GNNExplainer trains for each; 0 leaves them out."""

    other_run: str | None = None
    """Name of a run with another seed on the same graph, to see whether it names the same purchases."""

    seed: int = 0
    """Seed of the sample and of all that is drawn."""


@dataclass(frozen=True)
class Stored:
    """What a run's store holds that its explanations are measured on."""

    graph: Graph
    edges: pl.DataFrame
    """``RELATED`` by position."""

    given: pl.DataFrame
    """``RECOMMENDED`` by position."""

    run: RunRecord
    fingerprint: str


def measure_explanations(
    folder: RunFolder, config: ExplanationSample, *, runs: str, password_file: str | None = None
) -> ExplanationTable:
    """Return the table for a finished run from its store; raise where that has no results of the run."""
    _require_possible(config)
    started = time.perf_counter()
    run = _read(folder, password_file=password_file)
    if run.given.is_empty():
        raise InputError(
            f"the store holds no RECOMMENDED of run {run.run.name!r}, so there is nothing to explain; make them with "
            f"python -m gnn.export --run {run.run.name}"
        )
    products = related_products(run.edges)
    scores = scores_of(run.graph, edges=run.edges, run=run.run, products=products)
    given = run.given.filter(pl.col("target").is_in(products)).sort("source", "rank")
    rng = np.random.default_rng(config.seed)
    pairs = _sample(given.filter(pl.col("rank") == 1), scores, config.pairs, rng=rng, run=run.run)
    ways = explanations(pairs, steps=_steps(run, scores, pairs), rng=rng)
    parts, ties = part_counts(pairs, run.edges, products), tie_counts(pairs, _ties(run.graph, products))
    stability = _stability(run, pairs, scores, config, runs=runs, password_file=password_file)
    agreements = _agreements(scores, pairs, config, rng=rng)
    truths = [truth(way, named, scores=scores, pairs=pairs) for way, named in ways.items()]
    return ExplanationTable(
        run=run.run.name,
        made_at=run.run.made_at,
        graph=run.fingerprint,
        named=NAMED,
        pairs=len(pairs.users),
        purchases=len(pairs.bought) / len(pairs.users),
        seed=config.seed,
        truths=(*truths, *_pyg_truths(scores, pairs, config)),
        recommended=len(given),
        coverage=coverage(scores, given["source"].to_numpy(), np.searchsorted(products, given["target"].to_numpy())),
        part_counts=parts,
        part_entropy=entropy(parts),
        tie_counts=ties,
        tie_entropy=entropy(ties),
        distinct_reasons=distinct_reasons(pairs),
        other_run=config.other_run,
        stability=stability,
        agreements=agreements,
        seconds=time.perf_counter() - started,
    )


def _require_possible(config: ExplanationSample) -> None:
    for name, value, least in (
        ("pairs", config.pairs, 1),
        ("judged", config.judged, 0),
        ("explained-by-pyg", config.explained_by_pyg, 0),
        ("permutations", config.permutations, 2),
        ("lime-samples", config.lime_samples, 10),
    ):
        if value < least:
            raise InputError(f"--{name} is {value}; give at least {least}")


def _read(folder: RunFolder, *, password_file: str | None) -> Stored:
    manifest = folder.manifest()
    with open_store(manifest.store, read_only=True, password_file=password_file) as store:
        run = manifest.require_own_results(store)
        graph = build_graph(store.read_graph())
        edges, given = (
            results_by_position(store.read_results(relation, run.name), graph, relation=relation)
            for relation in ("RELATED", "RECOMMENDED")
        )
    return Stored(graph=graph, edges=edges, given=given, run=run, fingerprint=manifest.graph)


def _sample(first: pl.DataFrame, scores: Scores, wanted: int, *, rng: np.random.Generator, run: RunRecord) -> Pairs:
    """Return a sample of the first places; raise where they are not what the purchases in the store give now."""
    chosen = first[np.sort(rng.choice(len(first), size=min(wanted, len(first)), replace=False)).tolist()]
    products = np.searchsorted(scores.products, chosen["target"].to_numpy())
    pairs = pairs_of(scores, chosen["source"].to_numpy(), products)
    found = rescored(scores, pairs, np.ones(len(pairs.bought), dtype=bool))
    if not np.allclose(found.score, chosen["score"].to_numpy(), rtol=AS_STORED, atol=1e-12):
        raise InputError(
            f"the scores of the RECOMMENDED of run {run.name!r} are not those of the purchases in the store; "
            f"export anew with python -m gnn.export --run {run.name}"
        )
    return pairs


def _steps(run: Stored, scores: Scores, pairs: Pairs) -> np.ndarray:
    joined = product_graph(run.graph, products=scores.products, now=run.run.now)
    targets, row = np.unique(pairs.products, return_inverse=True)
    steps: np.ndarray = steps_between(joined, targets)[row[pairs.pair], pairs.bought]
    return steps


def _ties(graph: Graph, products: np.ndarray) -> dict[str, sparse.csr_array]:
    """Return what may join two products, the closest first."""
    level = graph.categories["level"].gather(graph.in_category["target"])
    narrow, top = graph.in_category.filter(level > 1), graph.in_category.filter(level == 1)
    kinds = {
        "same brand": (graph.has_brand, graph.brands),
        "same category": (narrow, graph.categories),
        "same department": (top, graph.categories),
    }
    return {
        kind: incidence(edges["source"], edges["target"], products=products, width=len(nodes))
        for kind, (edges, nodes) in kinds.items()
    }


def _stability(
    run: Stored, pairs: Pairs, scores: Scores, config: ExplanationSample, *, runs: str, password_file: str | None
) -> Mean | None:
    if config.other_run is None:
        return None
    other = _read(RunFolder.open(runs, config.other_run), password_file=password_file)
    # Products are named by position: the same graph was learned from, and both stores hold the same products still.
    same = run.graph.products["id"].equals(other.graph.products["id"])
    if other.fingerprint != run.fingerprint or not same:
        raise InputError(
            f"the run {config.other_run!r} was made on another graph than {run.run.name!r}, so they cannot be "
            "compared; name one on the same"
        )
    # The two may rank different products: the same columns for both, so that a column is one product.
    products = np.union1d(related_products(run.edges), related_products(other.edges))
    sampled = np.searchsorted(products, scores.products[pairs.products])
    both = [
        pairs_of(scores_of(run.graph, edges=each.edges, run=each.run, products=products), pairs.users, sampled)
        for each in (run, other)
    ]
    named = [first_named(each, -each.contribution) for each in both]
    return mean(jaccard(both[0], named[0], both[1], named[1]))


def _pyg_truths(scores: Scores, pairs: Pairs, config: ExplanationSample) -> list[Truth]:
    """Return the measures of PyG's explainers on some of the pairs, and of our contributions on the same ones."""
    wanted = min(config.explained_by_pyg, len(pairs.users))
    if not wanted:
        return []
    # A stream of its own, so that what the others draw does not change which pairs these are.
    rng = np.random.default_rng((config.seed, 1))
    chosen = np.sort(rng.choice(len(pairs.users), size=wanted, replace=False))
    some = pairs_of(scores, pairs.users[chosen], pairs.products[chosen])
    values = explained_by_pyg(scores, some, seed=config.seed)
    if wanted < len(pairs.users):
        values = {f"{OURS}, on the pairs of PyG's explainers": some.contribution, **values}
    return [truth(way, first_named(some, -each), scores=scores, pairs=some) for way, each in values.items()]


def _agreements(
    scores: Scores, pairs: Pairs, config: ExplanationSample, *, rng: np.random.Generator
) -> tuple[Agreement, ...]:
    """Return what the judges say of some of the pairs, each of the score and of the lead."""
    chosen = np.sort(rng.choice(len(pairs.users), size=min(config.judged, len(pairs.users)), replace=False))
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for pair in tqdm(chosen.tolist(), desc="judge", unit="pair", disable=None):
        ours = pairs.contribution[pairs.start[pair] : pairs.start[pair + 1]]
        for explains, places in ((SCORE, None), (LEAD, PLACES)):
            value = rescan(scores, pairs, pair, places=places)
            judged = {
                "sampling Shapley": shapley(value, len(ours), permutations=config.permutations, rng=rng),
                "LIME": lime(value, len(ours), samples=config.lime_samples, rng=rng),
            }
            for judge, each in judged.items():
                found.setdefault((judge, explains), []).append(_compared(each, ours, same=explains == SCORE))
    return tuple(
        Agreement(judge, explains, *(mean(np.array(column)) for column in zip(*rows, strict=True)))
        for (judge, explains), rows in sorted(found.items(), key=lambda item: item[0][1] != SCORE)
    )


def _compared(judged: Judged, ours: np.ndarray, *, same: bool) -> tuple[float, float, float]:
    """Return rank correlation, largest difference over the score, and error over size of one pair's estimates."""
    size = float(np.sqrt((judged.estimate**2).mean())) if len(ours) else 0.0
    score = float(ours.sum())
    apart = float(np.abs(judged.estimate - ours).max()) / score if same and score > 0 else float("nan")
    return rank_correlation(judged.estimate, ours), apart, judged.error / size if size else float("nan")
