"""The main job: ``python -m gnn.train`` loads a shop, learns from its past, measures on its future, ranks and explains.

Read :func:`train` from top to bottom: it is the whole line, shop → graph → :func:`learn` (split → text → network →
RELATED) → report → ranked edges → explanations.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro

from gnn.bought_edges import to_rank_by
from gnn.cartograph import Cartograph, FittedCartograph
from gnn.checkpoint import Checkpoints, Record
from gnn.choose import Networks, choose_closed_form, choose_networks
from gnn.config import TrainConfig, given_settings
from gnn.distributed import first_before_others, joined, wait_for_all
from gnn.edges_by_id import related_by_id
from gnn.evaluate import OURS, evaluate, evaluate_all
from gnn.export import ExportConfig, Sources, deliver, write_recommended
from gnn.found import given_model
from gnn.history import Weighing
from gnn.leave_out import without_links
from gnn.memory import give_back_freed_memory
from gnn.metrics import Row
from gnn.model import Content
from gnn.preferences import user_preferences
from gnn.probabilities import learn_probabilities
from gnn.program import program_commit, program_versions
from gnn.purchases import PurchasesInMemory
from gnn.read_delivery import delivered_edges
from gnn.report import Report, as_markdown
from gnn.run import Manifest, checkpoint_folder, new_run
from gnn.show import three_explanations
from gnn.split import Split, enough_buyers, split_purchases
from gnn.task import Task, task_of_split
from gnn.text import encode_texts
from gnn.tuned import load_networks, setting_of
from kg.build import build_graph, graph_tables, results_by_position
from kg.graph import Graph
from kg.load import finding_text, load_graph
from kg.store import GraphStore, address_of, open_store
from loaders.errors import InputError, run_command
from loaders.shops import load_shop, shop_name
from loaders.tables import Shop

DECIDES_TASK = ("split", "leave_out", "repeat", "min_buyers", "encoder", "seed")
"""Settings of a training that decide what a model learns from."""

WITH_NETWORKS = "closed form and networks"


@dataclass(frozen=True)
class Stopwatch:
    """The seconds of each stage, and the memory the process had needed at its end."""

    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

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
            fingerprint = _loaded(shop, store)
            # From here on the store has it; of a large shop the tables are gigabytes.
            del shop
            graph = build_graph(store.read_graph())
        # The same command goes on from these when this one is killed; a finished run has none.
        checkpoints = _checkpoints(config, graph=fingerprint, device=device, watch=watch, record=folder.append_epoch)
        learned = learn(config, graph, device=device, checkpoints=checkpoints, watch=watch)
        graph, split, content = learned.content.graph, learned.split, learned.content
        past, final, networks, fitted = learned.past, learned.final, learned.networks, learned.fitted
        with watch.stage("measure on validation"):
            validation = _validation_rows(past, content, networks, config)
        with watch.stage("measure on test"):
            test = _measured(final, content, fitted, config) if len(split.test) else []
            probabilities = learn_probabilities(past, networks.chosen, final, fitted, k=config.k)

        manifest = _manifest(
            config, networks.model, name=name, store=store, graph=fingerprint, split=split, fitted=fitted,
        )  # fmt: skip
        folder.write_manifest(manifest)
        folder.write_model(fitted.network, fitted.edges, read=fitted.read)
        folder.write_probabilities(probabilities)
        report = Report(
            run=name,
            shop=graph.shop,
            facts={
                **_facts(graph, split, final, networks.model, fitted),
                "settings found": learned.settings,
                "networks, on validation": networks.why,
                "probabilities": probabilities.in_words() if probabilities else "none: no list on validation",
            },
            validation=validation,
            test=test,
            seconds=watch.seconds,
        )
        by_id = related_by_id(fitted.related, graph, products=final.products, text=content.text)
        with watch.stage("export"):
            delivery = deliver(
                Sources(
                    graph,
                    PurchasesInMemory.of(graph.bought, now=split.now),
                    to_rank_by(results_by_position(by_id, graph, relation="RELATED")),
                    fingerprint,
                ),
                folder,
                manifest,
                config=ExportConfig(run=name, k=config.k),
            )
        # The store last, when all files are there: the shorter the time in which the two can differ, the better.
        with watch.stage("write back"):
            store.write_results("RELATED", by_id, run=manifest.record(now=split.now))
            # Of a large shop what is written is gigabytes: one relation's at a time.
            del by_id
            write_recommended(delivery, store, manifest, now=split.now)
            store.write_results(
                "PREFERS",
                user_preferences(graph, now=split.now, config=config.profiles),
                run=manifest.record(now=split.now),
            )
        folder.write_report(report)
        explanations = three_explanations(store, delivered_edges(delivery.folder), run=manifest.record(now=split.now))
    print(f"\n{as_markdown(report)}")
    print(
        f"{delivery.rows} ranked edges for {delivery.owners} users in {Path(config.runs) / name / 'ranked_edges'}\n\n"
        f"{explanations}"
    )


@dataclass(frozen=True)
class Learned:
    """What was learned of a shop: from its past, to choose by, and then from all that is before the test part."""

    split: Split
    content: Content
    past: Task
    networks: Networks
    settings: str
    """Where the settings are from, in words."""

    final: Task
    fitted: FittedCartograph


def learn(
    config: TrainConfig, graph: Graph, *, device: torch.device, checkpoints: Checkpoints, watch: Stopwatch
) -> Learned:
    """Return what is learned of the shop's graph; the test part is not looked at."""
    graph = without_links(graph, config.leave_out)
    split = split_purchases(graph, config.split, seed=config.seed)
    with watch.stage("text vectors"), first_before_others():
        text = encode_texts(
            graph.products["text"].to_list(), folder=config.encoder, cache=Path(config.cache), device=device
        )
    content = Content(graph, text, times_known=split.way == "by time", device=device)
    of_split = partial(task_of_split, graph=graph, split=split, min_buyers=config.min_buyers, repeat=config.repeat)
    model, settings, found = given_model(config, graph, split, times_known=content.times_known)

    # Choices are made by models of the past alone, on the validation part.
    past = of_split("validation", weighing=Weighing.of(model.history, times_known=content.times_known))
    require_something_to_learn(past, min_buyers=enough_buyers(graph, config.min_buyers))
    if found is None:
        with watch.stage("choose on validation"):
            choice = choose_closed_form(model, past, content, given=config.given, seed=config.seed)
            model, settings = choice.model, choice.in_words()
    with watch.stage("learn from the past"):
        networks = choose_networks(
            model,
            past,
            content,
            wanted=config.networks,
            known=load_networks(found, model) if found else None,
            given=config.given,
            seed=config.seed,
            checkpoints=checkpoints,
        )

    # The same, fitted again on all purchases before the test part; that part is looked at once, by :func:`train`.
    final = of_split("test", weighing=Weighing.of(model.history, times_known=content.times_known))
    with watch.stage("learn from past and validation"):
        fitted = networks.model.fit(final, content, seed=config.seed, checkpoints=checkpoints, keep_read=True)
        print(fitted.way)
    # What the first process does from here on may delete the checkpoints that the others begin from.
    wait_for_all()
    return Learned(split, content, past, networks, settings, final, fitted)


def learn_along(config: TrainConfig) -> None:
    """Do what all but the first process of torchrun do: take their share of the steps, and leave no trace."""
    device, watch = choose_device(config.device), Stopwatch()
    with redirect_stdout(None):
        tables = graph_tables(load_shop(config.shop, raw=config.raw))
        checkpoints = _checkpoints(config, graph=tables.fingerprint(), device=device, watch=watch)
        learn(config, build_graph(tables), device=device, checkpoints=checkpoints, watch=watch)


def _loaded(shop: Shop, store: GraphStore) -> str:
    """Load the shop's graph into the store if it is not there yet, and return its fingerprint."""
    for finding in shop.findings:
        print(finding_text(finding))
    loaded = load_graph(shop, store)
    nodes, edges = sum(loaded.nodes.values()), sum(loaded.edges.values())
    state = "graph loaded into" if loaded.written else "graph unchanged in"
    print(f"{state} {store.address}: {nodes:,} nodes, {edges:,} edges")
    return loaded.layout.fingerprint


def _checkpoints(
    config: TrainConfig,
    *,
    graph: str,
    device: torch.device,
    watch: Stopwatch,
    record: Record = lambda _fit, _epoch: None,
) -> Checkpoints:
    """Return where the networks' training is written down; whoever changes what is learned from begins anew."""
    return Checkpoints(
        checkpoint_folder(config, config.run or shop_name(config.shop)),
        trained_with={
            # The settings of a fit are with it: whoever wants longer lists goes on from here.
            "task": {name: value for name, value in asdict(config).items() if name in DECIDES_TASK},
            "graph": graph,
            "device": device.type,
            "commit": program_commit(),
            "versions": program_versions(),
        },
        record=record,
        stop_at=watch.started + 60 * config.time_limit if config.time_limit else math.inf,
    )


def _validation_rows(task: Task, content: Content, networks: Networks, config: TrainConfig) -> list[Row]:
    """Return the table that was chosen by: with networks, without, and ours as it was chosen."""
    rows = _measured(task, content, networks.whole, config)
    if not networks.whole.edges:
        return rows
    whole = replace(rows.pop(), recommender=WITH_NETWORKS)
    return [*rows, evaluate(networks.alone, task), whole, replace(evaluate(networks.chosen, task), recommender=OURS)]


def _measured(task: Task, content: Content, fitted: FittedCartograph, config: TrainConfig) -> list[Row]:
    related = fitted.related.matrix(len(task.products))
    return evaluate_all(
        task,
        content,
        history=fitted.history,
        related=related,
        network=fitted.network,
        kind=config.network.kind,
    )


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


def require_something_to_learn(task: Task, *, min_buyers: int) -> None:
    """Raise if the validation task has no two products to relate, or nothing to find."""
    if len(task.products) < 2:
        raise InputError(
            f"{len(task.products)} products have {min_buyers} or more buyers before validation; 2 are "
            "needed to relate one to another, so give a lower --min-buyers, or more purchases"
        )
    if not task.relevant.nnz:
        raise InputError(
            "no user buys a product in the validation part that is to be found, so nothing can be chosen by it; "
            "give an earlier --split.validation-from, a lower --min-buyers, or more purchases"
        )


def _manifest(
    config: TrainConfig,
    model: Cartograph,
    *,
    name: str,
    store: GraphStore,
    graph: str,
    split: Split,
    fitted: FittedCartograph,
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
        repeat=config.repeat,
        settings={name: setting_of(model, name) for name in model.space},
        weighing=fitted.weighing,
        epochs=fitted.network.epochs if fitted.network else 0,
    )


def _facts(graph: Graph, split: Split, final: Task, model: Cartograph, fitted: FittedCartograph) -> dict[str, str]:
    """Return what a reader of the report needs to know of how it came about."""
    days = [
        f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}" for moment in (split.validation_from, split.test_from)
    ]
    moments = f" (validation from {days[0]}, test from {days[1]}, UTC)" if split.way == "by time" else ""
    sizes = (len(split.past), len(split.validation), len(split.test))
    shares = {share: float(np.abs(part).sum()) for share, part in fitted.related.shares.items()}
    whole = max(sum(shares.values()), 1e-30)
    return {
        "graph": f"{len(graph.users)} users, {len(graph.products)} products, {len(graph.brands)} brands, "
        f"{len(graph.categories)} categories, {len(graph.bought)} purchases",
        "split": f"{split.way}{moments}: {sizes[0]} past, {sizes[1]} validation, {sizes[2]} test purchases",
        "ranked": f"{len(final.products)} products with enough buyers"
        + (", also those a user bought before" if final.repeat else ""),
        "base": fitted.way,
        "network": f"{fitted.network.epochs} epochs {fitted.network.propagated}, "
        f"temperature {fitted.network.temperature:.3f}"
        if fitted.network
        else "left out",
        "settings": ", ".join(f"{name} {setting_of(model, name):.4g}" for name in model.space),
        "shares of RELATED (absolute, percent)": ", ".join(
            f"{share} {100 * part / whole:.1f}" for share, part in shares.items() if part
        ),
    }


def main() -> None:
    """Run the command line."""
    give_back_freed_memory()
    config = tyro.cli(TrainConfig, prog="python -m gnn.train", description=TrainConfig.__doc__)
    config = replace(config, given=given_settings(sys.argv[1:]))
    with joined(choose_device(config.device)) as process:
        # All that is done once, the first process does.
        if process:
            learn_along(config)
        else:
            train(config)


if __name__ == "__main__":
    run_command(main)
