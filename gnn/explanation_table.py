"""Makes the table that says whether a run's explanations are true, and lays it out."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from tqdm import tqdm

from gnn.explained_pairs import Pairs, Scores, pairs_of, related_products, rescored, scores_of
from gnn.explanation_measures import (
    NAMED,
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
from gnn.graph_paths import incidence, product_graph, steps_between
from gnn.judges import Judged, lime, rank_correlation, rescan, shapley
from gnn.metrics import Mean, mean
from gnn.run import RunFolder
from kg.build import build_graph, results_by_position
from kg.graph import Graph, RunRecord
from kg.store import open_store
from kg.text_table import one_line
from loaders.errors import InputError

AS_STORED = 1e-6
SCORE, LEAD = "score", f"lead over place {PLACES}"


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

    other_run: str | None = None
    """Name of a run with another seed on the same graph, to see whether it names the same purchases."""

    seed: int = 0
    """Seed of the sample and of all that is drawn."""


@dataclass(frozen=True)
class Verdict:
    """How a judge agrees with our contributions."""

    judge: str
    explains: str
    """:data:`SCORE`, or :data:`LEAD`: the score less that of the product in that place."""

    correlation: Mean
    """Spearman's rank correlation of a pair's purchases with our contributions."""

    apart: Mean
    """Largest difference of a pair's purchase from our contribution, over the score; only where both explain it."""

    error: Mean
    """Standard error of a pair's estimates over their size (both as root mean square), where the judge has one."""


@dataclass(frozen=True)
class ExplanationTable:
    """What was measured of a run's explanations."""

    run: str
    made_at: str
    """When the run was made (ISO 8601, UTC)."""

    graph: str
    """Fingerprint of the graph that the run learned from."""

    named: int
    """Purchases that an explanation names."""

    pairs: int
    """Pairs in the sample."""

    purchases: float
    """Mean number of products that a user of the sample had bought."""

    seed: int
    truths: tuple[Truth, ...]
    recommended: int
    """All pairs that the last export recommends."""

    coverage: float
    """Share of them that at least one purchase speaks for."""

    part_counts: dict[str, int]
    """Share of ``RELATED`` → pairs whose best reason is an edge of which it is the largest."""

    part_entropy: float
    """Entropy of these, bits."""

    tie_counts: dict[str, int]
    """What joins best reason and product in the graph → pairs."""

    tie_entropy: float
    """Entropy of these, bits."""

    distinct_reasons: float
    """Different best reasons over pairs."""

    other_run: str | None
    stability: Mean | None
    """Jaccard overlap of the named purchases with those of ``other_run``; None without one."""

    verdicts: tuple[Verdict, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain values; what is undefined is null."""
        values: dict[str, Any] = _without_nan(asdict(self))
        return values


@dataclass(frozen=True)
class Measured:
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
    verdicts = _verdicts(scores, pairs, config, rng=rng)
    return ExplanationTable(
        run=run.run.name,
        made_at=run.run.made_at,
        graph=run.fingerprint,
        named=NAMED,
        pairs=len(pairs.users),
        purchases=len(pairs.bought) / len(pairs.users),
        seed=config.seed,
        truths=tuple(truth(way, named, scores=scores, pairs=pairs) for way, named in ways.items()),
        recommended=len(given),
        coverage=coverage(scores, given["source"].to_numpy(), np.searchsorted(products, given["target"].to_numpy())),
        part_counts=parts,
        part_entropy=entropy(parts),
        tie_counts=ties,
        tie_entropy=entropy(ties),
        distinct_reasons=distinct_reasons(pairs),
        other_run=config.other_run,
        stability=stability,
        verdicts=verdicts,
        seconds=time.perf_counter() - started,
    )


def table_text(table: ExplanationTable) -> str:
    """Return the table as Markdown."""
    lines = [
        f"# Explanations of run {one_line(table.run)}",
        "",
        f"{table.pairs} users and the first product of each, {table.named} of {table.purchases:.0f} purchased products "
        f"named (means over users; ± is half a 95 % interval; docs/explanations.md defines each number):",
        "",
        f"| explanation | score lost % | places lost | below place {PLACES} % | score kept alone % | in the first "
        f"{PLACES} alone % |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {each.explanation} | {_percent(each.drop)} | {_number(each.rank_loss, digits=1)} | "
            f"{_percent(each.falls_out)} | {_percent(each.kept)} | {_percent(each.stays_in)} |"
            for each in table.truths
        ),
        "",
        f"- Coverage: {100 * table.coverage:.1f} % of {table.recommended} recommended pairs have a purchase that "
        "speaks for them.",
        f"- Best reason by its largest share: {_counts(table.part_counts)} ({table.part_entropy:.2f} bits).",
        f"- What joins it to the product in the graph: {_counts(table.tie_counts)} ({table.tie_entropy:.2f} bits).",
        f"- Different best reasons: {100 * table.distinct_reasons:.1f} % of the number of pairs.",
        f"- Stability: {_stability_text(table)}",
        "",
        "| independent judge | of the | pairs | rank correlation | apart from ours, % of the score | "
        "sampling error % |",
        "|---|---|---:|---:|---:|---:|",
        *(
            f"| {each.judge} | {each.explains} | {each.correlation.users} | {_number(each.correlation, digits=3)} | "
            f"{_percent(each.apart, digits=6)} | {_percent(each.error)} |"
            for each in table.verdicts
        ),
        "",
        f"{table.seconds:.0f} seconds.",
    ]
    return "\n".join(lines)


def _require_possible(config: ExplanationSample) -> None:
    for name, value, least in (
        ("pairs", config.pairs, 1),
        ("judged", config.judged, 0),
        ("permutations", config.permutations, 2),
        ("lime-samples", config.lime_samples, 10),
    ):
        if value < least:
            raise InputError(f"--{name} is {value}; give at least {least}")


def _read(folder: RunFolder, *, password_file: str | None) -> Measured:
    manifest = folder.manifest()
    with open_store(manifest.store, read_only=True, password_file=password_file) as store:
        run = manifest.require_own_results(store)
        graph = build_graph(store.read_graph())
        edges, given = (
            results_by_position(store.read_results(relation, run.name), graph, relation=relation)
            for relation in ("RELATED", "RECOMMENDED")
        )
    return Measured(graph=graph, edges=edges, given=given, run=run, fingerprint=manifest.graph)


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


def _steps(run: Measured, scores: Scores, pairs: Pairs) -> np.ndarray:
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
    run: Measured, pairs: Pairs, scores: Scores, config: ExplanationSample, *, runs: str, password_file: str | None
) -> Mean | None:
    if config.other_run is None:
        return None
    other = _read(RunFolder.open(runs, config.other_run), password_file=password_file)
    if other.fingerprint != run.fingerprint:
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


def _verdicts(
    scores: Scores, pairs: Pairs, config: ExplanationSample, *, rng: np.random.Generator
) -> tuple[Verdict, ...]:
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
                found.setdefault((judge, explains), []).append(_agreement(each, ours, same=explains == SCORE))
    return tuple(
        Verdict(judge, explains, *(mean(np.array(column)) for column in zip(*rows, strict=True)))
        for (judge, explains), rows in sorted(found.items(), key=lambda item: item[0][1] != SCORE)
    )


def _agreement(judged: Judged, ours: np.ndarray, *, same: bool) -> tuple[float, float, float]:
    """Return rank correlation, largest difference over the score, and error over size of one pair's estimates."""
    size = float(np.sqrt((judged.estimate**2).mean())) if len(ours) else 0.0
    score = float(ours.sum())
    apart = float(np.abs(judged.estimate - ours).max()) / score if same and score > 0 else float("nan")
    return rank_correlation(judged.estimate, ours), apart, judged.error / size if size else float("nan")


def _stability_text(table: ExplanationTable) -> str:
    if table.stability is None:
        return "not measured; name a run with another seed by --other-run."
    found = table.stability
    return (
        f"{_percent(found)} % of the purchases that this run or {one_line(str(table.other_run))} names are named by "
        f"both (Jaccard, {found.users} pairs)."
    )


def _counts(counts: dict[str, int]) -> str:
    whole = max(sum(counts.values()), 1)
    return ", ".join(f"{kind} {100 * count / whole:.1f} %" for kind, count in counts.items() if count)


def _number(value: Mean, *, digits: int) -> str:
    return f"{value.value:.{digits}f} ± {value.interval:.{digits}f}" if value.users else "-"


def _percent(value: Mean, *, digits: int = 1) -> str:
    return _number(Mean(100 * value.value, 100 * value.interval, value.users), digits=digits)


def _without_nan(value: Any) -> Any:
    """Return plain values with None for what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
