"""Says what a finding is: rows of the raw data that a stated rule met."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Rows of the raw data that a stated rule met."""

    table: str
    """The table they are in, for example ``purchases``."""

    rule: str
    """What is true of them, for example ``names a product that does not exist``."""

    action: str
    """What became of them: ``dropped`` or ``kept``."""

    rows: int
    """How many there are."""

    example: str
    """One value among them."""
