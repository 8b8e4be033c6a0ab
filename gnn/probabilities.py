"""Learns on the validation part what a score says of a purchase, and measures on the test part whether that holds."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import sparse

from gnn.calibration import Calibration, Reliability, fit_calibration, listed_pairs, reliability
from gnn.ranking import Ranked, Recommender, rank
from gnn.task import Task, evenly_spaced

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
    users = evenly_spaced(task.history.shape[0], most=MOST_USERS)
    return rank(recommender, seen=task.seen, k=k, users=users), task.relevant[users]
