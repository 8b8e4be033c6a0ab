"""Fits one model of RecBole, or of hopwise (its descendant), on exported files; runs in an environment of its own."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from peer_process import answer, question

BLOCK_USERS = 256
COLUMNS = {
    "inter": ["user_id", "item_id"],
    "kg": ["head_id", "relation_id", "tail_id"],
    "link": ["item_id", "entity_id"],
}


def main() -> None:
    """Fit, rank, write."""
    asked = question()
    # RecBole reads the command line too, and knows none of these words.
    sys.argv = sys.argv[:1]
    torch.set_num_threads(asked.threads)

    def of(module: str) -> ModuleType:
        return importlib.import_module(f"{asked.library.lower()}.{module}")

    settings = {
        "data_path": str(asked.folder),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": COLUMNS,
        "checkpoint_dir": str(asked.folder / "saved"),
        "use_gpu": False,
        "eval_step": 0,
        **asked.settings,
    }
    config = of("config").Config(model=asked.model, dataset="shop", config_dict=settings)
    tools = of("utils")
    tools.init_seed(config["seed"], config["reproducibility"])
    dataset = of("data").create_dataset(config)
    train, _, _ = of("data").data_preparation(config, dataset)
    start = time.perf_counter()
    model = tools.get_model(config["model"])(config, train._dataset).to(config["device"])
    made, made_cpu = time.perf_counter(), time.process_time()
    trainer = tools.get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.fit(train, None, verbose=False, saved=False, show_progress=False)
    end, end_cpu = time.perf_counter(), time.process_time()
    # The models in closed form learn one number that stands for nothing, and do all their work when they are made.
    learns = sum(each.numel() for each in model.parameters()) > 1
    users, products = lists(model, dataset, of("data.interaction").Interaction, folder=asked.folder, k=asked.k)
    answer(
        asked.out,
        users=users,
        products=products,
        seconds=end - start,
        epoch_seconds=(end - made) / trainer.epochs if learns else None,
        epoch_cpu=(end_cpu - made_cpu) / trainer.epochs if learns else None,
    )


@torch.no_grad()
def lists(
    model: torch.nn.Module, dataset: Any, interaction: Any, *, folder: Path, k: int
) -> tuple[list[int], list[list[int]]]:
    """Return the users whom the model knows and their best ``k`` unseen products, by the model's own full scores."""
    model.eval()
    known = pd.read_csv(folder / "shop" / "shop.train.inter", sep="\t", dtype=str)
    own_user = dataset.token2id("user_id", known["user_id:token"].to_numpy())
    own_product = dataset.token2id("item_id", known["item_id:token"].to_numpy())
    seen = pd.Series(own_product).groupby(own_user).agg(list)
    users = seen.index.to_numpy()
    ranked = []
    for start in range(0, len(users), BLOCK_USERS):
        block = users[start : start + BLOCK_USERS]
        scores = model.full_sort_predict(interaction({"user_id": torch.from_numpy(block)}))
        scores = scores.reshape(len(block), dataset.item_num).clone()
        # Position 0 is RecBole's padding.
        scores[:, 0] = -torch.inf
        for row, user in enumerate(block):
            scores[row, seen[user]] = -torch.inf
        ranked.append(scores.topk(k, dim=1).indices.numpy())
    tokens = dataset.id2token("item_id", np.concatenate(ranked)).astype(np.int64)
    return dataset.id2token("user_id", users).astype(np.int64).tolist(), tokens.tolist()


if __name__ == "__main__":
    main()
