"""A hill whose top is known: it is found, a killed search goes on, and two processes share one."""

# ruff: noqa: ARG002, ARG005 (what a planted model is given and does not need)

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import optuna
import polars as pl
import pytest
from jaxtyping import Float, Int
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from gnn.model import Content, Model, Range, Space
from gnn.ranking import Recommender
from gnn.search import search
from gnn.task import Task
from gnn.tune import TuneConfig, tune
from gnn.tuned import (
    NetworksFound,
    apply_tuned,
    fitting_tuned,
    load_networks,
    load_tuned,
    save_networks,
    with_settings,
)
from kg.graph import Graph
from loaders.errors import InputError
from loaders.synthetic import synthetic_shop
from tests.gnn.shops import graph_of
from tests.gnn.test_bad_input import refused, run

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Foot:
    """A group of settings inside another."""

    width: float = 1.0
    depth: float = 7.0


@dataclass(frozen=True)
class Hill:
    """A model that is scored by its settings alone: highest, 0, at x = 2, steps = 8, side = north and width = 100."""

    x: float = -4.0
    steps: int = 1
    side: str = "south"
    foot: Foot = field(default_factory=Foot)
    name: str = "Hill"

    @property
    def space(self) -> Space:
        return {
            "x": Range(-5.0, 5.0),
            "steps": Range(1.0, 16.0, whole=True),
            "side": ("south", "north"),
            "foot.width": Range(0.1, 1000.0, log=True),
        }

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        raise NotImplementedError


@dataclass(frozen=True)
class Switch:
    """A model with three possible settings."""

    way: str = "worst"
    name: str = "Switch"

    @property
    def space(self) -> Space:
        return {"way": ("worst", "middle", "best")}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        raise NotImplementedError


def height(model: Model) -> float:
    assert isinstance(model, Hill)
    away = abs(model.x - 2) + abs(model.steps - 8) / 4 + abs(math.log10(model.foot.width) - 2)
    return -away - (model.side == "south")


def climb(study: Path, *, trials: int, score: Callable[[Model], float] = height, seed: int = 0) -> float:
    return search(Hill(), score, trials=trials, minutes=None, study=study, seed=seed).score


def trials_of(study: Path) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(study)))
    return optuna.load_study(storage=storage, study_name="search").trials


def finished_settings(study: Path) -> list[dict[str, object]]:
    return [dict(trial.params) for trial in trials_of(study) if trial.state in FINISHED]


def climb_until_stuck(study: str, log: str) -> None:
    """Climb in a process of its own, and never come back from the fourth trial."""

    def noted(model: Model) -> float:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write("scored\n")
        if Path(log).read_text().count("\n") == 4:
            time.sleep(3600)
        return height(model)

    climb(Path(study), trials=24, score=noted)


def climb_together(study: str, log: str, meeting: Barrier) -> None:
    """Climb in a process of its own; its first trial waits for that of the other process."""
    met: list[int] = []

    def noted(model: Model) -> float:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {model!r}\n")
        if not met:
            met.append(meeting.wait(timeout=600))
        return height(model)

    climb(Path(study), trials=24, score=noted)


def test_the_top_of_the_hill_is_found(tmp_path: Path) -> None:
    found = search(Hill(), height, trials=120, minutes=None, study=tmp_path / "s", seed=0)
    assert found.score > -0.6
    assert isinstance(found.model, Hill)
    assert height(found.model) == found.score
    assert found.settings["side"] == "north"
    assert found.model.foot.depth == 7
    assert (found.trials, found.refused) == (120, 0)


def test_the_first_trial_is_the_models_own_settings(tmp_path: Path) -> None:
    found = search(Hill(), height, trials=1, minutes=None, study=tmp_path / "s", seed=0)
    assert found.model == Hill()
    assert found.score == found.default == height(Hill())
    assert finished_settings(tmp_path / "s") == [{"x": -4.0, "steps": 1, "side": "south", "foot.width": 1.0}]


@dataclass(frozen=True)
class TwoParts(Hill):
    """The same hill, climbed in two parts."""

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        return (("x", "steps"), ("side", "foot.width"))


def test_a_step_changes_one_part_of_the_model(tmp_path: Path) -> None:
    found = search(TwoParts(), height, trials=60, minutes=None, study=tmp_path / "s", seed=0)
    assert found.score > -1.5
    trials = [(trial.params, trial.value or 0.0) for trial in trials_of(tmp_path / "s") if trial.state in FINISHED]
    changed = []
    for number, (params, _) in enumerate(trials):
        # Each sixteenth is drawn from everywhere, the first among them.
        if number % 16:
            best = max(trials[:number], key=lambda each: each[1])[0]
            changed.append({name for name, value in params.items() if value != best[name]})
    assert all(names <= {"x", "steps"} or names <= {"side", "foot.width"} for names in changed)
    for trials_so_far in (3, 20, 60):
        search(TwoParts(), height, trials=trials_so_far, minutes=None, study=tmp_path / "parts", seed=0)
    assert finished_settings(tmp_path / "parts") == finished_settings(tmp_path / "s")
    later = sum(names <= {"side", "foot.width"} for names in changed)
    assert 0.65 < later / len(changed) < 0.95


def test_a_search_that_goes_on_tries_what_an_uninterrupted_one_tries(tmp_path: Path) -> None:
    climb(tmp_path / "whole", trials=25)
    for trials in (3, 14, 14, 25):
        climb(tmp_path / "parts", trials=trials)
    assert finished_settings(tmp_path / "parts") == finished_settings(tmp_path / "whole")
    assert len(finished_settings(tmp_path / "parts")) == 25


def test_another_seed_tries_other_settings(tmp_path: Path) -> None:
    for seed in (0, 1):
        climb(tmp_path / str(seed), trials=4, seed=seed)
    assert finished_settings(tmp_path / "0")[1:] != finished_settings(tmp_path / "1")[1:]


def test_a_killed_search_goes_on_and_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = multiprocessing.get_context("spawn").Process(
        target=climb_until_stuck, args=(str(tmp_path / "killed"), str(log))
    )
    process.start()
    end = time.monotonic() + 600
    while (not log.exists() or log.read_text().count("\n") < 4) and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert [trial.state for trial in trials_of(tmp_path / "killed")] == [*[TrialState.COMPLETE] * 3, TrialState.RUNNING]
    climb(tmp_path / "killed", trials=24)
    climb(tmp_path / "whole", trials=24)
    assert finished_settings(tmp_path / "killed") == finished_settings(tmp_path / "whole")


def test_two_processes_share_the_trials_of_one_search(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path / "s"), str(tmp_path / "log"), context.Barrier(2))
    processes = [context.Process(target=climb_together, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    scored = (tmp_path / "log").read_text().splitlines()
    assert len(scored) == 24
    assert len({line.partition(" ")[2] for line in scored}) == 24
    assert len({line.partition(" ")[0] for line in scored}) == 2
    # A draw of what was tried before is given up, and another drawn.
    states = [trial.state for trial in trials_of(tmp_path / "s") if trial.state != TrialState.FAIL]
    assert states == [TrialState.COMPLETE] * 24


def test_an_error_of_ours_leaves_the_search_as_if_the_trial_had_not_been(tmp_path: Path) -> None:
    def breaking(model: Model) -> float:
        if height(model) > height(Hill()):
            raise KeyboardInterrupt
        return height(model)

    with pytest.raises(KeyboardInterrupt):
        climb(tmp_path / "s", trials=12, score=breaking)
    climb(tmp_path / "s", trials=12)
    climb(tmp_path / "whole", trials=12)
    assert finished_settings(tmp_path / "s") == finished_settings(tmp_path / "whole")


def test_settings_that_cannot_be_fitted_are_passed_over_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def partly(model: Model) -> float:
        assert isinstance(model, Hill)
        if model.side == "south":
            raise InputError("the south is too steep")
        return math.nan if model.x < 0 else height(model)

    found = search(Hill(), partly, trials=30, minutes=None, study=tmp_path / "s", seed=0)
    states = [trial.state for trial in trials_of(tmp_path / "s")]
    assert found.default is None
    assert found.refused == states.count(TrialState.PRUNED) > 0
    assert found.settings["side"] == "north"
    said = capsys.readouterr().out
    assert "Hill with x -4, steps 1, side south, foot.width 1 is passed over: the south is too steep" in said
    assert "is passed over: the score is nan" in said


def test_a_space_of_three_is_searched_through_once(tmp_path: Path) -> None:
    scored: list[str] = []

    def note(model: Model) -> float:
        assert isinstance(model, Switch)
        scored.append(model.way)
        return {"worst": 0.1, "middle": 0.2, "best": 0.3}[model.way]

    found = search(Switch(), note, trials=50, minutes=None, study=tmp_path / "s", seed=0)
    assert scored[0] == "worst"
    assert sorted(scored) == ["best", "middle", "worst"]
    assert (found.settings, found.score, found.trials) == ({"way": "best"}, 0.3, 3)


def test_of_equal_scores_the_models_own_settings_stay(tmp_path: Path) -> None:
    found = search(Hill(), lambda _: 1.0, trials=12, minutes=None, study=tmp_path / "s", seed=0)
    assert found.model == Hill()


def test_minutes_end_a_search_and_count_what_was_spent_before(tmp_path: Path) -> None:
    def slow(model: Model) -> float:
        time.sleep(0.1)
        return height(model)

    first = search(Hill(), slow, trials=None, minutes=0.01, study=tmp_path / "s", seed=0)
    again = search(Hill(), slow, trials=None, minutes=0.01, study=tmp_path / "s", seed=0)
    assert 2 <= first.trials <= 6
    assert again.trials == first.trials
    assert first.seconds >= 0.6


def test_a_dotted_name_reaches_a_setting_inside_another() -> None:
    changed = with_settings(Hill(), {"x": 1.5, "foot.width": 3.0, "foot.depth": 4.0})
    assert changed == Hill(x=1.5, foot=Foot(width=3.0, depth=4.0))
    assert Hill().foot == Foot()


def test_a_setting_that_a_model_lacks_is_one_sentence() -> None:
    with pytest.raises(InputError, match="Hill has no setting 'y'; it has x, steps, side, foot, name"):
        with_settings(Hill(), {"y": 1.0})
    with pytest.raises(InputError, match="Foot has no setting 'height'; it has width, depth"):
        with_settings(Hill(), {"foot.height": 1.0})


def test_a_default_outside_of_its_space_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Hill: its own x, 9\.0, is outside of its space"):
        search(Hill(x=9.0), height, trials=1, minutes=None, study=tmp_path / "s", seed=0)


@pytest.mark.parametrize(
    ("trials", "minutes", "sentence"),
    [
        (None, None, "a search needs an end; give --trials or --minutes"),
        (0, None, "trials is 0; give 1 or more"),
        (-3, 1.0, "trials is -3; give 1 or more"),
        (None, 0.0, "minutes is 0.0; give a number above 0"),
        (None, math.nan, "minutes is nan; give a number above 0"),
    ],
)
def test_a_search_without_an_end_is_refused(
    tmp_path: Path, trials: int | None, minutes: float | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        search(Hill(), height, trials=trials, minutes=minutes, study=tmp_path / "s", seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_study_of_another_model_or_of_other_facts_is_refused(tmp_path: Path) -> None:
    climb(tmp_path / "s", trials=2)
    with pytest.raises(InputError, match=r"is a search with another model \('Hill', now 'Switch'\); delete it"):
        search(Switch(), lambda _: 0.0, trials=2, minutes=None, study=tmp_path / "s", seed=0)
    with pytest.raises(InputError, match=r"is a search with another settings .*'depth': 7.0.*'depth': 8.0"):
        search(Hill(foot=Foot(depth=8.0)), height, trials=2, minutes=None, study=tmp_path / "s", seed=0)
    with pytest.raises(InputError, match=r"is a search with another graph \(None, now 'abc'\)"):
        search(Hill(), height, trials=2, minutes=None, study=tmp_path / "s", seed=0, facts={"graph": "abc"})


def test_other_defaults_of_searched_settings_are_tried_in_the_same_study(tmp_path: Path) -> None:
    climb(tmp_path / "s", trials=3)
    found = search(Hill(x=2.0), height, trials=4, minutes=None, study=tmp_path / "s", seed=0)
    assert finished_settings(tmp_path / "s")[3]["x"] == 2.0
    assert found.default == height(Hill(x=2.0))


@pytest.mark.parametrize("content", ["nonsense\n", "{}\n", '{"op_code": 0', "[1]\n"])
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "s").write_text(content)
    with pytest.raises(InputError, match=r"holds no search \(.*\); delete it, or give another --folder"):
        climb(tmp_path / "s", trials=2)
    assert (tmp_path / "s").read_text() == content


def test_where_nothing_can_be_fitted_the_first_reason_is_given(tmp_path: Path) -> None:
    def never(model: Model) -> float:
        raise InputError(f"{model.name} is closed")

    with pytest.raises(
        InputError, match="could be fitted with none of the 3 settings tried; the first time: Hill is c"
    ):
        climb(tmp_path / "s", trials=3, score=never)


# The command


@dataclass(frozen=True)
class Counted:
    """Products by their number of buyers."""

    name: str
    buyers: Float[np.ndarray, " products"]

    def scores(self, users: Int[np.ndarray, " users"]) -> Float[np.ndarray, "users products"]:
        return np.tile(self.buyers, (len(users), 1))


@dataclass(frozen=True)
class Buyers:
    """Ranks by (buyers ^ power): any power above 0 is best, and all of those are equal."""

    power: float = -1.0
    name: str = "Buyers"

    @property
    def space(self) -> Space:
        return {"power": (-1.0, 1.0)}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        return Counted(self.name, (task.bought.sum(0) + 1.0) ** self.power)


@dataclass(frozen=True)
class Reader:
    """Reads the texts."""

    name: str = "Reader"

    @property
    def space(self) -> Space:
        return {}

    def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
        return Counted(self.name, content.text[task.products].sum(1).astype(np.float64))


def models(_graph: Graph, *, times_known: bool, repeat: bool) -> tuple[Model, ...]:
    return (Buyers(), Reader(), *([Switch()] if repeat and times_known else []))


def config_in(place: Path, /, **changes: object) -> TuneConfig:
    config = TuneConfig(shop="synthetic", trials=2, folder=str(place / "tune"), cache=str(place / "text"), min_buyers=1)
    return replace(config, **changes)


def test_the_command_writes_what_it_found_for_each_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tune(config_in(tmp_path), models)
    assert found["Buyers"].score > (found["Buyers"].default or 0) > 0
    assert load_tuned(tmp_path / "tune") == {"Buyers": {"power": 1.0}, "Reader": {}}
    entry = json.loads((tmp_path / "tune" / "tuned.json").read_text())["Buyers"]
    assert entry["score"] == found["Buyers"].score
    assert entry["trials"] == 2
    assert entry["split"] == "by time"
    assert len(entry["graph"]) == 32
    assert "| Buyers |" in capsys.readouterr().out
    plain = models(graph_of(synthetic_shop()), times_known=True, repeat=False)
    assert apply_tuned(plain, load_tuned(tmp_path / "tune"))[0] == Buyers(power=1.0)


def test_texts_are_encoded_only_for_a_model_that_reads_them(tmp_path: Path) -> None:
    tune(config_in(tmp_path, model=("Buyers",)), models)
    assert not (tmp_path / "text").exists()
    tune(config_in(tmp_path, model=("Reader",)), models)
    assert len(list((tmp_path / "text").iterdir())) == 1
    assert set(load_tuned(tmp_path / "tune")) == {"Buyers", "Reader"}


def test_the_test_part_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = []
    for kept in (1.0, 0.0):
        shop = tmp_path / f"shop{kept:g}"
        shop.mkdir()
        rng = np.random.default_rng(0)
        bought = pl.DataFrame({"user_id": rng.integers(0, 30, 400), "product_id": rng.integers(0, 20, 400) // 2})
        folds = np.where(np.arange(400) < 300, "train", np.where(np.arange(400) < 350, "validation", "test"))
        bought = bought.with_columns(fold=pl.Series(folds), at=pl.Series(np.arange(400)) + 1_000_000)
        if not kept:
            bought = bought.with_columns(
                product_id=pl.when(pl.col("fold") == "test").then(0).otherwise(pl.col("product_id"))
            )
        bought.write_csv(shop / "purchases.csv")
        bought.select(pl.col("product_id").unique().sort()).write_csv(shop / "products.csv")
        monkeypatch.chdir(shop)
        found = tune(config_in(shop, shop=str(shop), model=("Buyers",)), models)
        scores.append((found["Buyers"].score, found["Buyers"].default))
    assert scores[0] == scores[1]


def test_repeats_make_another_task_of_other_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model 'Switch'; there are 'Buyers', 'Reader'$"):
        tune(config_in(tmp_path, model=("Switch",)), models)
    new = tune(config_in(tmp_path, model=("Buyers",)), models)
    again = tune(config_in(tmp_path, model=("Buyers",), repeat=True, folder=str(tmp_path / "r")), models)
    assert new["Buyers"].score != again["Buyers"].score
    with pytest.raises(InputError, match=r"is a search with another repeat \(True, now False\)"):
        tune(config_in(tmp_path, model=("Buyers",), folder=str(tmp_path / "r")), models)


def test_a_model_that_fails_keeps_no_other_from_being_searched(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Broken(Reader):
        name: str = "Broken"

        def fit(self, task: Task, content: Content, *, seed: int) -> Recommender:
            raise InputError("a singular system")

    with pytest.raises(InputError, match=r"Broken could be fitted with none of the 1 settings tried.*singular"):
        tune(config_in(tmp_path), lambda _graph, *, times_known, repeat: (Broken(), Buyers()))
    assert load_tuned(tmp_path / "tune") == {"Buyers": {"power": 1.0}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no tuned.json in .*; make it by python -m gnn.tune"),
        ("{", r"is no JSON \(.*\); delete it and tune again"),
        ('{"Buyers": 3}', "does not hold settings by model; delete it and tune again"),
        ("[]", "does not hold settings by model"),
    ],
)
def test_a_file_of_settings_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "tuned.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        load_tuned(tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "a search needs an end; give --trials or --minutes"),
        (("--trials", "0"), "trials is 0; give 1 or more"),
        (("--trials", "1", "--min-buyers", "-1"), "min_buyers is -1; give 0 or more"),
        (("--trials", "1", "--split.test-share", "2"), "split shares is"),
        (("--trials", "1", "--model", "Oracle"), "no model 'Oracle'; there are 'popularity'"),
        (("--trials", "1", "--shop", "nowhere"), "no shop 'nowhere'"),
    ],
)
def test_bad_words_end_the_command_in_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    refused(run("gnn.tune", "--shop", "synthetic", *words), sentence)


# Settings that were found before


def test_the_youngest_search_on_this_shop_is_found_in_the_first_place_that_has_one(tmp_path: Path) -> None:
    facts = {
        "shop": "s", "leave_out": ["X"], "repeat": False, "users_share": 1.0, "min_buyers": 5, "split": "by time",
        "validation_from": 3, "test_from": 5, "parts": [9, 2, 2], "seed": 0,
    }  # fmt: skip
    for age, (name, other) in enumerate(
        (
            ("a/.young.part", {}),
            ("a/young", {}),
            ("a/old", {}),
            ("a/sample", {"users_share": 0.2}),
            ("a/later", {"test_from": 6}),  # chosen by what is to be measured here
            ("b/another", {"repeat": True}),
            ("b/far", {}),
        )
    ):
        (tmp_path / name).mkdir(parents=True)
        file = tmp_path / name / "tuned.json"
        file.write_text(json.dumps({"Hill": {"settings": {}, **facts, **other}}))
        os.utime(file, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "a" / "empty").mkdir()
    (tmp_path / "a" / "broken").mkdir()
    (tmp_path / "a" / "broken" / "tuned.json").write_text("{")
    places = (tmp_path / "a", tmp_path / "b", tmp_path / "nowhere")
    assert fitting_tuned(places, "Hill", facts=facts) == tmp_path / "a" / "young"
    assert fitting_tuned(places, "Hill", facts=facts | {"repeat": True}) == tmp_path / "b" / "another"
    assert fitting_tuned(places[1:], "Hill", facts=facts) == tmp_path / "b" / "far"
    assert fitting_tuned(places, "Hill", facts=facts | {"shop": "t"}) is None
    assert fitting_tuned(places, "Dale", facts=facts) is None
    # Where chance draws the parts, another seed has others.
    by_chance = facts | {"split": "by chance"}
    (tmp_path / "c" / "one").mkdir(parents=True)
    (tmp_path / "c" / "one" / "tuned.json").write_text(json.dumps({"Hill": {"settings": {}, **by_chance}}))
    assert fitting_tuned([tmp_path / "c"], "Hill", facts=by_chance) == tmp_path / "c" / "one"
    assert fitting_tuned([tmp_path / "c"], "Hill", facts=by_chance | {"seed": 1}) is None


def test_what_was_found_of_networks_is_kept_beside_the_settings_and_is_of_no_others(tmp_path: Path) -> None:
    assert load_networks(tmp_path, Hill()) is None
    found = NetworksFound(helps=True, why="kept: NDCG@10 +1.00", settings={"foot.width": 2.0})
    save_networks(tmp_path, Hill(), found)
    assert load_networks(tmp_path, Hill()) == found
    assert load_networks(tmp_path, replace(Hill(), foot=Foot(width=2.0))) is None
    (tmp_path / "networks.json").write_text('{"helps": 1')
    with pytest.raises(InputError, match=r"networks.json' does not say whether networks help .*; delete it"):
        load_networks(tmp_path, Hill())
