"""Measures the closed form of large shops: ``python -m benchmarks.local_form`` prints two Markdown tables.

The first is of a real shop that is small enough for the exact closed form: how well the local one ranks beside it, and
what part of the exact rows it has. The second is of made-up shops too large for it: seconds and memory. ``--shop ""``
leaves the first out, ``--products`` without a number the second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import tyro
from scipy import sparse

from gnn.base import graph_parts
from gnn.cartograph import Cartograph
from gnn.closed_form import Similarity, closed_form
from gnn.co_purchase import CoPurchase
from gnn.cost import costed
from gnn.evaluate import evaluate
from gnn.fit import FittedNetwork
from gnn.history import Weighing
from gnn.likeliest import Likely
from gnn.local_form import LARGEST_OF_ROW, local_form
from gnn.prepare import ShopConfig, prepare
from gnn.ranking import RelatedRecommender
from gnn.related import Base, entries, largest_entries, related_edges
from gnn.searched_form import trend_of
from gnn.similarity import centred
from gnn.task import weigh
from loaders.errors import InputError, run_command

Result = TypeVar("Result")

LEAST_PRODUCTS = 1_000
"""Of a made-up shop: it has groups of 200."""

WIDTH = 384
"""Numbers of a text vector, as MiniLM's."""

KEYS = 64
"""Numbers of a network's vector, as by default."""


@dataclass(frozen=True)
class LocalFormBenchmark:
    """What to measure."""

    shop: str = "amazon-beauty"
    """Shop that the local form is compared with the exact one on."""

    supports: tuple[int, ...] = (64, 256)
    """Products that each product is predicted from."""

    products: tuple[int, ...] = (50_000, 100_000)
    """Sizes of the made-up shops."""

    text: bool = True
    """Whether the closed form of made-up shops has vectors of texts too, in which faiss looks for what is alike."""

    seed: int = 0
    """Of the made-up shops."""


def recall_of(base: Base, exact: Base) -> float:
    """Return what part of the 200 largest entries of each exact row is in the other's row at all."""
    both = total = 0
    for (_, rows), (_, wanted) in zip(base.blocks(), exact.blocks(), strict=True):
        place, column = largest_entries(wanted, LARGEST_OF_ROW)
        both += int(np.count_nonzero(entries(rows, place, column)))
        total += len(place)
    return both / total


def compared(config: LocalFormBenchmark) -> Iterator[str]:
    """Yield the rows of the first table."""
    shop = prepare(ShopConfig(shop=config.shop))
    task, content = shop.validation_task(), shop.content
    model = Cartograph().for_graph(shop.graph, timed=content.times_known)
    features = content.features(task)
    parts = graph_parts(task, features, model.closed_form, times_known=content.times_known)
    bought, similarities, ridge = parts
    history = weigh(task, Weighing.of(model.history, times_known=content.times_known))
    factor = trend_of(task, content, model.related) ** model.related.trend

    def row(name: str, base: Base, seconds: float) -> str:
        edges = related_edges(base, per_product=model.related.per_product, factor=factor, with_shares=False)
        recommender = RelatedRecommender(name, history, edges.matrix(len(task.products)))
        ndcg = evaluate(recommender, task).measures["NDCG@10"]
        own = f"{recall_of(base, exact):.1%}"
        return f"| {name} | {100 * ndcg.value:.2f} ± {100 * ndcg.interval:.2f} | {own} | {seconds:.0f} |"

    with costed() as cost:
        exact = closed_form(bought, similarities, ridge=ridge, way="dense")
    yield row("exact", exact, cost.seconds)
    for support in config.supports:
        with costed() as cost:
            local = local_form(bought, similarities, ridge=ridge, support=support)
        yield row(f"local, {support}", local, cost.seconds)
        yield f"| it says: {local.way} | | | |"
    yield row("co-purchase cosine", CoPurchase(task.bought, shrink=10.0), 0.0)


def made_up(num_products: int, *, width: int, seed: int) -> tuple[sparse.csr_array, list[Similarity], np.ndarray]:
    """Return purchases of as many users as products, 15 each on average, similarities, and text vectors (the last one).

    Products belong to groups of about 200. A purchase is of the user's two groups (seven in ten) or of any; in each the
    product of rank r is taken with a weight of 1 / (r + 10).
    """
    rng = np.random.default_rng(seed)
    num_groups = num_products // 200
    group = rng.permutation(np.arange(num_products) % num_groups)
    popular = 1.0 / (rng.permutation(num_products) + 10.0)
    by_group = np.argsort(group, kind="stable")
    first = np.searchsorted(group[by_group], np.arange(num_groups + 1))
    reached = np.concatenate([[0.0], np.cumsum(popular[by_group])])
    user = np.repeat(np.arange(num_products), rng.geometric(1 / 15, num_products))
    liked = rng.integers(num_groups, size=(num_products, 2))[user, rng.integers(2, size=len(user))]
    of_group = rng.random(len(user)) < 0.7
    low = np.where(of_group, reached[first[liked]], 0.0)
    high = np.where(of_group, reached[first[liked + 1]], reached[-1])
    place = np.searchsorted(reached, low + (high - low) * rng.random(len(user)), side="right") - 1
    product = by_group[np.minimum(place, num_products - 1)]
    bought = sparse.csr_array((np.ones(len(user)), (user, product)), shape=(num_products, num_products))
    bought.data[:] = 1.0
    own = np.arange(num_products)
    brand = sparse.csr_array((np.ones(num_products, np.float32), (own, group * 3 + rng.integers(3, size=num_products))))
    words = np.minimum(rng.zipf(1.3, size=(num_products, 6)), num_products // 5)
    words[:, 0] = group
    text = sparse.csr_array((np.full(words.size, 0.4, np.float32), (np.repeat(own, 6), words.ravel())))
    centres = rng.normal(size=(num_groups, width)).astype(np.float32)
    meaning = centred(centres[group] + rng.normal(size=(num_products, width)).astype(np.float32))
    scale = bought.nnz / num_products
    similarities = [
        Similarity("brand", brand, 0.15 * scale),
        Similarity("text", text, 0.5 * scale),
        Similarity("text", meaning, 0.1 * scale),
    ]
    return bought, similarities, meaning


def large(num_products: int, *, text: bool, seed: int) -> Iterator[str]:
    """Yield the rows of the second table for a shop of one size."""
    bought, similarities, meaning = made_up(num_products, width=WIDTH if text else KEYS, seed=seed)
    if not text:
        del similarities[-1]
    ridge = 6.0 * bought.nnz / num_products
    shop = f"{num_products:,} products, {bought.nnz:,} purchases"
    base, line = timed(lambda: local_form(bought, similarities, ridge=ridge))
    yield f"| {shop} | local form with its shares | {line}"
    related, line = timed(lambda: related_edges(base, per_product=200, factor=np.ones(num_products)))
    yield f"| {shop} | {len(related.source):,} RELATED edges | {line}"
    del related
    way, line = timed(lambda: base.way)
    yield f"| {shop} | {way} | {line}"
    # The network's vectors: as wide as it makes them by default, near where texts are, popularity as it is learned.
    keys = meaning[:, :KEYS] / np.linalg.norm(meaning[:, :KEYS], axis=1, keepdims=True)
    queries = keys + 0.05 * np.random.default_rng(seed).normal(size=keys.shape).astype(np.float32)
    popularity = torch.from_numpy(np.log1p(np.bincount(bought.indices, minlength=num_products)).astype(np.float32))
    network = FittedNetwork(queries, keys, temperature=0.1, weights={"popularity": popularity}, epochs=1)

    def searched() -> Likely:
        likely = Likely.of(network)
        for start in range(0, num_products, 1024):
            likely.rows(np.arange(start, min(start + 1024, num_products)), 321)
        return likely

    likely, line = timed(searched)
    yield f"| {shop} | the network's likeliest 321 of each | {line}"
    said, line = timed(lambda: likely.way(120))
    yield f"| {shop} | {said} | {line}"


def timed(work: Callable[[], Result]) -> tuple[Result, str]:
    """Return what the work gives; its seconds, those of the processor, and the peak of memory, as cells."""
    begin = time.process_time()
    with costed() as cost:
        result = work()
    return result, f"{cost.seconds:,.0f} | {time.process_time() - begin:,.0f} | {cost.memory_mb:,.0f} |"


def main(config: LocalFormBenchmark) -> None:
    """Measure and print."""
    few = [each for each in config.products if each < LEAST_PRODUCTS]
    if few:
        raise InputError(f"{few[0]} products make no large shop; give {LEAST_PRODUCTS} or more")
    if config.shop:
        print("| closed form | NDCG@10 % on validation | of the 200 largest of an exact row | seconds |")
        print("|---|---:|---:|---:|")
        for line in compared(config):
            print(line, flush=True)
    if config.products:
        print("\n| shop | what | seconds | of the processor | peak MB |\n|---|---|---:|---:|---:|")
    for num_products in config.products:
        for line in large(num_products, text=config.text, seed=config.seed):
            print(line, flush=True)


if __name__ == "__main__":
    run_command(lambda: main(tyro.cli(LocalFormBenchmark)))
