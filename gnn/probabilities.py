"""Learns on the validation part what a score says of a purchase, and measures on the test part whether that holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gnn.calibration import Calibration, Reliability, fit_calibration, listed_pairs, reliability
from gnn.ranking import BLOCK_USERS, Ranked, Recommender, best_products, unseen_scores
from gnn.task import Task

MOST_USERS = 20_000
"""Of more users only so many, evenly spaced, have their lists looked at."""


@dataclass(frozen=True)
class Probabilities:
    """How the scores of a run become probabilities, and how far those can be believed."""

    calibration: Calibration
    pairs: int
    """Of the validation lists it was fitted to."""

    on_test: Reliability | None
    """Measured on the test part; None where that is empty."""

    def in_words(self) -> str:
        """Return what a reader of the report should know."""
        fitted = f"isotonic, fitted to {self.pairs} places of the validation lists"
        if self.on_test is None:
            return fitted
        error, brier, base = (100 * self.on_test.error, self.on_test.brier, self.on_test.brier_of_base_rate)
        return (
            f"{fitted}; on test the expected calibration error is {error:.2f} points, Brier {brier:.5f} (base rate "
            f"{base:.5f}): reliability.png"
        )


def learn_probabilities(
    past: Task, earlier: Recommender, final: Task, ours: Recommender, *, k: int
) -> Probabilities | None:
    """Return the curve fitted to the lists of k products that ``earlier`` gives on validation; None without any list.

    ``ours`` is the same model fitted again; its lists on test say whether the curve holds.
    """
    scores, bought = listed_pairs(*_lists(past, earlier, k=k))
    if not len(scores):
        return None
    curve = fit_calibration(scores, bought)
    later, bought_later = listed_pairs(*_lists(final, ours, k=k))
    tested = final.relevant.nnz > 0 and len(later) > 0
    believed = reliability(curve.probability(later), bought_later) if tested else None
    return Probabilities(calibration=curve, pairs=len(scores), on_test=believed)


def _lists(task: Task, recommender: Recommender, *, k: int) -> tuple[Ranked, sparse.csr_array]:
    """Return the lists of evenly spaced users, and what those users bought later."""
    num_users = task.history.shape[0]
    users = np.unique(np.linspace(0, num_users - 1, min(num_users, MOST_USERS)).round().astype(np.int64))
    blocks = [
        best_products(unseen_scores(recommender, block, seen=task.seen), k=k)
        for block in np.array_split(users, max(len(users) // BLOCK_USERS, 1))
    ]
    ranked = Ranked(
        products=np.concatenate([block.products for block in blocks]),
        scores=np.concatenate([block.scores for block in blocks]),
    )
    return ranked, task.relevant[users]
