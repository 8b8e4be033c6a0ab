"""Benchmarks that run for hours begin at all: the same, in seconds."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from benchmarks.edge_steps import EdgeSteps, edge_steps
from benchmarks.kept_memory import KeptMemory, kept_memory
from benchmarks.large_shop import LargeShopConfig, write_large_shop
from benchmarks.peers import PeersConfig, peers_of
from benchmarks.sampled_quality import SampledQuality, sampled_quality
from benchmarks.sampled_training import SampledTraining, sampled_training
from loaders.errors import InputError
from loaders.shops import load_shop


def test_training_on_sampled_neighbourhoods_is_measured() -> None:
    found = sampled_training(
        SampledTraining(millions=0.002, products=50, steps=2, batch_users=20, num_neighbors=(3, 2))
    )
    assert re.search(r"2 steps of 20 users over neighbourhoods sampled by .*, 3-2 along each edge type in", found)


def test_what_sampling_costs_is_measured_after_every_pass(tmp_path: Path) -> None:
    write_large_shop(LargeShopConfig(str(tmp_path / "shop"), users=100, products=40, purchases=1000))
    config = SampledQuality(str(tmp_path / "shop"), num_neighbors=(2,), passes=2, measured=30, cache=str(tmp_path))
    head, *lines = "\n".join(sampled_quality(config)).splitlines()
    assert head.endswith("; 30 users measured")
    counts = {line.split(" | ")[0].lstrip("| "): line.count("±") for line in lines[2:]}
    assert counts == {
        "popularity": 1,
        "ItemKNN": 1,
        "linear, full graph": 2,
        "GraphSAGE, full graph": 2,
        "GraphSAGE, 2 neighbours": 2,
    }
    with pytest.raises(InputError, match="passes is 0; give 1 or more"):
        SampledQuality("shop", passes=0)


def test_a_fit_is_measured_with_freed_memory_kept_and_given_back(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    write_large_shop(LargeShopConfig(str(shop), users=100, products=40, purchases=1000))
    one = "LightGCN, 5 passes"
    config = KeptMemory(str(shop), cache=str(tmp_path / "text"), device="cpu", model=(one,))
    _, *lines = "\n".join(kept_memory(config)).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[1:]]
    assert [row[:2] for row in cells] == [[one, "kept"], [one, "given back"]]
    assert all(float(number.replace(",", "")) >= 0 for row in cells for number in row[2:])
    with pytest.raises(InputError, match="no training 'iALS'; there are: LightGCN, 5 passes; graph network"):
        KeptMemory(str(shop), model=("iALS",))


def test_both_ways_to_make_a_step_of_the_edge_network_have_the_same_loss() -> None:
    found = edge_steps(EdgeSteps(products=60, edges=9, users=12, purchases=3, steps=3, rounds=1))
    plain, ours = (float(each) for each in re.findall(r"\d+\.\d{5}", found))
    assert plain == pytest.approx(ours, rel=1e-4)


def test_a_large_shop_is_made_in_parts_and_the_same_settings_make_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.large_shop.PART", 300)
    for folder in ("one", "other"):
        write_large_shop(LargeShopConfig(str(tmp_path / folder), users=100, products=600, purchases=1000, seed=5))
    one, other = (pl.read_parquet(tmp_path / folder / "purchases.parquet") for folder in ("one", "other"))
    assert one.equals(other)
    shop = load_shop(str(tmp_path / "one"))
    # Lines of one user, product and moment are added up: nothing is lost.
    assert shop.purchases["quantity"].sum() == len(one) == 1000
    assert len(shop.products) == 600
    counts = one["user_id"].value_counts()["count"].sort(descending=True)
    # Draws of u^1.8: the first tenth of the users has 0.1^(1 / 1.8) = 28 % of the purchases.
    assert 0.2 < counts.head(10).sum() / 1000 < 0.4


def test_peers_are_chosen_by_library_and_model_and_a_name_that_none_has_is_refused() -> None:
    asked = PeersConfig(library=("RecBole", "Cartograph"), model=("LightGCN", "graph network"))
    assert {(peer.library, peer.model) for peer in peers_of(asked)} == {
        ("RecBole", "LightGCN"),
        ("Cartograph", "graph network"),
    }
    with pytest.raises(InputError, match=r"no model 'Light' of these libraries; there are .*LightGCN"):
        peers_of(PeersConfig(library=("RecBole",), model=("Light",)))
