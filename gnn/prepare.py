"""Prepares a shop for models to be searched and compared on: graph, split, content, the tasks, and what it all is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from gnn.config import HistoryConfig, SplitConfig, TrainConfig
from gnn.found import shop_facts
from gnn.history import Weighing
from gnn.leave_out import without_links
from gnn.memory import give_back_freed_memory
from gnn.model import Content
from gnn.sample import sample_users
from gnn.split import Split, enough_buyers, split_purchases
from gnn.task import Task, task_of_split
from gnn.text import encode_texts
from gnn.train import choose_device, require_something_to_learn
from kg.build import build_graph, graph_tables
from kg.graph import Graph
from kg.load import finding_text
from loaders.shops import load_shop


@dataclass(frozen=True)
class ShopConfig:
    """What models are searched and compared on."""

    shop: str = "complete-journey"
    """complete-journey, amazon-beauty (split A), amazon-beauty-b, synthetic, or your own shop's folder (see README)."""

    raw: str | None = None
    """Folder of the raw files of amazon-beauty; by default ../shared/data/amazon_beauty."""

    leave_out: tuple[str, ...] = ()
    """Links between products that nothing is learned from, such as ALSO_BOUGHT."""

    users_share: float = 1.0
    """Part of the users, a fixed sample for each seed, of whom and of whose products alone the shop is to consist."""

    repeat: bool = False
    """What a user bought before may be ranked for her and is to be found, as in grocery."""

    cache: str = "data/text"
    """Folder where text vectors are kept from run to run."""

    encoder: str | None = None
    """Folder of a Hugging Face text encoder; by default the MiniLM that comes with the packages."""

    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""

    seed: int = 0
    """All chance comes from it."""

    min_buyers: int | None = None
    """Products with fewer buyers in the past are neither ranked nor learned from; 0 ranks all that are listed. By
    default 5, and 0 where a published split (``fold``) is used, whose figures are of all products."""

    split: SplitConfig = field(default_factory=SplitConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)

    def __post_init__(self) -> None:
        # What the main job has too is checked as there.
        TrainConfig(seed=self.seed, min_buyers=self.min_buyers, split=self.split, history=self.history)


@dataclass(frozen=True)
class Prepared:
    """A shop, ready for models to be fitted."""

    config: ShopConfig
    graph: Graph
    split: Split
    content: Content

    fingerprint: str
    """Of the graph that it was made of, before links were left out."""

    def validation_task(self) -> Task:
        """Return the task that choices are made by; raise if it has nothing to learn or nothing to find."""
        task = self._task("validation")
        require_something_to_learn(task, min_buyers=enough_buyers(self.graph, self.config.min_buyers))
        return task

    def test_task(self) -> Task:
        """Return the task that is measured once, at the end."""
        return self._task("test")

    @property
    def facts(self) -> dict[str, object]:
        """What scores depend on beside a model's settings."""
        config = self.config
        return {
            **shop_facts(
                self.graph,
                self.split,
                shop=config.shop,
                leave_out=config.leave_out,
                repeat=config.repeat,
                users_share=config.users_share,
                min_buyers=config.min_buyers,
                seed=config.seed,
            ),
            "graph": self.fingerprint,
            "history": asdict(config.history),
            "encoder": config.encoder,
        }

    def _task(self, name: Literal["validation", "test"]) -> Task:
        return task_of_split(
            name,
            self.graph,
            self.split,
            weighing=Weighing.of(self.config.history, times_known=self.content.times_known),
            min_buyers=self.config.min_buyers,
            repeat=self.config.repeat,
        )


class LazyContent(Content):
    """Content whose texts are encoded when a model first reads them: most read none."""

    _config: ShopConfig

    def __init__(self, graph: Graph, *, times_known: bool, device: torch.device, config: ShopConfig) -> None:
        own = {"graph": graph, "times_known": times_known, "device": device, "_config": config}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @cached_property
    def text(self) -> Float[np.ndarray, "nodes dimension"]:
        """The text vector of every product of the graph; zeros where there is no text."""
        return encode_texts(
            self.graph.products["text"].to_list(),
            folder=self._config.encoder,
            cache=Path(self._config.cache),
            device=self.device,
        )


def prepare(config: ShopConfig) -> Prepared:
    """Return the shop ready to learn from; what is dropped from its raw files is printed."""
    give_back_freed_memory()
    device = choose_device(config.device)
    shop = load_shop(config.shop, raw=config.raw)
    for finding in shop.findings:
        print(finding_text(finding))
    tables = sample_users(graph_tables(shop), config.users_share, seed=config.seed)
    graph = without_links(build_graph(tables), config.leave_out)
    split = split_purchases(graph, config.split, seed=config.seed)
    content = LazyContent(graph, times_known=split.way == "by time", device=device, config=config)
    return Prepared(config, graph, split, content, tables.fingerprint())
