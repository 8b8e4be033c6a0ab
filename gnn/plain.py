"""Turns what was measured into plain values for JSON, which knows no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def plain_values(value: Any) -> Any:
    """Return the value, or all that is in it, with None for every number that is not finite.

    >>> plain_values({"a": (1.0, float("nan")), "b": "c"})
    {'a': [1.0, None], 'b': 'c'}
    """
    if isinstance(value, Mapping):
        return {name: plain_values(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
