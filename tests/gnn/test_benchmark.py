"""The table is what each model gives by itself; what is finished is kept; what cannot be fitted is a row."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from gnn.ablate import ABLATIONS
from gnn.benchmark import BenchmarkConfig, benchmark
from gnn.benchmark_folder import BenchmarkFolder
from gnn.benchmark_report import as_markdown
from gnn.calibration import Bin, Reliability
from gnn.cartograph import Cartograph
from gnn.compare import compare
from gnn.comparison import TABLE, Benchmark, ModelRow, with_comparisons
from gnn.config import HistoryConfig, NetworkConfig, SplitConfig
from gnn.ease import EASE
from gnn.evaluate import evaluate
from gnn.history import Weighing
from gnn.measured import MEASURE, Fit, Measured
from gnn.metrics import Mean, mean
from gnn.model import Content, Model, Space
from gnn.neighbours import ItemKNN
from gnn.network_alone import GraphNetworkAlone
from gnn.popularity import Popularity
from gnn.ranking import Recommender
from gnn.split import split_purchases
from gnn.task import Task, make_task
from gnn.tune import ListModels
from kg.graph import Graph
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import graph_of
from tests.gnn.test_bad_input import refused, run

ROOT = Path(__file__).parents[2]
GRAPH = graph_of(synthetic_shop())
NAMES = ["popularity", "ItemKNN", "EASE", "graph network alone", "closed form", "Cartograph"]


def settings_in(folder: Path) -> Path:
    """Write settings under which the planted shop's content and times, of which it has little to say, count little."""
    weights = ("brand", "category", "words", "meaning", "links.ALSO_VIEWED")
    settings = {f"closed_form.{name}": 0.05 for name in weights} | {"closed_form.ridge": 20.0, "related.trend": 0.0}
    folder.mkdir()
    (folder / "tuned.json").write_text(json.dumps({"closed form": {"settings": settings}}))
    return folder


def six_models(graph: Graph, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
    ours = Cartograph(repeat=repeat).for_graph(graph, timed=times_known)
    network = GraphNetworkAlone(NetworkConfig(dimension=8), epochs=1)
    return (Popularity(), ItemKNN(), EASE(), network, ours.closed_form_alone, ours)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished benchmark of six models."""
    place = tmp_path_factory.mktemp("runs")
    config = BenchmarkConfig(
        shop="synthetic",
        tuned=str(settings_in(place / "tuned")),
        seeds=2,
        folder=str(place / "bench"),
        cache=str(place / "text"),
    )
    benchmark(config, six_models)
    return place / "bench"


@pytest.fixture(scope="module")
def found(folder: Path) -> Benchmark:
    return BenchmarkFolder.open(str(folder)).benchmark()


def on_test(row: ModelRow) -> Measured:
    assert row.test is not None
    return row.test


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the check of continuous integration on a benchmark."""
    words = [sys.executable, str(ROOT / ".ci" / "check_benchmark.py"), str(folder)]
    return subprocess.run(words, cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)


def row_of(found: Benchmark, name: str, group: str = TABLE) -> ModelRow:
    (row,) = (each for each in found.group(group) if each.name == name)
    return row


def tasks() -> tuple[Task, Task]:
    split = split_purchases(GRAPH, SplitConfig(), seed=0)
    past, final = (
        make_task(
            name,
            GRAPH,
            known=known,
            later=later,
            weighing=Weighing.of(HistoryConfig(), times_known=True),
            now=now,
            min_buyers=5,
        )
        for name, known, later, now in (
            ("validation", split.past, split.validation, split.validation_from),
            ("test", split.before_test, split.test, split.test_from),
        )
    )
    return past, final


# The table


@pytest.mark.parametrize("model", [Popularity(), ItemKNN(), EASE()], ids=lambda model: model.name)
def test_a_row_is_what_the_model_gives_by_itself(model: Model, found: Benchmark) -> None:
    content = Content(GRAPH, np.zeros((len(GRAPH.products), 0), np.float32), True, torch.device("cpu"))  # noqa: FBT003
    row = row_of(found, model.name)
    for task, measured in zip(tasks(), (row.validation, row.test), strict=True):
        assert measured is not None
        alone = evaluate(model.fit(task, content, seed=0), task)
        for name in ("NDCG@10", "Recall@10", "HitRate@10", "Precision@10", "MRR@10"):
            assert asdict(measured.measures[name]) == pytest.approx(asdict(alone.measures[name]))
        assert measured.fits[0].seconds >= 0
        assert len(measured.fits) == 1


def test_every_model_is_a_row_and_its_slices_have_the_same_pairs(found: Benchmark) -> None:
    assert [row.name for row in found.group(TABLE)] == NAMES
    for row in found.group(TABLE):
        pairs = on_test(row).by_buyers
        assert set(pairs) == {"0 buyers", "1-5 buyers", "6-20 buyers", "over 20 buyers", "tail (at most 5 buyers)"}
        assert on_test(row).by_purchases["10 or more products bought"].users > 0
        assert {"Coverage@10", "Gini@10", "PopularityLift@10"} == set(on_test(row).of_all)


def test_where_chance_plays_a_part_the_mean_over_seeds_is_shown_for_each_user(folder: Path, found: Benchmark) -> None:
    network = on_test(row_of(found, "graph network alone"))
    assert [fit.seed for fit in network.fits] == [0, 1]
    assert network.spread == pytest.approx(np.std([fit.ndcg for fit in network.fits], ddof=1))
    assert network.measures[MEASURE].value == pytest.approx(np.mean([fit.ndcg for fit in network.fits]))
    own = BenchmarkFolder(folder).per_user(row_of(found, "graph network alone"))
    assert mean(own[MEASURE]) == network.measures[MEASURE]
    assert math.isnan(on_test(row_of(found, "closed form")).spread)


def test_ours_is_compared_user_by_user_with_each_other_row(folder: Path, found: Benchmark) -> None:
    kept = BenchmarkFolder(folder)
    ours = kept.per_user(row_of(found, "Cartograph"))[MEASURE]
    corrected = []
    for name in NAMES[:-1]:
        compared = row_of(found, name).compared
        assert compared is not None
        again = compare(ours, kept.per_user(row_of(found, name))[MEASURE], seed=0)
        # A row without a difference has no p of the t-test.
        assert repr(compared.comparison) == repr(again)
        assert compared.p_holm >= compared.comparison.p
        corrected.append(compared.p_holm)
    assert row_of(found, "Cartograph").compared is None
    assert min(corrected) < 0.01, "it is clearly better than popularity"


def test_on_the_planted_shop_ours_is_at_least_as_good_as_the_best_baseline_within_noise(folder: Path) -> None:
    done = checked(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Cartograph ")


def test_the_check_fails_where_ours_is_worse_by_more_than_noise(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "bench")
    file = tmp_path / "bench" / "benchmark.json"
    values = json.loads(file.read_text())
    for row in values["rows"]:
        if row["compared"]:
            row["compared"]["comparison"]["interval"] = {"low": -0.03, "high": -0.01}
    file.write_text(json.dumps(values))
    done = checked(tmp_path / "bench")
    assert done.returncode == 1
    assert "by more than the 95 % interval of their difference" in done.stderr


def test_what_was_found_for_the_closed_form_is_what_ours_has_too(found: Benchmark) -> None:
    for name in ("closed form", "Cartograph"):
        assert row_of(found, name).settings["closed_form"]["links"] == {"ALSO_VIEWED": 0.05}
        assert row_of(found, name).settings["closed_form"]["ridge"] == 20.0


def test_networks_that_do_not_help_on_validation_are_left_out_and_the_page_says_so(
    folder: Path, found: Benchmark
) -> None:
    kept = json.loads((folder / "networks.json").read_text())
    helps, why = kept["helps"], kept["why"]
    assert found.facts["networks, on validation"] == why
    assert why.startswith("left out: NDCG@10 "), "162 users are too few to tell"
    assert not helps
    ours, closed = (on_test(row_of(found, name)) for name in ("Cartograph", "closed form"))
    assert repr(ours.measures) == repr(closed.measures)
    assert len(ours.fits) == 1


# The graph, the cold, and what scores say


def test_every_ablation_is_a_row_and_the_whole_graph_is_the_row_of_the_table(found: Benchmark) -> None:
    rows = found.group("ablation of closed form")
    assert [row.name for row in rows] == list(ABLATIONS)
    assert repr(rows[-1].test) == repr(row_of(found, "closed form").test)
    assert all(row.compared for row in rows[:-1])
    assert len({on_test(row).measures[MEASURE].value for row in rows}) == len(rows)


def test_cold_products_and_cold_users_are_asked_of_ours_and_of_what_knows_only_content(found: Benchmark) -> None:
    groups = [group for group in found.groups if group.startswith("cold")]
    assert groups == [
        "cold products, all to choose from",
        "cold products, among themselves",
        *(f"cold users, first {count} shown" for count in (1, 2, 3)),
    ]
    for group in groups:
        names = [row.name for row in found.group(group)]
        assert names == ["popularity in category", "text alone", "closed form", "Cartograph"]
    cold = on_test(row_of(found, "closed form", "cold products, among themselves"))
    assert cold.by_buyers["0 buyers"].users > 0
    assert cold.by_buyers["over 20 buyers"].users == 0


def test_scores_become_probabilities_by_validation_and_are_believed_by_test(found: Benchmark) -> None:
    believed = row_of(found, "EASE").reliability
    assert believed is not None
    bought = sum(each.pairs * each.bought for each in believed.curve)
    hits = on_test(row_of(found, "EASE")).measures["Precision@10"]
    assert bought == pytest.approx(10 * hits.value * hits.users), "all hits stand in the lists of users who bought"
    assert 0 <= believed.error < 0.1


# The folder


def test_everything_is_there_to_be_read(folder: Path, found: Benchmark) -> None:
    names = {"benchmark.json", "benchmark.md", "config.json", "manifest.json", "comparison.png", "slices.png"}
    assert names | {"ablation-of-closed-form.png", "reliability.png"} <= {file.name for file in folder.iterdir()}
    assert not list(folder.parent.glob(".*.part"))
    page = (folder / "benchmark.md").read_text()
    assert page == as_markdown(found)
    for name in [*NAMES, *ABLATIONS, "text alone", "popularity in category"]:
        assert f"\n| {name} | " in page
    assert json.loads((folder / "config.json").read_text())["seeds"] == 2
    assert len(json.loads((folder / "manifest.json").read_text())["facts"]["graph"]) == 32


def test_a_row_comes_back_from_json_as_it_was_and_nan_is_no_word_of_json() -> None:
    nothing = Mean(float("nan"), float("nan"), 0)
    one = Measured(
        {MEASURE: Mean(0.5, 0.1, 4)},
        {"Gini@10": float("nan")},
        {"0 buyers": nothing},
        {"0 products bought": nothing},
        (Fit(seed=3, seconds=1.5, memory_mb=float("nan"), ndcg=0.5),),
    )
    believed = Reliability((Bin(pairs=3, expected=0.1, bought=0.2),), error=0.1, brier=0.2, brier_of_base_rate=0.3)
    row = ModelRow(TABLE, "one", {"links": {"A": 1.0}}, "abc", one, one, believed)
    (compared, _) = with_comparisons(
        [row, replace(row, name="two")],
        {"one": {MEASURE: np.array([0.5, np.nan])}, "two": {MEASURE: np.array([1.0, np.nan])}},
        by="two",
        seed=0,
    )
    assert compared.compared is not None
    assert compared.compared.comparison.difference == 0.5
    whole = Benchmark("hand", {"split": "by time"}, (compared, replace(row, test=None, left_out="too large")))
    text = json.dumps(whole.to_json(), allow_nan=False)
    again = Benchmark.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert repr(again) == repr(whole)


class NothingSearched:
    """The part of a model that has no settings to search."""

    @property
    def space(self) -> Space:
        return {}


@dataclass(frozen=True)
class Noted(NothingSearched):
    """Popularity that notes what it is fitted to, and may break at its n-th fit."""

    file: str
    name: str = "noted"
    breaks_at: int = field(default=10**6, compare=False)

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        with Path(self.file).open("a") as notes:
            notes.write(f"{self.name} {task.name} {len(task.known)}\n")
        if len(Path(self.file).read_text().splitlines()) == self.breaks_at:
            raise KeyboardInterrupt
        return replace(Popularity().fit(task, content, seed=seed), name=self.name)


@dataclass(frozen=True)
class TooLarge(NothingSearched):
    """A model that no shop is small enough for."""

    name: str = "too large"

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        raise InputError(f"{len(task.products)} products are too many for it, seed {seed}, {content.times_known}")


@dataclass(frozen=True)
class AfterRow(NothingSearched):
    """A model that may wait until the row of another one is kept."""

    place: str
    row: str

    def wait_for_row(self) -> None:
        until = time.monotonic() + 60
        while not any(Path(self.place).rglob(f"*{self.row}*.json")):
            assert time.monotonic() < until
            time.sleep(0.1)


@dataclass(frozen=True)
class Ended(AfterRow):
    """Its fit ends the process that makes it, as the system does where memory is out, once a row is kept."""

    name: str = "ended"

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        self.wait_for_row()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(f"{task.name} by seed {seed}, times known {content.times_known}: not ended")


@dataclass(frozen=True)
class Waits(AfterRow):
    """Popularity that, before the test part, waits until the row of a model after it is kept."""

    name: str = "waits"

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        if task.name == "test":
            self.wait_for_row()
        return replace(Popularity().fit(task, content, seed=seed), name=self.name)


def two(file: Path, *, breaks_at: int = 10**6) -> ListModels:
    def models(_graph: Graph, /, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
        assert times_known
        assert not repeat
        return (Noted(str(file), "first"), TooLarge(), Noted(str(file), "second", breaks_at))

    return models


def small(place: Path, /, **changes: object) -> BenchmarkConfig:
    config = BenchmarkConfig(
        shop="synthetic", parts=("table",), folder=str(place / "bench"), cache=str(place / "text"), users_share=0.5
    )
    return replace(config, **changes)


def test_a_killed_benchmark_goes_on_with_what_is_missing_and_the_test_part_is_read_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with pytest.raises(KeyboardInterrupt):
        benchmark(small(tmp_path), two(notes, breaks_at=4))
    assert not (tmp_path / "bench").exists()
    before = notes.read_text().splitlines()
    # The first model is whole; of the second only the fit to the past, the one to all before test was broken off.
    assert [line.rsplit(" ", 1)[0] for line in before] == [
        f"{name} {task}" for name in ("first", "second") for task in ("validation", "test")
    ]
    gone_on = benchmark(small(tmp_path), two(notes))
    assert notes.read_text().splitlines()[4:] == before[2:]
    shutil.rmtree(tmp_path / "bench")
    whole = benchmark(small(tmp_path), two(notes))
    assert [on_test(row).measures for row in gone_on.group(TABLE)] == [
        on_test(row).measures for row in whole.group(TABLE)
    ]


def test_the_test_part_is_read_after_a_fit_to_all_that_is_before_it(tmp_path: Path) -> None:
    benchmark(small(tmp_path, users_share=1.0, model=("first",)), two(tmp_path / "notes"))
    split = split_purchases(GRAPH, SplitConfig(), seed=0)
    assert (tmp_path / "notes").read_text().splitlines() == [
        f"first validation {len(split.past)}",
        f"first test {len(split.before_test)}",
    ]


def test_a_finished_benchmark_is_not_fitted_again_and_may_be_added_to(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    benchmark(small(tmp_path, model=("first",)), two(notes))
    both = benchmark(small(tmp_path), two(notes))
    assert [line.split()[0] for line in notes.read_text().splitlines()] == ["first", "first", "second", "second"]
    assert [row.name for row in both.group(TABLE)] == ["first", "second"]


def test_a_model_that_cannot_be_fitted_is_a_row_that_says_why(tmp_path: Path) -> None:
    found = benchmark(small(tmp_path), two(tmp_path / "notes"))
    (row,) = (row for row in found.rows if row.name == "too large")
    assert row.left_out is not None
    assert "products are too many for it" in row.left_out
    assert f"- too large (table): {row.left_out}" in (tmp_path / "bench" / "benchmark.md").read_text()


def test_fits_at_once_are_those_one_after_the_other(tmp_path: Path) -> None:
    def models(_graph: Graph, /, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
        assert times_known
        assert not repeat
        return (EASE(), GraphNetworkAlone(NetworkConfig(dimension=8), epochs=1), TooLarge())

    (tmp_path / "alone").mkdir()
    alone = benchmark(small(tmp_path / "alone", seeds=3), models)
    (tmp_path / "at once").mkdir()
    at_once = benchmark(small(tmp_path / "at once", seeds=3, jobs=2), models)
    assert [row.left_out for row in at_once.rows] == [row.left_out for row in alone.rows]
    for one, other in zip(alone.group(TABLE), at_once.group(TABLE), strict=True):
        assert (one.name, one.settings) == (other.name, other.settings)
        for part in ("test", "validation"):
            first, second = getattr(one, part), getattr(other, part)
            assert [fit.seed for fit in first.fits] == [fit.seed for fit in second.fits]
            # Sums of fewer threads differ in their last digits.
            assert [fit.ndcg for fit in first.fits] == pytest.approx([fit.ndcg for fit in second.fits], abs=1e-3)
            assert ({fit.at_once for fit in first.fits}, {fit.at_once for fit in second.fits}) == ({1}, {2})
    assert "| fits | at once |" in (tmp_path / "at once" / "bench" / "benchmark.md").read_text()
    assert "at once |" not in (tmp_path / "alone" / "bench" / "benchmark.md").read_text()


def test_the_next_model_is_fitted_and_kept_while_the_last_fit_of_one_is_made(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    def models(_graph: Graph, /, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
        assert times_known
        assert not repeat
        return (Waits(str(tmp_path), "after"), Noted(str(notes), "after"))

    found = benchmark(small(tmp_path, jobs=2), models)
    waited, after = found.group(TABLE)
    assert (waited.name, after.name) == ("waits", "after")
    # Popularity both, fitted to the same.
    assert waited.test is not None
    assert after.test is not None
    assert waited.test.measures == after.test.measures
    assert len(notes.read_text().splitlines()) == 2


def test_a_process_that_is_ended_ends_the_command_and_what_is_finished_is_kept(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    def models(_graph: Graph, /, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
        assert times_known
        assert not repeat
        return (Noted(str(notes), "first"), Ended(str(tmp_path), "first"), Noted(str(notes), "last"))

    with pytest.raises(InputError, match=r"came to its end, perhaps for want of memory .* fewer --jobs"):
        benchmark(small(tmp_path, jobs=2), models)
    found = benchmark(small(tmp_path, jobs=2, model=("first", "last")), models)
    assert [row.name for row in found.group(TABLE)] == ["first", "last"]
    assert sorted(line.split()[0] for line in notes.read_text().splitlines()) == ["first", "first", "last", "last"]


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_where_the_command_ends_its_processes_do(tmp_path: Path, sign: signal.Signals, code: int) -> None:
    words = ("--shop", "synthetic", "--parts", "table", "--model", "LightGCN", "--jobs", "2", "--cache", "text")
    command = subprocess.Popen(
        [sys.executable, "-m", "gnn.benchmark", *words, "--folder", str(tmp_path / "bench")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")

    def workers() -> list[int]:
        """Return the processes that fit, which have begun threads: the pool has two, and one that counts resources."""
        found = [int(each) for each in children.read_text().split()]
        return [each for each in found if len(list(Path(f"/proc/{each}/task").iterdir())) > 2]

    until = time.monotonic() + 300
    while len(begun := workers()) < 2:
        assert command.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    command.send_signal(sign)
    _, printed = command.communicate(timeout=60)
    assert command.returncode == code
    # Where it is killed, a process that had not wholly begun says so; there is nobody left to keep it from that.
    if sign is signal.SIGINT:
        assert printed.decode() == "error: stopped by Ctrl-C; no half-written file was kept\n"
    until = time.monotonic() + 60
    while any(is_running(each) for each in begun):
        assert time.monotonic() < until
        time.sleep(0.1)


def is_running(process: int) -> bool:
    """Return whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_settings_are_searched_first_where_a_budget_is_given(tmp_path: Path) -> None:
    config = small(tmp_path, trials=2, parts=("table",), model=("popularity", "ItemKNN", "EASE"))
    found = benchmark(config, six_models)
    tuned = json.loads((tmp_path / "bench" / "tuned.json").read_text())
    assert set(tuned) == {"popularity", "ItemKNN", "EASE"}
    assert tuned["EASE"]["trials"] == 2
    assert row_of(found, "EASE").settings == {"ridge": tuned["EASE"]["settings"]["ridge"]}
    assert "2 trials for each model" in found.facts["settings"]


def test_a_sample_of_the_users_is_another_graph(tmp_path: Path) -> None:
    found = benchmark(small(tmp_path), two(tmp_path / "notes"))
    assert found.facts["graph"].startswith("100 users, ")
    assert found.facts["graph"].endswith("a sample of 50 % of the users")


def test_a_folder_of_another_benchmark_is_refused(tmp_path: Path) -> None:
    benchmark(small(tmp_path), two(tmp_path / "notes"))
    with pytest.raises(InputError, match=r"holds a benchmark with another seeds \(3, now 1\); delete it and"):
        benchmark(small(tmp_path, seeds=1), two(tmp_path / "notes"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="mine' is there and is no benchmark, so it is not replaced; give another"):
        benchmark(small(tmp_path, folder=str(tmp_path / "mine")), two(tmp_path / "notes"))


def test_a_row_that_is_not_of_this_version_is_one_sentence(tmp_path: Path) -> None:
    benchmark(small(tmp_path), two(tmp_path / "notes"))
    file = tmp_path / "bench" / "rows" / "table-first.json"
    file.write_text('{"group": "table"}')
    with pytest.raises(InputError, match=r"table-first.json' is not of this version \(KeyError: "):
        benchmark(small(tmp_path), two(tmp_path / "notes"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "magic"), "no model 'magic'; there are 'popularity', "),
        (("--tuned", "nowhere"), "no tuned.json in 'nowhere'; make it by python -m gnn.tune"),
        (("--seeds", "0"), "seeds is 0; give 1 or more"),
        (("--jobs", "0"), "jobs is 0; give 1 or more"),
        (("--trials", "0"), "trials is 0; give 1 or more"),
        (("--trials", "2", "--tuned", "x"), "settings are given or searched; leave out --tuned, or --trials"),
        (("--users-share", "2"), "users_share is 2.0; give more than 0 and at most 1"),
        (("--split.test-from", "2030-01-01"), "nothing can be compared on it; give an earlier --split.test-from"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    place = ("--folder", str(tmp_path / "bench"), "--cache", str(tmp_path / "text"))
    refused(run("gnn.benchmark", "--shop", "synthetic", *place, *words), sentence)
    assert list(tmp_path.iterdir()) == []


def test_no_benchmark_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no benchmark in .*; make it by python -m gnn.benchmark"):
        BenchmarkFolder.open(str(tmp_path))


def test_users_numbers_are_plain_arrays(folder: Path) -> None:
    with np.load(folder / "rows" / "table-EASE.npz", allow_pickle=False) as numbers:
        assert set(numbers.files) >= {"NDCG@10", "Recall@10, 1-5 buyers", "Novelty@10"}
        assert numbers["NDCG@10"].shape == (len(GRAPH.users),)
        assert pl.Series(numbers["NDCG@10"]).is_nan().sum() < len(GRAPH.users)
