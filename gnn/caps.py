"""Keeps lists varied: at most so many products of one group, such as a brand, in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from gnn.ranking import NOBODY

NO_GROUP = -1


@dataclass(frozen=True)
class Caps:
    """Groups of products, and how many of each a list may have."""

    groups: Int[np.ndarray, "products kinds"]
    """The group of each product (column of the scores), of each kind; :data:`NO_GROUP` where it has none."""

    most: Int[np.ndarray, " groups"]
    """How many of each group a list may have."""

    kinds: tuple[str, ...]
    """What each column of ``groups`` is called."""

    def refusals(self, lists: Int[np.ndarray, "users places"], *, k: int) -> Int[np.ndarray, "users places"]:
        """Return for each place the kind of group that refuses it, -1 where none does, going down each list.

        A product is refused where so many of its group were taken before it; what comes after k are taken is neither.
        """
        refused = np.full(lists.shape, -1, dtype=np.int64)
        taken = np.zeros((len(lists), len(self.most) + 1), dtype=np.int64)
        length = np.zeros(len(lists), dtype=np.int64)
        # What is in no group counts in one more, which has no end.
        most = np.append(self.most, np.iinfo(np.int64).max)
        users = np.arange(len(lists))[:, None]
        for place in range(lists.shape[1]):
            if (length >= k).all():
                break
            asked = (lists[:, place] != NOBODY) & (length < k)
            groups = self.groups[lists[:, place]]
            full = taken[users, groups] >= most[groups]
            refuses = full.any(axis=1)
            refused[:, place] = np.where(asked & refuses, full.argmax(axis=1), -1)
            accepted = asked & ~refuses
            length += accepted
            np.add.at(taken, (np.broadcast_to(users, groups.shape)[accepted], groups[accepted]), 1)
        return refused
