"""A person's mistake, Ctrl-C and a full disk: one sentence, an exit code, and nothing half written."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import torch

import gnn.evaluate
import gnn.export
import gnn.train
from gnn.config import ClosedFormConfig, EdgeConfig, NetworkConfig, RelatedConfig, SplitConfig, TrainConfig
from gnn.run import RunFolder
from gnn.text import encode_texts
from gnn.train import choose_device, train
from kg.schema import SHARES
from kg.store import open_store
from loaders.errors import InputError, run_command

ROOT = Path(__file__).parents[2]
SMALL_FILES_ONLY = 4096


def run(*words: str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m`` as a person does."""
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=before
    )


def refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert sentence in lines[0]
    assert done.stderr.endswith(f"{lines[0]}\n")
    assert "Traceback" not in done.stderr


def limit(size: int) -> Callable[[], None]:
    """Return what makes files of more than ``size`` bytes fail, as a full disk does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def places(folder: Path) -> dict[str, str]:
    return {"runs": str(folder / "runs"), "store": f"ladybug:{folder / 's.lbug'}", "cache": str(folder / "text")}


def as_words(folder: Path) -> list[str]:
    return [word for name, value in places(folder).items() for word in (f"--{name}", value)]


def write_shop(folder: Path, rows: list[tuple[str, str, str]]) -> str:
    folder.mkdir()
    frame = pl.DataFrame(rows, schema=["user_id", "product_id", "at"], orient="row")
    frame.write_csv(folder / "purchases.csv")
    products = [*frame["product_id"].unique(), "mug"]
    pl.DataFrame({"product_id": sorted(set(products))}).write_csv(folder / "products.csv")
    return str(folder)


def crowd(*days: str) -> list[tuple[str, str, str]]:
    """Return the purchases of six users, each of whom buys one more product on each of the days."""
    return [(f"u{user}", f"p{(user + place) % 4}", day) for user in range(6) for place, day in enumerate(days)]


@pytest.mark.parametrize(
    ("rows", "split", "sentence"),
    [
        ([], {}, "is an empty shop: purchases has no rows"),
        (
            [("ann", f"p{day}", f"2024-01-{day:02}") for day in range(1, 21)],
            {},
            "0 products have 5 or more buyers before validation; 2 are needed",
        ),
        (
            crowd("2024-03-01", "2024-03-02"),
            {"validation_from": "2024-01-01", "test_from": "2024-02-01"},
            r"no purchase is in the past of validation \(2024-01-01T00:00:00\)",
        ),
        (
            crowd("2024-03-01", "2024-03-02"),
            {"validation_from": "2024-06-01", "test_from": "2024-07-01"},
            r"no purchase is in the validation part \(2024-06-01T00:00:00 to 2024-07-01T00:00:00\)",
        ),
        (
            crowd("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04", "2024-03-05"),
            {"validation_from": "2024-03-05", "test_from": "2024-07-01"},
            "no user buys a product in the validation part that is to be found",
        ),
    ],
    ids=["empty", "one user", "all after the cutoff", "all before the cutoff", "nothing new after the cutoff"],
)
def test_a_shop_that_cannot_be_learned_from_is_refused_and_leaves_no_run(
    tmp_path: Path, rows: list[tuple[str, str, str]], split: dict[str, str], sentence: str
) -> None:
    shop = write_shop(tmp_path / "shop", rows)
    with pytest.raises(InputError, match=sentence):
        train(TrainConfig(shop=shop, split=SplitConfig(**split), **places(tmp_path)))
    assert list(tmp_path.glob("runs/*")) == []


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TrainConfig(k=0), "k is 0; give 1 or more"),
        (lambda: TrainConfig(time_limit=0.0), "time_limit is 0.0; give a number of minutes above 0"),
        (lambda: TrainConfig(time_limit=-1.0), "time_limit is -1.0; give a number of minutes above 0"),
        (lambda: TrainConfig(time_limit=float("nan")), "time_limit is nan; give a number of minutes above 0"),
        (lambda: TrainConfig(min_buyers=-1), "min_buyers is -1; give 0 or more"),
        (lambda: TrainConfig(seed=-1), "seed is -1; give 0 or more"),
        (lambda: TrainConfig(run="../elsewhere"), "run is '../elsewhere'; give letters, digits"),
        (lambda: TrainConfig(run=".hidden"), "run is '.hidden'; give letters, digits"),
        (lambda: TrainConfig(network=NetworkConfig(hidden_share=1.0)), "network.hidden_share is 1.0; give between 0"),
        (lambda: TrainConfig(network=NetworkConfig(max_epochs=0)), "network.max_epochs is 0; give 1 or more"),
        (lambda: TrainConfig(network=NetworkConfig(temperature=0.0)), "network.temperature is 0.0; give more than 0"),
        (lambda: TrainConfig(network=NetworkConfig(accumulate=0)), "network.accumulate is 0; give 1 or more"),
        (
            lambda: TrainConfig(network=NetworkConfig(table="cpu")),
            "network.table is 'cpu'; give float32, or network.num_neighbors too: steps over the full graph read",
        ),
        (lambda: TrainConfig(related=RelatedConfig(trend=-1.0)), "related.trend is -1.0; give 0 or more"),
        (lambda: TrainConfig(edges=EdgeConfig(hidden_share=1.0)), "edges.hidden_share is 1.0; give between 0 and 1"),
        (lambda: TrainConfig(edges=EdgeConfig(passes=-1)), "edges.passes is -1; give 0 or more"),
        (lambda: TrainConfig(network=NetworkConfig(identity_dropout=1.0)), "network.identity_dropout is 1.0; give 0"),
        (lambda: TrainConfig(closed_form=ClosedFormConfig(ridge=0.0)), "closed_form.ridge is 0.0; give more than 0"),
        (lambda: TrainConfig(closed_form=ClosedFormConfig(words=-1.0)), "closed_form.words is -1.0; give 0 or more"),
        (lambda: TrainConfig(closed_form=ClosedFormConfig(links={"X": -1.0})), "closed_form.links.X is -1.0; give 0"),
        (
            lambda: TrainConfig(split=SplitConfig(validation_share=0.5, test_share=0.5)),
            r"split shares is \(0.5, 0.5\); give 0 or more each and together below 1",
        ),
        (lambda: choose_device("gpu"), "no device is called 'gpu'; give auto, cpu, cuda or cuda:N"),
        (lambda: choose_device("mps"), "no device is called 'mps'; give auto, cpu, cuda or cuda:N"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()


def test_a_run_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run 'nope' in '.*'; there is none"):
        RunFolder.open(str(tmp_path), "nope")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"no run 'nope' in '.*'; there are first, second"):
        RunFolder.open(str(tmp_path), "nope")


def test_a_command_ends_a_mistake_in_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    refused(run("gnn.train", "--shop", "nowhere", *as_words(tmp_path)), "no shop 'nowhere'; give 'complete-journey'")
    assert list(tmp_path.glob("runs/*")) == []


@pytest.mark.parametrize(
    ("main", "words", "sentence"),
    [
        (gnn.train.main, ["--shop", "synthetic", "--k", "0"], "k is 0; give 1 or more"),
        (gnn.train.main, ["--shop", "synthetic", "--device", "gpu"], "no device is called 'gpu'"),
        (gnn.evaluate.main, ["--run", "nope"], "no run 'nope' in"),
        (gnn.export.main, ["--run", "nope"], "no run 'nope' in"),
        (gnn.export.main, ["--run", "nope", "--k", "0"], "k is 0; give 1 or more"),
    ],
)
def test_every_command_reports_a_mistake_alike(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[], None],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *words, "--runs", str(tmp_path / "runs")])
    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert sentence in errors
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_training_leaves_no_run_and_a_store_that_can_be_used(tmp_path: Path) -> None:
    endless = ["--network.max-epochs", "1000000", "--network.patience", "1000000"]
    words = ["gnn.train", "--shop", "synthetic", *as_words(tmp_path), *endless]
    with subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        assert training.stdout is not None
        # The stage after this line is the training.
        while not training.stdout.readline().startswith("text vectors"):
            assert training.poll() is None
        while not list(tmp_path.glob("runs/.synthetic.checkpoints/*.safetensors")):
            assert training.poll() is None
        training.send_signal(signal.SIGINT)
        _, errors = training.communicate(timeout=60)
    assert training.returncode == 130
    assert errors.splitlines()[-1] == "error: stopped by Ctrl-C; no half-written file was kept"
    assert "Traceback" not in errors
    # Beside the place of the run lies what the same command goes on from.
    assert [file.name for file in tmp_path.glob("runs/*")] == [".synthetic.checkpoints"]
    with open_store(places(tmp_path)["store"]) as store:
        assert len(store.read_graph().nodes["User"]) == 200
        assert store.run_record() is None


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    train(TrainConfig(shop="synthetic", k=20, network=NetworkConfig(max_epochs=1), **places(tmp_path)))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_full_disk_while_exporting_leaves_the_older_delivery_whole(trained: Path) -> None:
    before = contents(trained / "runs")
    words = ["gnn.export", "--run", "synthetic", "--runs", str(trained / "runs"), "--k", "30", "--no-to-graph"]
    refused(run(*words, before=limit(SMALL_FILES_ONLY)), "the file size limit is reached")
    after = contents(trained / "runs")
    assert {name: after.pop(name) for name in before} == before
    # What is left lies beside, for the same command given again.
    assert set(after) <= {"synthetic/.ranked_edges.part/plan.json"}


def test_a_full_disk_while_training_leaves_the_older_run_whole_and_no_new_one(trained: Path) -> None:
    before = contents(trained / "runs")
    words = ["gnn.train", "--shop", "synthetic", "--run", "second", *as_words(trained), "--network.max-epochs", "1"]
    refused(run(*words, before=limit(20 * SMALL_FILES_ONLY)), "the file size limit is reached")
    assert contents(trained / "runs") == before
    assert {file.name for file in (trained / "runs").iterdir()} <= {"synthetic", ".second.checkpoints"}


def test_a_full_disk_while_text_vectors_are_kept_is_an_os_error_and_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit(100)()
    try:
        with pytest.raises(OSError, match="File too large"):
            encode_texts(["green tea"], folder=None, cache=tmp_path / "text", device=torch.device("cpu"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "text").iterdir()) == []


def test_a_model_that_is_cut_off_is_refused(trained: Path) -> None:
    model = trained / "runs" / "synthetic" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"model.safetensors' is no whole model \(.*\); train again"):
        RunFolder.open(str(trained / "runs"), "synthetic").network()


def odd_shop(
    folder: Path, *, products: dict[str, list[str | None]], a_user: int, times: bool = True, links: bool = False
) -> str:
    """Write a shop of 12 products and 60 users who bought ``a_user`` products each."""
    folder.mkdir()
    ids = [f"p{number}" for number in range(12)]
    pl.DataFrame({"product_id": ids, **products}).write_csv(folder / "products.csv")
    rng = np.random.default_rng(0)
    bought = pl.DataFrame(
        [
            (f"u{user}", ids[product], 86_400 * (1 + (user + 7 * place) % 28))
            for user in range(60)
            for place, product in enumerate(rng.permutation(12)[:a_user])
        ],
        schema=["user_id", "product_id", "at"],
        orient="row",
    )
    (bought if times else bought.drop("at")).write_csv(folder / "purchases.csv")
    if links:
        nowhere = pl.DataFrame({"source_id": ["p1"], "relation": ["ALSO_BOUGHT"], "target_id": ["nowhere"]})
        nowhere.write_csv(folder / "links.csv")
    return str(folder)


BRANDS: list[str | None] = [f"b{number % 3}" for number in range(12)]


@pytest.mark.parametrize("networks", ["never", "always"])
@pytest.mark.parametrize(
    "shop",
    [
        {"products": {}, "a_user": 5},  # no text, no brand, no category
        {"products": {}, "a_user": 5, "times": False},
        {"products": {"brand": BRANDS}, "a_user": 5},  # one relation only
        {"products": {"brand": [f"b{number}" for number in range(12)]}, "a_user": 5},  # a relation that nothing shares
        {"products": {"brand": BRANDS}, "a_user": 5, "links": True},  # a relation with no edge
        {"products": {"brand": BRANDS}, "a_user": 1},  # all users with one purchase
        {"products": {"brand": BRANDS}, "a_user": 12, "times": False},  # all users with everything
    ],
    ids=["bare", "bare, no times", "brand", "lonely brands", "links to nowhere", "one purchase", "everything"],
)
def test_a_shop_that_lacks_something_gets_a_sound_result(
    shop: dict[str, Any], networks: Literal["always", "never"], tmp_path: Path
) -> None:
    folder = odd_shop(tmp_path / "odd", **shop)
    train(TrainConfig(shop=folder, min_buyers=1, networks=networks, **places(tmp_path)))
    with open_store(str(places(tmp_path)["store"]), read_only=True) as store:
        related = store.read_results("RELATED", "odd")
    assert related["weight"].is_finite().all()
    shares = related.select(pl.sum_horizontal(SHARES)).to_series()
    assert shares.to_list() == pytest.approx(related["weight"].to_list(), abs=1e-6)
