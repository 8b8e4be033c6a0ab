"""Fits one model of RecTools on exported purchases; runs in an environment of its own."""

from __future__ import annotations

import time

import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from peer_process import answer, question
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import EASEModel, ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel


def main() -> None:
    """Fit, rank, write."""
    asked = question()
    known = pd.read_parquet(asked.folder / "known.parquet")
    known = known.rename(columns={"user": Columns.User, "product": Columns.Item})
    # RecTools wants a moment and a weight of each; no model here reads the moment.
    known[Columns.Weight], known[Columns.Datetime] = 1.0, pd.Timestamp(0)
    dataset = Dataset.construct(known)
    alternating = AlternatingLeastSquares(num_threads=asked.threads, random_state=0, **asked.settings)
    models = {
        "EASE": EASEModel(recommend_n_threads=asked.threads),
        "ItemKNN": ImplicitItemKNNWrapperModel(CosineRecommender(num_threads=asked.threads)),
        "iALS": ImplicitALSWrapperModel(alternating),
    }
    model = models[asked.model]
    start, start_cpu = time.perf_counter(), time.process_time()
    model.fit(dataset)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    users = known[Columns.User].unique()
    found = model.recommend(users=users, dataset=dataset, k=asked.k, filter_viewed=True)
    lists = found.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item].agg(list)
    epochs = alternating.iterations if asked.model == "iALS" else None
    answer(
        asked.out,
        users=lists.index.tolist(),
        products=lists.tolist(),
        seconds=seconds,
        epoch_seconds=seconds / epochs if epochs else None,
        epoch_cpu=cpu / epochs if epochs else None,
    )


if __name__ == "__main__":
    main()
