"""``python -m gnn.explain --inside`` on trained runs: what it shows adds up to what the store holds, and bad input."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

import gnn.explain
from gnn.config import EdgeConfig, NetworkConfig, TrainConfig
from gnn.inside import StoredEdge, look_inside
from gnn.inside_split import LEAST_COSINE
from gnn.run import RunFolder
from gnn.train import train
from kg.store import open_store
from loaders.errors import run_command
from tests.gnn.networks import cosines_of, log_probabilities_of

Command = Callable[..., tuple[int, str, str]]


def settings(place: Path, kind: Literal["linear", "sage"]) -> TrainConfig:
    """Return a training of both networks in as few steps as there can be; its tail has one weight to try.

    The closed form proposes a third of all edges, so that some are the network's.
    """
    return TrainConfig(
        shop="synthetic",
        run=kind,
        runs=str(place / "runs"),
        store=f"ladybug:{place / f'{kind}.lbug'}",
        cache=str(place / "text"),
        network=NetworkConfig(kind=kind, dimension=16, max_epochs=2, evaluate_every=2),
        edges=EdgeConfig(passes=1, tail_power=0.1, by_base=40, by_network=30),
        networks="always",
        k=10,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where a linear and a GraphSAGE network were trained."""
    folder = tmp_path_factory.mktemp("inside")
    for kind in ("linear", "sage"):
        train(settings(folder, kind))
    return folder


@pytest.fixture
def broken(place: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder of the linear run, to be broken; it names the same store."""
    return Path(shutil.copytree(place / "runs" / "linear", tmp_path / "linear"))


@pytest.fixture
def command(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: str, name: str = "linear", runs: Path = place / "runs") -> tuple[int, str, str]:
        """Return exit code, output and errors of ``python -m gnn.explain --inside`` for a user's best product."""
        given = ["--run", name, "--runs", str(runs), "--user", "u000", "--k", "1", "--reasons", "2", *words]
        monkeypatch.setattr(sys, "argv", ["explain", *given])
        capsys.readouterr()
        try:
            run_command(gnn.explain.main)
            code = 0
        except SystemExit as ended:
            code = int(str(ended.code))
        return code, *capsys.readouterr()

    return run


def test_every_proposers_edges_are_the_models_and_their_parts_add_up(place: Path) -> None:
    folder = RunFolder.open(str(place / "runs"), "linear")
    fitted = folder.network()
    assert fitted is not None
    with open_store(str(settings(place, "linear").store), read_only=True) as store:
        related = store.read_results("RELATED", "linear")
        by_network = related.filter(pl.col("network") != 0).sort("network", "source", "target", descending=True).head(4)
        by_form = related.filter(pl.col("network") == 0).head(4)
        assert (len(by_network), len(by_form)) == (4, 4)
        rows = pl.concat([by_network, by_form]).iter_rows(named=True)
        edges = [StoredEdge(row["source"], row["target"], row["weight"], row["network"], 1e-6) for row in rows]
        insides = look_inside(folder, store, edges, explainer=None)
    # The run ranks all products that it has vectors of; ids sort as positions do.
    ids = sorted({*related["source"], *related["target"]})
    assert len(ids) == len(fitted.queries)
    for edge, inside in zip(edges, insides, strict=True):
        gate, split = inside.gate, inside.split
        assert split is not None
        assert inside.messages is None
        assert gate.weight == pytest.approx(edge.weight, rel=1e-4)
        assert gate.proposed_by == ("network" if edge.network else "closed form")
        source, target = ids.index(edge.source), ids.index(edge.target)
        assert split.cosine == pytest.approx(cosines_of(fitted)[source, target], abs=1e-5)
        assert {feature.name: feature.value for feature in gate.features}["near"] == pytest.approx(
            split.cosine, abs=1e-4
        )
        if edge.network:
            likely = log_probabilities_of(fitted)[source, target]
            assert gate.start == pytest.approx(np.exp(likely), rel=1e-4)
            assert split.scaled == (split.cosine >= LEAST_COSINE)
        assert split.total == (edge.network if split.scaled else split.cosine)
        for side in (split.spoke, split.answered):
            assert sum(part.adds for part in side) == pytest.approx(split.total, abs=1e-7)
    assert any(inside.split and inside.split.scaled for inside in insides)


def test_text_json_and_markdown_show_the_inside_of_each_reason(command: Command) -> None:
    code, shown, told = command("--inside", "--format", "json")
    assert code == 0, told
    found = json.loads(shown)
    (product,) = found["products"]
    assert len(product["reasons"]) == 2
    for reason in product["reasons"]:
        gate, split = reason["inside"]["gate"], reason["inside"]["split"]
        factor = gate["proposal"] * (gate["unweighed"] + gate["gate"])
        assert gate["start"] * factor == pytest.approx(gate["weight"])
        assert sum(part["adds"] for part in split["spoke"]) == pytest.approx(split["total"])
        assert {part["of"] for part in split["spoke"]} == {"id", "text"}
        assert any(f"The edge weighs {gate['weight']:.6g}: the closed form's" in text for text in found["words"])
    code, shown, _ = command("--inside")
    assert code == 0
    first = product["reasons"][0]
    below = shown.split("  - adds ")[1].splitlines()
    assert below[1].startswith(f"      - The edge weighs {first['inside']['gate']['weight']:.6g}: ")
    assert "      - The gate is " in shown
    assert "through its own id" in shown or "through its own text" in shown
    _, shown, _ = command("--inside", "--format", "markdown")
    assert "\n- adds " in shown
    assert "\n  - The edge weighs " in shown
    # Without the option nothing of it is there.
    _, shown, _ = command()
    assert "The edge weighs" not in shown


@pytest.mark.parametrize("explainer", ["gnn", "ig"])
def test_a_network_that_passes_messages_is_explained_by_pyg(
    command: Command, explainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnn.inside_messages.EPOCHS", 3)
    monkeypatch.setattr("gnn.inside_messages.STEPS", 8)
    monkeypatch.setattr("gnn.inside_messages.MOST_STEPS", 8)
    words = ("--inside", "--explainer", explainer, "--format", "json", "--reasons", "1")
    code, shown, told = command(*words, name="sage")
    assert code == 0, told
    found = json.loads(shown)
    (reason,) = found["products"][0]["reasons"]
    gate, messages = reason["inside"]["gate"], reason["inside"]["messages"]
    assert reason["inside"]["split"] is None
    assert {feature["name"]: feature["value"] for feature in gate["features"]}["near"] == pytest.approx(
        messages["cosine"], abs=1e-4
    )
    assert messages["explainer"] == explainer
    assert {"bought", "has_brand", "in_category_1"} <= {each["relation"] for each in messages["relations"]}
    # The run knows a little less than the graph, of which the reason counts all.
    assert 0 < messages["co_buyers"] <= reason["people"] + 1
    assert len(messages["facts"]) == 5
    said = {"gnn": "By relation GNNExplainer gives weights", "ig": "By relation Integrated Gradients adds"}[explainer]
    assert any(text.startswith(said) for text in found["words"])
    assert (messages["missing"] is None) == (explainer == "gnn")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--inside", "--why-not", "p001"), "--inside is of one user's reasons for a product"),
        (("--explainer", "ig"), "--explainer 'ig' looks into networks; give --inside with it, or leave it out"),
        (("--inside", "--explainer", "gnn"), "that of run 'linear' is linear and is split exactly, so leave it out"),
    ],
)
def test_options_that_would_be_ignored_are_refused(command: Command, words: tuple[str, ...], sentence: str) -> None:
    code, shown, told = command(*words)
    assert (code, shown, told.count("\n")) == (2, "", 1)
    assert sentence in told


def no_networks(folder: Path) -> None:
    RunFolder(folder).write_model(None, None, read=None)


def no_edges(folder: Path) -> None:
    (folder / "edges.safetensors").unlink()


def other_graph(folder: Path) -> None:
    RunFolder(folder).write_manifest(replace(RunFolder(folder).manifest(), graph="another"))


def other_settings(folder: Path) -> None:
    config = RunFolder(folder).config()
    RunFolder(folder).write_config(replace(config, network=replace(config.network, dimension=8)))


def other_vectors(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "network.queries": 1.5 * tensors["network.queries"]}, folder / "model.safetensors")


def other_gate(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "edges.layers.4.bias": tensors["edges.layers.4.bias"] + 0.1}, folder / "model.safetensors")


def half_a_gate(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if name != "edges.mean"}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (no_networks, "the run 'linear' has no networks, so there is nothing inside its edges"),
        (no_edges, "lacks edges.safetensors, what the edge network read; train again"),
        (other_graph, "has changed since the run 'linear' was made"),
        (
            other_settings,
            "the model of run 'linear' does not fit the graph and the texts as they are now (size mismatch",
        ),
        (other_vectors, "it makes other vectors of them than the run kept; train again"),
        (other_gate, "so the two are not of one training; train again"),
        (half_a_gate, "is not of this version ('mean'); train again"),
    ],
)
def test_a_run_that_cannot_be_looked_into_ends_in_a_sentence(
    broken: Path, command: Command, break_it: Callable[[Path], None], sentence: str
) -> None:
    break_it(broken)
    code, shown, told = command("--inside", runs=broken.parent)
    assert (code, shown) == (2, "")
    assert sentence in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
