"""The report of a run: what was chosen, and the tables of validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gnn.metrics import Mean, Row


@dataclass(frozen=True)
class Report:
    """Everything a reader of a run wants to know."""

    run: str
    shop: str
    facts: dict[str, str]
    """What was split, fitted and chosen, in words."""

    validation: list[Row]
    """Models of the past, measured on the validation part: what choices were made by."""

    test: list[Row]
    """Models refitted on past and validation, measured once on the test part."""

    seconds: dict[str, float]
    """How long each stage took."""

    def with_test(self, rows: Sequence[Row]) -> Report:
        """Return the same report with this test table."""
        return replace(self, test=list(rows))

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Report:
        """Return the report that :meth:`to_json` wrote."""
        tables = {
            name: [
                Row(row["recommender"], {key: Mean(**value) for key, value in row["measures"].items()})
                for row in values[name]
            ]
            for name in ("validation", "test")
        }
        return cls(**{**values, **tables})


def as_markdown(report: Report) -> str:
    """Return the report as a page."""
    facts = "\n".join(f"- {name}: {value}" for name, value in report.facts.items())
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in report.seconds.items())
    parts = [
        f"# Run {report.run} on {report.shop}",
        facts,
        "## Test: what users bought after the test moment (percent)",
        _table(report.test),
        "## Validation: what choices were made by (percent)",
        _table(report.validation),
        f"Seconds: {seconds}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return "No purchases in this part."
    names = list(rows[0].measures)
    width = max(len(row.recommender) for row in rows)
    lines = [
        f"| {'recommender':{width}} | " + " | ".join(f"{name:>12}" for name in names) + " |",
        f"| {'-' * width} | " + " | ".join("-" * 11 + ":" for _ in names) + " |",
    ]
    for row in rows:
        cells = [_percent(row.measures[name], with_interval=name.startswith("NDCG")) for name in names]
        lines.append(f"| {row.recommender:{width}} | " + " | ".join(f"{cell:>12}" for cell in cells) + " |")
    users = rows[0].measures[names[0]].users
    return "\n".join([*lines, "", f"{users} users have something to find; ± is half a 95 % interval."])


def _percent(value: Mean, *, with_interval: bool) -> str:
    interval = f" ± {100 * value.interval:.2f}" if with_interval else ""
    return f"{100 * value.value:.2f}{interval}"
