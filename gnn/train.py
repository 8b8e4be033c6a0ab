"""The main job: ``python -m gnn.train`` loads a shop, learns from its past, measures on its future, ranks and explains.

Read :func:`train` from top to bottom: it is the whole line, shop → graph → split → text → network → RELATED → report →
ranked edges → explanations.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float

from gnn.base import fit_base
from gnn.choose import choose
from gnn.config import RelatedConfig, TrainConfig
from gnn.evaluate import evaluate, evaluate_all
from gnn.export import deliver, ranked_edges, related_by_id, write_recommended
from gnn.fit import FittedNetwork, fit_network
from gnn.hetero import hetero_data
from gnn.history import Weighing, trend
from gnn.model import Content
from gnn.network_alone import NAMES, NetworkAlone
from gnn.related import Base, Recipe, related_edges
from gnn.report import Report, as_markdown
from gnn.run import Manifest, RunFolder, new_run, program_commit, program_versions
from gnn.show import three_explanations
from gnn.similarity import product_features
from gnn.split import Split, split_purchases
from gnn.task import Task, make_task
from gnn.text import encode_texts
from kg.build import build_graph, results_by_position
from kg.graph import Graph
from kg.load import finding_text, load_graph
from kg.store import GraphStore, address_of, open_store
from loaders.errors import InputError, run_command
from loaders.shops import load_shop, shop_name
from loaders.tables import Shop


@dataclass(frozen=True)
class Stopwatch:
    """The seconds of each stage, and the memory the process had needed at its end."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as the stage ``name``."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}: {self.seconds[name]:.1f} s (peak memory {peak:,.0f} MB)", flush=True)


def train(config: TrainConfig) -> None:
    """Do the main job; everything it makes is in the run's folder and in the store."""
    watch = Stopwatch()
    device = choose_device(config.device)
    address = address_of(config.store, config.shop)
    name = config.run or shop_name(config.shop)
    # The shop first: a mistake in it leaves no empty store behind. The store next: one training at a time writes to it.
    shop = load_shop(config.shop, raw=config.raw)
    with open_store(address, password_file=config.password_file) as store, new_run(config, name) as folder:
        with watch.stage("load"):
            graph, fingerprint = _loaded_graph(shop, store)
        split = split_purchases(graph, config.split, seed=config.seed)
        weighing = Weighing.of(config.history, times_known=split.way == "by time")
        with watch.stage("text vectors"):
            text = encode_texts(
                graph.products["text"].to_list(), folder=config.encoder, cache=Path(config.cache), device=device
            )
        learn = partial(_fit_network, graph=graph, text=text, config=config, device=device, folder=folder)
        fit = partial(_fit_base, graph=graph, text=text, config=config, times_known=split.way == "by time")

        # Choices are made by models of the past alone, on the validation part.
        past = make_task(
            "validation",
            graph,
            known=split.past,
            later=split.validation,
            weighing=weighing,
            now=split.validation_from,
            min_buyers=config.min_buyers,
        )
        require_something_to_learn(past, min_buyers=config.min_buyers)
        with watch.stage("train on the past"):
            chosen_network = learn(past, epochs=config.network.max_epochs, validate=True)
        with watch.stage("choose on validation"):
            choice = choose(
                past, partial(fit, past), config, fitted=chosen_network, trend=_trend(past, split, config.related)
            )
        content = Content(graph, text, times_known=split.way == "by time", device=device)
        with watch.stage("measure on validation"):
            validation = evaluate_all(
                past, content, related=choice.related.matrix(len(past.products)), fitted=chosen_network
            )

        # The same, fitted again on all purchases before the test part; that part is looked at once, below.
        final = make_task(
            "test",
            graph,
            known=split.before_test,
            later=split.test,
            weighing=weighing,
            now=split.test_from,
            min_buyers=config.min_buyers,
        )
        with watch.stage("train on past and validation"):
            fitted = learn(final, epochs=max(chosen_network.epochs, 1), validate=False)
        with watch.stage("make RELATED"):
            base = fit(final, choice.recipe)
            print(base.way)
            trend_now = _trend(final, split, config.related)
            (related,) = related_edges(base, [choice.recipe], fitted=fitted, trend=trend_now)
        with watch.stage("measure on test"):
            test = (
                evaluate_all(final, content, related=related.matrix(len(final.products)), fitted=fitted)
                if len(split.test)
                else []
            )

        manifest = _manifest(
            config, name=name, store=store, graph=fingerprint, split=split, weighing=weighing,
            recipe=choice.recipe, epochs=fitted.epochs,
        )  # fmt: skip
        folder.write_manifest(manifest)
        folder.write_fitted(fitted)
        report = Report(
            run=name,
            shop=graph.shop,
            facts=_facts(graph, split, final, choice.tried, choice.recipe, fitted),
            validation=validation,
            test=test,
            seconds=watch.seconds,
        )
        by_id = related_by_id(related, graph, final.products)
        with watch.stage("export"):
            delivery = deliver(
                ranked_edges(
                    graph,
                    edges=results_by_position(by_id, graph, relation="RELATED"),
                    manifest=manifest,
                    now=split.now,
                    k=config.k,
                ),
                folder=folder.path / "ranked_edges",
                manifest=manifest,
                graph=graph,
                now=split.now,
                k=config.k,
                kind="parquet",
            )
        # The store last, when all files are there: the shorter the time in which the two can differ, the better.
        with watch.stage("write back"):
            store.write_results("RELATED", by_id, run=manifest.record(now=split.now))
            write_recommended(delivery, store, manifest, now=split.now)
        folder.write_report(report)
        explanations = three_explanations(store, delivery.edges, run=manifest.record(now=split.now))
    print(f"\n{as_markdown(report)}")
    print(f"{delivery.rows} ranked edges for {delivery.users} users in {Path(config.runs) / name / 'ranked_edges'}\n")
    print(explanations)


def _loaded_graph(shop: Shop, store: GraphStore) -> tuple[Graph, str]:
    """Return the shop's graph as the store holds it, loaded first if it is not there yet, and its fingerprint."""
    for finding in shop.findings:
        print(finding_text(finding))
    loaded = load_graph(shop, store)
    nodes, edges = sum(loaded.nodes.values()), sum(loaded.edges.values())
    state = "graph loaded into" if loaded.written else "graph unchanged in"
    print(f"{state} {store.address}: {nodes:,} nodes, {edges:,} edges")
    return build_graph(store.read_graph()), loaded.layout.fingerprint


def choose_device(wanted: str) -> torch.device:
    """Return the device ``wanted``; ``auto`` is CUDA where there is one. Not yet run on CUDA."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sentence = f"no device is called {wanted!r}; give auto, cpu, cuda or cuda:N"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise InputError(sentence) from error
    if device.type not in {"cpu", "cuda"}:
        raise InputError(sentence)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device is {wanted!r} and there is no CUDA here; give --device cpu")
    return device


def _fit_network(
    task: Task,
    *,
    epochs: int,
    validate: bool,
    graph: Graph,
    text: Float[np.ndarray, "products dimension"],
    config: TrainConfig,
    device: torch.device,
    folder: RunFolder,
) -> FittedNetwork:
    """Train the network on what ``task`` knows; with ``validate``, until its NDCG@10 no longer rises."""
    data = hetero_data(graph, past=task.known, products=task.products, text=text[task.products])

    def ndcg(queries: Float[np.ndarray, "products dimension"], keys: Float[np.ndarray, "products dimension"]) -> float:
        vectors = FittedNetwork(queries=queries, keys=keys, temperature=1.0, weights={}, epochs=0)
        return evaluate(NetworkAlone(NAMES["linear"], task.history, vectors), task).measures["NDCG@10"].value

    return fit_network(
        data,
        task.history,
        config=config.network,
        device=device,
        seed=config.seed,
        epochs=epochs,
        validate=ndcg if validate else None,
        record=partial(folder.append_epoch, f"before {task.name}"),
    )


def _fit_base(
    task: Task,
    recipe: Recipe,
    *,
    graph: Graph,
    text: Float[np.ndarray, "products dimension"],
    config: TrainConfig,
    times_known: bool,
) -> Base:
    """Fit the product-product weights to what ``task`` knows."""
    features = product_features(graph, products=task.products, text=text[task.products]) if recipe.content else {}
    return fit_base(task, features, recipe, config.closed_form, times_known=times_known)


def _trend(task: Task, split: Split, config: RelatedConfig) -> Float[np.ndarray, " products"]:
    """Return the trend of the task's products at its moment; where no times are known, there is none."""
    if split.way != "by time":
        return np.ones(len(task.products))
    return trend(
        task.known,
        products=task.products,
        half_life_days=config.trend_half_life_days,
        shrink=config.trend_shrink,
        now=task.now,
    )


def require_something_to_learn(task: Task, *, min_buyers: int) -> None:
    """Raise if the validation task has no two products to relate, or nothing to find."""
    if len(task.products) < 2:
        raise InputError(
            f"{len(task.products)} products have {min_buyers} or more buyers before validation; 2 are "
            "needed to relate one to another, so give a lower --min-buyers, or more purchases"
        )
    if not task.relevant.nnz:
        raise InputError(
            "no user buys a product for the first time in the validation part, so nothing can be chosen by it; give an "
            "earlier --split.validation-from, a lower --min-buyers, or more purchases"
        )


def _manifest(
    config: TrainConfig,
    *,
    name: str,
    store: GraphStore,
    graph: str,
    split: Split,
    weighing: Weighing,
    recipe: Recipe,
    epochs: int,
) -> Manifest:
    return Manifest(
        run=name,
        made_at=datetime.now(UTC).isoformat(),
        commit=program_commit(),
        versions=program_versions(),
        seed=config.seed,
        store=store.address,
        graph=graph,
        split=split.way,
        learned_before=split.test_from,
        weighing=weighing,
        recipe=recipe,
        epochs=epochs,
    )


def _facts(
    graph: Graph, split: Split, final: Task, tried: dict[str, float], recipe: Recipe, fitted: FittedNetwork
) -> dict[str, str]:
    """Return what a reader of the report needs to know of how it came about."""
    days = [
        f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}" for moment in (split.validation_from, split.test_from)
    ]
    moments = f" (validation from {days[0]}, test from {days[1]}, UTC)" if split.way == "by time" else ""
    attempts = ", ".join(f"{name} {100 * ndcg:.2f}" for name, ndcg in tried.items())
    sizes = (len(split.past), len(split.validation), len(split.test))
    return {
        "graph": f"{len(graph.users)} users, {len(graph.products)} products, {len(graph.brands)} brands, "
        f"{len(graph.categories)} categories, {len(graph.bought)} purchases",
        "split": f"{split.way}{moments}: {sizes[0]} past, {sizes[1]} validation, {sizes[2]} test purchases",
        "ranked": f"{len(final.products)} products with enough buyers",
        "network": f"{fitted.epochs} epochs, temperature {fitted.temperature:.3f}",
        "tried on validation (NDCG@10 %)": attempts,
        "chosen": f"ridge {recipe.ridge:g}, row power {recipe.row_power:g}, content {recipe.content:g}, "
        f"trend {recipe.trend:g}, gate {recipe.gate:g}",
    }


def main() -> None:
    """Run the command line."""
    train(tyro.cli(TrainConfig, prog="python -m gnn.train", description=TrainConfig.__doc__))


if __name__ == "__main__":
    run_command(main)
