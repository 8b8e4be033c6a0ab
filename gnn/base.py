"""Fits the product-product weights that ``RELATED`` starts from, on the scale of the shop's own purchases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from gnn.closed_form import Similarity, closed_form, exact_way
from gnn.config import ClosedFormConfig
from gnn.history import Weighing
from gnn.local_form import SUPPORT, local_form
from gnn.related import Base
from gnn.task import Task, weigh

LEAST_WEIGHT = 0.003
"""A relation of this weight or less is left out: what a search that looks at factors has in the place of 0."""

CONTENT_SHARES = {"brand": "brand", "category": "category", "words": "text", "meaning": "text"}
"""Feature → the share of an edge that it counts towards; all others are links of the shop."""


def fit_base(
    task: Task,
    features: Mapping[str, sparse.csr_array | np.ndarray],
    config: ClosedFormConfig,
    *,
    times_known: bool,
) -> Base:
    """Return the closed form over what ``task`` knows: the local one if asked for, or if the shop is too large."""
    bought, similarities, ridge = graph_parts(task, features, config, times_known=times_known)
    return _solved(bought, similarities, ridge=ridge, support=config.support)


def fit_content(
    task: Task,
    features: Mapping[str, sparse.csr_array | np.ndarray],
    config: ClosedFormConfig,
    *,
    times_known: bool,
) -> Base | None:
    """Return the closed form over the same graph without a purchase; None where there is none, or nothing alike."""
    bought, similarities, ridge = graph_parts(task, features, config, times_known=times_known)
    if not similarities:
        return None
    none = sparse.csr_array((0, bought.shape[1]))
    return _solved(none, similarities, ridge=ridge, support=config.support)


def _solved(bought: sparse.csr_array, similarities: Sequence[Similarity], *, ridge: float, support: int) -> Base:
    way = exact_way(bought, similarities)
    if support or way is None:
        return local_form(bought, similarities, ridge=ridge, support=support or SUPPORT)
    return closed_form(bought, similarities, ridge=ridge, way=way)


def graph_parts(
    task: Task,
    features: Mapping[str, sparse.csr_array | np.ndarray],
    config: ClosedFormConfig,
    *,
    times_known: bool,
) -> tuple[sparse.csr_array, list[Similarity], float]:
    """Return X, the similarities and the ridge, all on one scale; a relation of next to no weight is left out."""
    bought = weigh(task, Weighing.of(config, times_known=times_known))
    sizes = np.maximum(np.diff(bought.indptr), 1).astype(np.float64)
    bought = sparse.csr_array(sparse.diags_array(sizes**-config.row_power) @ bought)
    scale = float(bought.power(2).sum()) / max(bought.shape[1], 1)
    similarities = [
        Similarity(share=CONTENT_SHARES.get(name, "links"), features=matrix, weight=scale * config.weight(name))
        for name, matrix in features.items()
        if config.weight(name) > LEAST_WEIGHT and matrix.shape[1]
    ]
    return bought, similarities, config.ridge * scale
