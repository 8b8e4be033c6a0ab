"""The settings that come with the program are settings of this version, and say what they were found on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gnn.cartograph import Cartograph
from gnn.models import models
from gnn.tuned import FACTS, SHIPPED, apply_tuned, load_networks, load_tuned, with_settings
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import graph_of

FOLDERS = sorted(SHIPPED.glob("*/"))


def test_the_shops_that_come_with_the_program_have_settings() -> None:
    assert {"amazon-beauty", "amazon-beauty-without-links", "complete-journey"} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_settings_fit_the_models_and_say_what_they_were_found_on(folder: Path) -> None:
    entries = json.loads((folder / "tuned.json").read_text())
    links = {name.rpartition(".")[2] for name in entries["closed form"]["settings"] if ".links." in name}
    graph = graph_of(synthetic_shop())
    graph = replace(graph, links=dict.fromkeys(links, next(iter(graph.links.values()))))
    facts = entries["closed form"]
    every = models(graph, times_known=facts["split"] == "by time", repeat=facts["repeat"])
    assert set(entries) <= {model.name for model in every}
    apply_tuned(every, load_tuned(folder))
    assert all(name in entry for entry in entries.values() for name in FACTS)
    assert all(0 < entry["score"] < 1 and entry["trials"] >= 1 for entry in entries.values())


@pytest.mark.parametrize(
    ("folder", "timed"),
    [("complete-journey", True), ("amazon-beauty", False), ("amazon-beauty-without-links", False)],
    ids=str,
)
def test_what_was_decided_on_the_networks_is_of_these_settings(folder: str, timed: bool) -> None:  # noqa: FBT001
    found = load_tuned(SHIPPED / folder)["closed form"]
    links = {name.rpartition(".")[2]: pl.DataFrame() for name in found if name.startswith("closed_form.links.")}
    ours = Cartograph().for_graph(replace(graph_of(synthetic_shop()), links=links), timed=timed)
    assert load_networks(SHIPPED / folder, with_settings(ours, found)) is not None
