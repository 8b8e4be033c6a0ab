"""Holds what was measured of a run's explanations, and lays it out as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gnn.explanation_measures import PLACES, Truth
from gnn.metrics import Mean
from gnn.plain import plain_values
from kg.text_table import one_line

SCORE, LEAD = "score", f"lead over place {PLACES}"


@dataclass(frozen=True)
class Agreement:
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

    agreements: tuple[Agreement, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain values; what is undefined is null."""
        values: dict[str, Any] = plain_values(asdict(self))
        return values


def table_text(table: ExplanationTable) -> str:
    """Return the table as Markdown."""
    lines = [
        f"# Explanations of run {one_line(table.run)}",
        "",
        f"{table.pairs} users and the first product of each, {table.named} of {table.purchases:.0f} purchased products "
        f"named (means over users; ± is half a 95 % interval; docs/explanations.md defines each number):",
        "",
        f"| explanation | pairs | score lost % | places lost | below place {PLACES} % | score kept alone % | in the "
        f"first {PLACES} alone % |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {each.explanation} | {each.pairs} | {_percent(each.drop)} | {_number(each.rank_loss, digits=1)} | "
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
            for each in table.agreements
        ),
        "",
        f"{table.seconds:.0f} seconds.",
    ]
    return "\n".join(lines)


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
