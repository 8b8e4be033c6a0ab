"""The main job from end to end on the made-up shop: what is delivered, explained, measured and made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnn.config import NetworkConfig, RelatedConfig, SplitConfig, TrainConfig, given_settings
from gnn.evaluate import evaluate_run
from gnn.export import ExportConfig, export_run
from gnn.found import given_model
from gnn.read_delivery import delivered_edges
from gnn.run import RunFolder
from gnn.split import split_purchases
from gnn.text import encode_texts
from gnn.train import train
from gnn.verify import print_faults
from kg.cypher import read_query, with_values
from kg.explain import ALL_ROWS, explain, score_parameters
from kg.graph import GraphTables
from kg.recommend import recommend
from kg.schema import SHARES
from kg.store import GraphStore, open_store
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import graph_of

K = 10


def settings(place: Path, **changes: Any) -> TrainConfig:
    given = TrainConfig(
        shop="synthetic",
        runs=str(place / "runs"),
        store=f"ladybug:{place / 's.lbug'}",
        cache=str(place / "text"),
        network=NetworkConfig(max_epochs=6),
        networks="always",
        k=K,
    )
    return replace(given, **changes)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where one training has left everything; tests that write take a name of their own."""
    folder = tmp_path_factory.mktemp("line")
    train(settings(folder))
    return folder


@pytest.fixture(scope="module")
def store(place: Path) -> Iterator[GraphStore]:
    with open_store(str(settings(place).store), read_only=True) as opened:
        yield opened


@pytest.fixture
def own(tmp_path: Path, place: Path) -> Path:
    """Return a folder of its own with the same text vectors and one training of two epochs."""
    (tmp_path / "text").symlink_to(place / "text")
    train(settings(tmp_path, network=NetworkConfig(max_epochs=2)))
    return tmp_path


def run_of(place: Path, name: str = "synthetic") -> RunFolder:
    return RunFolder.open(str(place / "runs"), name)


def delivered(place: Path, name: str = "synthetic") -> pl.DataFrame:
    return pl.concat(
        [pl.read_parquet(file) for file in sorted((place / "runs" / name / "ranked_edges").glob("*.parquet"))]
    )


def by_user(edges: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(user): rows for (user,), rows in edges.group_by("user_id", maintain_order=True)}


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_run_leaves_its_settings_its_manifest_its_epochs_its_model_and_its_report(place: Path) -> None:
    folder = place / "runs" / "synthetic"
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "edges.safetensors", "manifest.json", "metrics.jsonl", "model.safetensors", "report.json",
        "report.md", "ranked_edges", "calibration.json", "reliability.png",
    }  # fmt: skip
    assert run_of(place).config() == settings(place)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    stages = [line["stage"] for line in lines]
    epochs = run_of(place).manifest().epochs
    assert stages.count("network on all, before test") == epochs
    assert [line["epoch"] for line in lines if line["stage"] == "network on a part, before validation"] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert [line["validation_ndcg"] is not None for line in lines][:6] == [False, False, False, True, False, True]
    assert "| Cartograph " in (folder / "report.md").read_text(encoding="utf-8")
    assert not [file for file in (place / "runs").iterdir() if file.name.startswith(".")]


def test_the_delivery_lists_its_shards_with_their_hashes(place: Path) -> None:
    folder = place / "runs" / "synthetic" / "ranked_edges"
    page = read(folder / "manifest.json")
    assert {file.name for file in folder.iterdir()} == {"manifest.json", *(shard["file"] for shard in page["shards"])}
    for shard in page["shards"]:
        assert hashlib.sha256((folder / shard["file"]).read_bytes()).hexdigest() == shard["sha256"]
        assert len(pl.read_parquet(folder / shard["file"])) == shard["rows"]
    edges = delivered(place)
    assert (page["rows"], page["users"]) == (len(edges), edges["user_id"].n_unique())
    assert page["users"] + sum(page["users_left_out"].values()) == 200
    assert dict(edges.schema) == {
        "user_id": pl.String, "product_id": pl.String, "rank": pl.Int64, "score": pl.Float64,
        "probability": pl.Float64, "reason_kind": pl.String, "reason_via": pl.String, "reason_share": pl.Float64,
        "filled": pl.Boolean, "run": pl.String, "made_at": pl.String,
    }  # fmt: skip
    types = {"string": pl.String, "int64": pl.Int64, "float64": pl.Float64, "boolean": pl.Boolean}
    assert {column["name"]: types[column["type"]] for column in page["columns"]} == dict(edges.schema)


def test_every_user_has_ranks_from_one_without_holes_and_scores_that_do_not_rise(place: Path) -> None:
    for rows in by_user(delivered(place)).values():
        assert rows["rank"].to_list() == list(range(1, K + 1))
        assert rows["score"].is_sorted(descending=True)
        assert rows["product_id"].is_unique().all()


def test_the_ids_are_the_shops_and_no_product_is_one_she_has_bought(place: Path) -> None:
    shop, edges = synthetic_shop(), delivered(place)
    assert set(edges["user_id"]) == set(shop.users["user_id"])
    assert set(edges["product_id"]) <= set(shop.products["product_id"])
    again = edges.join(shop.purchases, on=["user_id", "product_id"], how="semi")
    assert again.is_empty()


def test_cypher_recommends_every_user_the_products_and_scores_of_the_delivery(place: Path, store: GraphStore) -> None:
    run = store.run_record("synthetic")
    assert run is not None
    for user, rows in by_user(delivered(place)).items():
        found = recommend(store, user=user, run=run, limit=K)
        assert found["score"].to_list() == pytest.approx(rows["score"].to_list(), rel=1e-5)
        places = zip(found.rows(), rows.select("product_id", "score").rows(), strict=True)
        scores = dict(rows.select("product_id", "score").rows())
        for (product, _, score), (exported, exported_score) in places:
            # Two sums of the same numbers in another order may swap a tie, and nothing else.
            assert product == exported or abs(scores.get(product, score) - exported_score) < 1e-9


def test_an_explanation_adds_up_to_the_delivered_score_along_edges_of_the_graph(place: Path, store: GraphStore) -> None:
    run = store.run_record("synthetic")
    assert run is not None
    related = store.read_results("RELATED", "synthetic").select("source", "target", "weight", *SHARES)
    weights = {(source, target): numbers for source, target, *numbers in related.iter_rows()}
    bought = set(store.read_graph().edges["BOUGHT"].select("source", "target").rows())
    reasons = {(row["user_id"], row["product_id"]): row for row in delivered(place).iter_rows(named=True)}
    for user, rows in list(by_user(delivered(place)).items())[::10]:
        for product, score in rows.select("product_id", "score").rows():
            found = explain(store, user=user, product=product, run=run, limit=1)
            assert found.rows["contribution"].sum() == pytest.approx(score, rel=1e-5)
            assert found.score == pytest.approx(score, rel=1e-5)
            best, reason = found.rows.row(0, named=True), reasons[user, product]
            assert reason["reason_via"] == best["because"]
            assert reason["reason_share"] == pytest.approx(best["contribution"] / score, rel=1e-5)
            assert best[reason["reason_kind"]] == max(best[share] for share in SHARES)
            assert sum(found.rows[share].sum() for share in SHARES) == pytest.approx(score, rel=1e-5)
            for reason in found.rows.iter_rows(named=True):
                weight, *shares = weights[reason["because"], product]
                assert reason["related"] == weight == sum(shares)
                assert (user, reason["because"]) in bought


def test_an_edge_says_how_near_the_texts_of_its_products_are(place: Path, store: GraphStore) -> None:
    products = store.read_graph().nodes["Product"]
    text = encode_texts(
        products["text"].to_list(), folder=None, cache=place / "text", device=torch.device("cpu")
    ).astype(np.float64)
    position = {product: row for row, product in enumerate(products["id"])}
    edges = store.read_results("RELATED", "synthetic").gather_every(97)
    # Vectors of texts are of unit length.
    wanted = [text[position[source]] @ text[position[target]] for source, target in edges["source", "target"].rows()]
    assert edges["near"].to_list() == pytest.approx(wanted, abs=1e-6)
    assert edges["near"].max() > 0.1


def test_recommended_in_the_store_is_the_delivery(place: Path, store: GraphStore) -> None:
    stored = store.read_results("RECOMMENDED", "synthetic").rename({"source": "user_id", "target": "product_id"})
    edges = delivered(place).drop("run", "made_at", "probability", "filled").sort("user_id", "product_id")
    assert_frame_equal(stored, edges, check_column_order=False, check_exact=True)


def test_evaluating_the_run_gives_the_table_of_the_training(place: Path) -> None:
    folder = run_of(place)
    assert evaluate_run(folder) == folder.report().test
    names = [row.recommender for row in folder.report().test]
    assert names == ["popularity", "popularity, last 8 weeks", "ItemKNN", "graph network alone", "Cartograph"]
    values = {row.recommender: row.measures["NDCG@10"].value for row in folder.report().test}
    assert values["Cartograph"] > 2 * values["popularity"]


def test_a_second_training_gives_the_same_numbers_to_the_last_digit(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(own, network=NetworkConfig(max_epochs=2))
    report, edges = run_of(own).report(), delivered(own)
    model = (own / "runs/synthetic/model.safetensors").read_bytes()
    capsys.readouterr()
    train(config)
    assert "graph unchanged in ladybug:" in capsys.readouterr().out
    assert replace(run_of(own).report(), seconds={}) == replace(report, seconds={})
    assert_frame_equal(delivered(own).drop("made_at"), edges.drop("made_at"), check_exact=True)
    assert (own / "runs/synthetic/model.safetensors").read_bytes() == model


def test_purchases_that_were_taken_out_of_the_store_by_hand_are_noticed(own: Path) -> None:
    store, delivery = str(settings(own).store), run_of(own).path / "ranked_edges"
    print_faults(delivery, store=store, runs=str(own / "runs"), password_file=None)
    with open_store(store) as opened:
        user = opened.read_nodes("User")["id"][0]
        opened.query("MATCH (u:User {id: $user})-[b:BOUGHT]->(:Product) DELETE b", {"user": user})
    with pytest.raises(InputError, match=r"has \d+ faults"):
        print_faults(delivery, store=store, runs=str(own / "runs"), password_file=None)
    graph = json.loads((delivery / "manifest.json").read_text())["graph"]
    export_run(run_of(own), ExportConfig(run="synthetic", k=K))
    assert json.loads((delivery / "manifest.json").read_text())["graph"] != graph


def test_settings_that_were_given_in_the_one_run_and_not_in_the_other_are_other_settings(own: Path) -> None:
    other = replace(settings(own), given=("closed_form.ridge",))
    with pytest.raises(InputError, match=r"exists with other settings \(given is \['closed_form.ridge'\], was \[\]\)"):
        train(other)


def test_other_settings_under_the_same_name_are_refused_unless_they_may_overwrite(own: Path) -> None:
    before = run_of(own).manifest()
    other = settings(own, network=NetworkConfig(max_epochs=2), seed=7)
    sentence = r"the run 'synthetic' exists with other settings \(seed is 7, was 0\); give another --run NAME, or"
    with pytest.raises(InputError, match=sentence):
        train(other)
    assert run_of(own).manifest() == before
    train(replace(other, overwrite=True))
    assert run_of(own).manifest().seed == 7


def test_results_of_another_training_are_not_taken_for_the_runs_own(own: Path) -> None:
    # The same run name and store, and another folder of runs: the store now holds the second one's RELATED.
    train(settings(own, network=NetworkConfig(max_epochs=2), runs=str(own / "elsewhere"), seed=3))
    sentence = r"holds those made at .* of the RELATED edges that run 'synthetic' made at .*; train again"
    with pytest.raises(InputError, match=sentence):
        evaluate_run(run_of(own))
    with pytest.raises(InputError, match=sentence):
        export_run(run_of(own), ExportConfig(run="synthetic"))
    assert evaluate_run(RunFolder.open(str(own / "elsewhere"), "synthetic"))


def bought_again(tables: GraphTables, *, user: str, product: str) -> GraphTables:
    """Return the graph with one purchase more, a day after the last."""
    bought = tables.edges["BOUGHT"]
    more = bought.tail(1).with_columns(
        source=pl.lit(user), target=pl.lit(product), at=pl.col("at") * 0 + bought["at"].max() + 86_400
    )
    edges = {**tables.edges, "BOUGHT": pl.concat([bought, more]).sort(pl.all())}
    return replace(tables, edges=edges)


def test_a_new_purchase_counts_at_the_next_export_and_is_refused_by_evaluate(own: Path) -> None:
    before = delivered(own)
    user, product = before.row(0)[:2]
    address = str(settings(own).store)
    with open_store(address) as store:
        store.replace_graph(bought_again(store.read_graph(), user=user, product=product))
    with pytest.raises(InputError, match=r"the graph in '.*' has changed since the run 'synthetic' was made"):
        evaluate_run(run_of(own))
    model = (own / "runs/synthetic/model.safetensors").read_bytes()
    delivery = export_run(run_of(own), ExportConfig(run="synthetic", k=K))
    after = by_user(pl.concat(delivered_edges(delivery.folder)))
    # What she bought is no longer given; everything is a day older; what leads from her purchase is new in her scores.
    assert product not in after[user]["product_id"]
    others = [other for other in after if other != user]
    was = by_user(before)
    for other in others[:20]:
        assert after[other]["product_id"].to_list() == was[other]["product_id"].to_list()
        aged = was[other]["score"] * 0.5 ** (1 / 70 * 0.35)
        assert after[other]["score"].to_list() == pytest.approx(aged.to_list(), rel=1e-9)
    with open_store(address, read_only=True) as store:
        run = store.run_record("synthetic")
        assert run is not None
        found = recommend(store, user=user, run=run, limit=K)
        first = str(found["product"][0])
        reasons = explain(store, user=user, product=first, run=run, limit=1).rows["because"].to_list()
    assert found["score"].to_list() == pytest.approx(after[user]["score"].to_list(), rel=1e-5)
    assert product in reasons
    assert (own / "runs/synthetic/model.safetensors").read_bytes() == model


def test_csv_and_parquet_deliver_the_same_rows(place: Path, tmp_path: Path) -> None:
    parts = {}
    for kind in ("csv", "parquet"):
        out = tmp_path / kind
        export_run(run_of(place), ExportConfig(run="synthetic", k=3, format=kind, out=str(out), to_graph=False))
        parts[kind] = out / f"part-00000.{kind}"
    assert_frame_equal(pl.read_csv(parts["csv"]), pl.read_parquet(parts["parquet"]), check_exact=True)
    top = delivered(place).filter(pl.col("rank") <= 3)
    assert_frame_equal(pl.read_parquet(parts["parquet"]), top, check_exact=True)


def test_a_folder_that_is_no_delivery_is_never_replaced(place: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    run = place / "runs" / "synthetic"
    for out in (tmp_path, tmp_path / "thesis.txt", run):
        with pytest.raises(
            InputError, match="is there and is no delivery of ranked edges, so it is not replaced; give another --out"
        ):
            export_run(run_of(place), ExportConfig(run="synthetic", out=str(out), to_graph=False))
    assert (tmp_path / "thesis.txt").exists()
    assert (run / "report.json").exists()


def test_a_run_without_a_test_part_is_made_all_the_same(place: Path, tmp_path: Path) -> None:
    split = SplitConfig(validation_from="2024-11-01", test_from="2030-01-01")
    (tmp_path / "text").symlink_to(place / "text")
    train(settings(tmp_path, split=split, network=NetworkConfig(max_epochs=1)))
    assert run_of(tmp_path).report().test == []
    assert len(delivered(tmp_path)) == 200 * K


def test_without_times_cypher_scores_as_the_delivery_does_also_when_pasted(place: Path, tmp_path: Path) -> None:
    made_up = synthetic_shop(users=60, products=40, brands=8)
    shop = tmp_path / "timeless"
    shop.mkdir()
    made_up.products.write_csv(shop / "products.csv")
    made_up.purchases.select("user_id", "product_id").write_csv(shop / "purchases.csv")
    (tmp_path / "text").symlink_to(place / "text")
    train(settings(tmp_path, shop=str(shop), network=NetworkConfig(max_epochs=1)))
    assert run_of(tmp_path, "timeless").manifest().split == "by chance"
    edges = by_user(delivered(tmp_path, "timeless"))
    with open_store(str(settings(tmp_path).store), read_only=True) as store:
        run = store.run_record("timeless")
        assert run is not None
        for user in list(edges)[::6]:
            found = recommend(store, user=user, run=run, limit=K)
            assert found["score"].to_list() == pytest.approx(edges[user]["score"].to_list(), rel=1e-5)
        product, score = edges[user].select("product_id", "score").row(0)
        pasted = with_values(
            read_query("explain_score", dialect=store.dialect), score_parameters(user, product, run, limit=ALL_ROWS)
        )
        assert store.query(pasted, {})["contribution"].sum() == pytest.approx(score, rel=1e-5)


def test_what_a_search_found_on_this_shop_is_used_and_what_a_person_gave_stays(tmp_path: Path, place: Path) -> None:
    (tmp_path / "text").symlink_to(place / "text")
    found = {"closed_form.ridge": 33.0, "related.trend": 0.25, "history.exponent": 0.75}
    split = split_purchases(graph_of(synthetic_shop()), SplitConfig(), seed=0)
    facts = {
        "shop": "synthetic", "leave_out": [], "repeat": False, "users_share": 1.0, "min_buyers": 5, "split": split.way,
        "validation_from": split.validation_from, "test_from": split.test_from,
        "parts": [len(part) for part in (split.past, split.validation, split.test)],
    }  # fmt: skip
    for name, values, on in (
        ("other", {"closed_form.ridge": 99.0}, facts | {"repeat": True}),
        ("tune-synthetic", found, facts),
    ):
        (tmp_path / "runs" / name).mkdir(parents=True)
        page = {"closed form": {"settings": values, **on}}
        (tmp_path / "runs" / name / "tuned.json").write_text(json.dumps(page))
    train(settings(tmp_path, networks="never", related=RelatedConfig(trend=0.0)))
    report = run_of(tmp_path).report()
    assert report.facts["settings found"] == f"by search, in {tmp_path / 'runs' / 'tune-synthetic'}"
    assert "closed_form.ridge 33" in report.facts["settings"]
    assert "related.trend 0," in report.facts["settings"]
    manifest = run_of(tmp_path).manifest()
    assert manifest.weighing.exponent == 0.75
    assert not (tmp_path / "runs" / "synthetic" / "metrics.jsonl").read_text(), "no network was trained"
    assert (manifest.settings["closed_form.ridge"], manifest.settings["related.trend"]) == (33.0, 0.0)


def test_a_setting_that_a_person_gave_goes_before_a_searched_one_also_if_it_is_as_at_first(tmp_path: Path) -> None:
    link = "closed_form.links.ALSO_VIEWED"
    found = {"closed_form.ridge": 33.0, "closed_form.support": 64, "related.trend": 0.25, link: 0.01}
    (tmp_path / "tuned.json").write_text(json.dumps({"closed form": {"settings": found}}))
    graph = graph_of(synthetic_shop())
    config = settings(tmp_path, tuned=str(tmp_path), related=RelatedConfig(trend=0.0))
    words = ["--closed-form.support", "0", "--related.trend=0", "--closed-form.links", "ALSO_VIEWED", "0.3"]
    config = replace(config, given=given_settings(words))
    model, _, _ = given_model(config, graph, split_purchases(graph, SplitConfig(), seed=0), times_known=True)
    assert (model.closed_form.ridge, model.closed_form.support, model.related.trend) == (33.0, 0, 0.0)
    assert model.closed_form.links == {"ALSO_VIEWED": 0.3}


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"closed_form.links.NOWHERE": 1.0},
            "holds settings that Cartograph does not have here: closed_form.links.NOWHERE",
        ),
        ({"closed_form.rigde": 1.0}, "holds settings that Cartograph does not have here: closed_form.rigde"),
        ({"closed_form.ridge": "abc"}, "holds what is no number"),
        ({"closed_form.ridge": -5.0}, "closed_form.ridge is -5.0; give more than 0"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(
    found: dict[str, Any], sentence: str, tmp_path: Path, place: Path
) -> None:
    (tmp_path / "text").symlink_to(place / "text")
    (tmp_path / "tuned.json").write_text(json.dumps({"closed form": {"settings": found}}))
    with pytest.raises(InputError, match=sentence):
        train(settings(tmp_path, tuned=str(tmp_path)))


def test_products_may_be_recommended_again_and_cypher_agrees(tmp_path: Path, place: Path) -> None:
    (tmp_path / "text").symlink_to(place / "text")
    train(settings(tmp_path, repeat=True, networks="never", related=RelatedConfig(own=5.0)))
    manifest = run_of(tmp_path).manifest()
    edges = delivered(tmp_path)
    with open_store(str(settings(tmp_path).store), read_only=True) as store:
        run = store.run_record("synthetic")
        assert run is not None
        assert run.repeat
        bought = store.read_graph().edges["BOUGHT"].select(pl.col("source").cast(pl.String), "target").unique()
        again = edges.join(bought, left_on=["user_id", "product_id"], right_on=["source", "target"], how="semi")
        assert len(again) > len(edges) / 4
        for user in edges["user_id"].unique().sort()[::40]:
            listed = recommend(store, user=user, run=run, limit=K)
            own = edges.filter(pl.col("user_id") == user).sort("rank")
            assert listed["product"].to_list() == own["product_id"].to_list()
            assert listed["score"].to_list() == pytest.approx(own["score"].to_list(), abs=1e-5)
            best = own["product_id"][0]
            found = explain(store, user=user, product=best, run=run, limit=ALL_ROWS)
            assert found.score == pytest.approx(own["score"][0], abs=1e-5)
        itself = found.rows.filter(pl.col("because") == best)
        assert len(itself) == 1
        assert itself["repeat"].item() == pytest.approx(itself["contribution"].item(), rel=1e-6)
    assert manifest.repeat
