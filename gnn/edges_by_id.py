"""Gives ranked and related edges the shop's own ids."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from gnn.ranking import NOBODY, Ranked
from gnn.reasons import Reasons
from gnn.related import Related
from gnn.similarity import cosines
from kg.graph import Graph
from kg.schema import SHARES


def related_by_id(
    related: Related,
    graph: Graph,
    *,
    products: Int[np.ndarray, " products"],
    text: Float[np.ndarray, "nodes dimension"],
) -> pl.DataFrame:
    """Return ``RELATED`` edges with ids: ``source``, ``target``, ``weight``, its shares, and how ``near`` texts are.

    ``text`` holds the vector of every product of the graph, zeros where there is no text.
    """
    ids = graph.products["id"].gather(products)
    return pl.DataFrame(
        {
            "source": ids.gather(related.source),
            "target": ids.gather(related.target),
            "weight": related.weight,
            **related.shares,
            "near": cosines(text[products], source=related.source, target=related.target),
        }
    )


def ranked_by_id(
    ranked: Ranked,
    reasons: Reasons,
    *,
    users: pl.Series,
    products: pl.Series,
) -> pl.DataFrame:
    """Return ranked edges with ids: ``user_id``, ``product_id``, ``rank`` (from 1), ``score``, the reason, ``filled``.

    ``users`` are the ids of the lists, ``products`` those of the columns of the score matrix.
    A product whose score is -inf is there to fill the list: it has no score.
    """
    rows, places = np.nonzero(ranked.products != NOBODY)
    score = ranked.scores[rows, places]

    def named(names: pl.Series, found: Int[np.ndarray, "users k"]) -> pl.Series:
        position = pl.Series(found[rows, places])
        return names.gather(position.set(position == NOBODY, None))

    return pl.DataFrame(
        {
            "user_id": users.gather(rows),
            "product_id": products.gather(ranked.products[rows, places]),
            "rank": places + 1,
            "score": pl.Series(np.where(np.isneginf(score), np.nan, score), nan_to_null=True),
            "reason_kind": named(pl.Series(SHARES), reasons.kind),
            "reason_via": named(products, reasons.via),
            "reason_share": pl.Series(reasons.share[rows, places], nan_to_null=True),
            "filled": np.isneginf(score),
        }
    )
