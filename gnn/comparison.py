"""What a benchmark finds: a row for each model, compared user by user with one of them; kept as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gnn.calibration import Bin, Reliability
from gnn.compare import Comparison, Interval, compare, holm
from gnn.measured import MEASURE, Measured
from gnn.metrics import PerUser
from gnn.plain import plain_values

TABLE = "table"
"""Group of the rows that every model of a shop has."""

ABLATION = "ablation of "
"""What the name of a group begins with in which one model is fitted to parts of the graph; its own name follows."""


@dataclass(frozen=True)
class Compared:
    """The row that a group is compared by, against another row: difference in NDCG@10 on the same users."""

    comparison: Comparison

    p_holm: float
    """The p corrected for the number of rows in the group (Holm 1979)."""


@dataclass(frozen=True)
class ModelRow:
    """One model on validation and test, or why it was left out."""

    group: str
    name: str
    settings: Mapping[str, Any]

    commit: str | None
    """Of the program that fitted it."""

    validation: Measured | None = None
    """Fitted to the past by the first seed; what choices are made by."""

    test: Measured | None = None
    """Fitted to past and validation, by every seed where chance plays a part."""

    reliability: Reliability | None = None
    """Of the first seed's scores on test as probabilities, by a curve fitted on validation."""

    left_out: str | None = None
    """Why there is nothing else."""

    compared: Compared | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values, None standing for NaN."""
        values: dict[str, Any] = plain_values(asdict(self))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelRow:
        """Return the row that :meth:`to_json` wrote, before or after JSON."""
        parts = {name: Measured.from_json(values[name]) for name in ("validation", "test") if values[name]}
        return cls(
            **{
                **values,
                **parts,
                "reliability": _reliability(values["reliability"]),
                "compared": _compared(values["compared"]),
            }
        )


@dataclass(frozen=True)
class Benchmark:
    """All that a benchmark found."""

    shop: str

    facts: Mapping[str, str]
    """What was split, searched and fitted, in words."""

    rows: tuple[ModelRow, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of rows, in order."""
        return tuple(dict.fromkeys(row.group for row in self.rows))

    def group(self, name: str) -> tuple[ModelRow, ...]:
        """Return the rows of a group that were measured."""
        return tuple(row for row in self.rows if row.group == name and row.test)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {"shop": self.shop, "facts": dict(self.facts), "rows": [row.to_json() for row in self.rows]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Benchmark:
        """Return the benchmark that :meth:`to_json` wrote, before or after JSON."""
        return cls(values["shop"], values["facts"], tuple(ModelRow.from_json(row) for row in values["rows"]))


def with_comparisons(
    rows: Sequence[ModelRow], per_user: Mapping[str, Mapping[str, PerUser]], *, by: str, seed: int
) -> list[ModelRow]:
    """Return one group's rows with the row named ``by`` compared to each other one; as they are where it is missing.

    ``per_user`` has the numbers of each row that was measured, by its name.
    """
    if by not in per_user:
        return list(rows)
    ours = per_user[by][MEASURE]
    found = {name: compare(ours, values[MEASURE], seed=seed) for name, values in per_user.items() if name != by}
    corrected = holm({name: each.p for name, each in found.items()})
    return [
        replace(row, compared=Compared(found[row.name], corrected[row.name])) if row.name in found else row
        for row in rows
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _reliability(values: Mapping[str, Any] | None) -> Reliability | None:
    if values is None:
        return None
    return Reliability(**{**values, "curve": tuple(Bin(**each) for each in values["curve"])})


def _compared(values: Mapping[str, Any] | None) -> Compared | None:
    if values is None:
        return None
    own = values["comparison"]
    interval = Interval(**{end: _number(value) for end, value in own["interval"].items()})
    numbers = {name: _number(own[name]) for name in ("difference", "p", "p_of_t")}
    return Compared(Comparison(interval=interval, users=own["users"], **numbers), _number(values["p_holm"]))
