"""Explorations: what is searched, what is remembered, and what is never done with their rows."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from argparse import Namespace
from pathlib import Path

import pytest

from harness import commands_explore, plan, suite
from harness.arguments import parser
from harness.campaign import Campaign
from harness.errors import UserError
from harness.explore import Exploration
from harness.known import known_methods, known_tasks
from harness.search import DRAWN, rungs
from harness.trial import describe
from methods import METHODS
from results import table


def options(*arguments: str) -> Namespace:
    """The command line `pacbench explore ...` of a small exploration, parsed."""
    few = ("--trials", "4", "--steps", "90", "--target-size", "20", "--out", "out")
    return parser().parse_args(["explore", *few, *arguments])


def opened(folder: Path, *arguments: str) -> Exploration:
    given = options(*arguments)
    return Exploration.open(folder, commands_explore.suite_of(given), given.scheduler)


def commit(exploration: Exploration, method, steps: int, *scores: float | None) -> None:
    """Rows of one configuration; None: a seed that failed."""
    rows = []
    for trial, score in zip(exploration.search.trials(method, steps), scores, strict=False):
        outcome = {"status": "failed"} if score is None else {"status": "done", "score_validation": score}
        rows.append(describe(trial) | outcome)
    exploration.campaign.ledger.append(rows)


def test_a_trial_of_an_exploration_has_a_key_of_its_own_and_draws_as_tuning_does(tmp_path):
    """Rows never stand in for those of a campaign; what a method draws is what it would draw there."""
    trial = opened(tmp_path / "out", "pac", "friedman1").search.first
    confirmed = dataclasses.replace(trial, exploratory=False)
    assert trial.key != confirmed.key
    assert trial.pair_key == confirmed.pair_key
    assert trial.drawn_by.key == confirmed.drawn_by.key
    assert describe(trial)["exploratory"] is True
    assert describe(confirmed)["exploratory"] is False
    assert trial.stage == "tune"


def test_random_search_takes_what_a_suite_would_draw(tmp_path):
    """The default first; more trials keep the first ones."""
    few, many = opened(tmp_path / "few", "lora", "friedman1").search, None
    many = opened(tmp_path / "many", "lora", "friedman1", "--trials", "9").search
    assert few.drawn[0] == METHODS["lora"]()
    assert len(many.drawn) == 9
    assert many.drawn[:4] == few.drawn


@pytest.mark.parametrize(
    ("steps", "scheduler", "expected"),
    [(90, "fifo", (90,)), (90, "asha", (10, 30, 90)), (500, "asha", (55, 166, 500)), (4, "asha", (1, 4))],
)
def test_rungs(steps, scheduler, expected):
    assert rungs(steps, scheduler) == expected


def test_searchers_values_stand_for_configurations(tmp_path):
    """There and back again for every tunable method; options by their place; outside the space there are none."""
    for name, cls in METHODS.items():
        if not cls.space:
            continue
        search = opened(tmp_path / name, name, "friedman1").search
        for number, method in enumerate(search.drawn):
            assert search.method({DRAWN: number}) == method
            values = search.values(method)
            assert values is not None
            assert search.method(values) == method
    search = opened(tmp_path / "lora", "lora", "friedman1").search
    assert search.values(METHODS["lora"](rank=3)) is None
    assert search.values(METHODS["lora"](learning_rate_factor=1000.0)) is None


def test_pinned_hyper_parameters_are_not_searched(tmp_path):
    search = opened(tmp_path / "out", "lora", "friedman1", "--set", "method.rank=2").search
    assert list(search.space) == ["learning_rate_factor"]
    assert {method.rank for method in search.drawn} == {2}


def test_best_is_among_whole_trainings_on_all_seeds(tmp_path):
    """RMSE: lower is better. A better score on a lower rung, on one seed of two, or beside a failure does not count."""
    exploration = opened(tmp_path / "out", "lora", "friedman1", "--scheduler", "asha")
    first, second, third, fourth = exploration.search.drawn
    commit(exploration, first, 90, 2.0, 2.2)
    commit(exploration, second, 30, 0.1, 0.1)
    commit(exploration, third, 90, 1.0, None)
    commit(exploration, fourth, 90, 0.5)
    best = exploration.best()
    assert best is not None
    assert (best.config, best.steps, best.score) == (plan.settings_of(first), 90, 2.1)
    order = [one.config for one in exploration.explored()]
    assert order[0] == plan.settings_of(first)
    assert order[-1] == plan.settings_of(second)
    assert {one.statuses.get("failed") for one in exploration.explored()} == {None, 1}
    assert exploration.told() == [(exploration.search.values(first), -2.1)]


def test_what_ended_stays_ended(tmp_path):
    """By its rows on the last rung, by a failure, or where a scheduler stopped it; by that for its own budget only."""
    exploration = opened(tmp_path / "out", "lora", "friedman1", "--scheduler", "asha")
    first, second, third, fourth = exploration.search.drawn
    commit(exploration, first, 90, 2.0, 2.2)
    commit(exploration, second, 10, None, 1.0)
    commit(exploration, third, 10, 3.0, 3.0)
    commit(exploration, fourth, 10, 1.0)
    exploration.end(third, 10)
    assert sorted(exploration.ends().values()) == [10, 10, 90]
    again = opened(tmp_path / "out", "lora", "friedman1", "--scheduler", "asha")
    assert again.ends() == exploration.ends()
    whole = opened(tmp_path / "out", "lora", "friedman1")
    assert list(whole.ends().values()) == [90]
    longer = opened(tmp_path / "out", "lora", "friedman1", "--scheduler", "asha", "--steps", "180")
    assert longer.ends() == {}, "steps 20 and 60 have no rows; a stop at 90 steps' rungs says nothing of these"


def test_a_worker_that_dies_leaves_rows(tmp_path):
    """Of the lowest rung that is open, so the configuration counts as failed and is not tried for ever."""
    exploration = opened(tmp_path / "out", "lora", "friedman1", "--scheduler", "asha")
    method = exploration.search.drawn[1]
    commit(exploration, method, 10, 1.0, 1.0)
    exploration.lost(method, "worker process died, 3 times")
    rows = [row for row in table.read(tmp_path / "out").to_pylist() if row["budget_steps"] == 30]
    assert [(row["status"], row["reason"]) for row in rows] == [("failed", "worker process died, 3 times")] * 2
    assert list(exploration.ends().values()) == [30]


@pytest.mark.parametrize("name", ["pac", "lora"])
def test_the_best_can_be_pinned_as_it_is_printed(name, tmp_path):
    """The printed entry, put into a suite, gives exactly that configuration, with nothing left to tune."""
    exploration = opened(tmp_path / "out", name, "friedman1", "--set", "method.learning_rate_factor=0.5")
    commit(exploration, exploration.search.drawn[2], 90, 1.0, 1.0)
    best = exploration.best()
    assert best is not None
    text = f"methods = [{commands_explore.pinned(exploration, best, name)}]\n"
    raw = {"name": "mine", "tasks": ["friedman1"], "target_sizes": [20], **tomllib.loads(text)}
    read = suite.parse(raw, "test", tmp_path, known_methods(), known_tasks())
    assert read.entrants[0].method == exploration.search.drawn[2]
    assert read.entrants[0].label == f"{name}-explored"
    assert plan.tune_trials(read) == []


def test_rows_of_an_exploration_select_nothing(made, small_suite, tmp_path):
    """In a campaign's ledger they complete no tuning, and no final seed is taken for done."""
    from harness.known import load_suite

    campaign = Campaign.open(tmp_path / "new", load_suite(str(small_suite), []))
    trials = [dataclasses.replace(trial, exploratory=True) for trial in campaign.tune_trials]
    campaign.ledger.append([describe(t) | {"status": "done", "score_validation": 0.0} for t in trials])
    assert campaign.select() == {}
    assert len(campaign.missing(campaign.tune_trials)) == len(campaign.tune_trials)


REFUSED = {
    "a misspelt method": (("pacc", "friedman1"), "did you mean 'pac'"),
    "a misspelt task": (("pac", "freidman1"), "did you mean 'friedman1'"),
    "a setting that is none": (("pac", "friedman1", "--set", "method.ratio=0.5"), "prune_ratio"),
    "a table that is none": (("pac", "friedman1", "--set", "bugdet.steps=5"), "did you mean 'budget'"),
    "too many target examples": (("pac", "friedman1", "--target-size", "99999"), "99999 examples asked for"),
    "no step": (("pac", "friedman1", "--steps", "0"), "at least 1"),
    "no trial": (("pac", "friedman1", "--trials", "0"), "at least 1"),
    "one trial": (("pac", "friedman1", "--trials", "1"), "expected --trials 2 or more"),
    "two numbers of trials": (("pac", "friedman1", "--set", "tuning.configs=3"), "tuning.configs is --trials"),
    "two numbers of steps": (("pac", "friedman1", "--set", "budget.steps=3"), "budget.steps is --steps"),
    "other methods": (("pac", "friedman1", "--set", "methods=3"), "its settings are method.KEY"),
    "nothing to tune": (
        ("scratch", "friedman1", "--set", "method.learning_rate_factor=1.0"),
        "nothing to tune, its space is empty besides what is pinned (learning_rate_factor)",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_bad_input_is_one_message(mistake, tmp_path):
    arguments, said = REFUSED[mistake]
    with pytest.raises(UserError) as refused:
        opened(tmp_path / "out", *arguments)
    assert said in str(refused.value)
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_one_folder_holds_one_exploration(made, small_suite, tmp_path):
    """Another method, task or size is refused, and so is a campaign; `run` refuses an exploration."""
    from harness.known import load_suite

    opened(tmp_path / "out", "pac", "friedman1")
    opened(tmp_path / "out", "pac", "friedman1", "--steps", "180", "--trials", "9", "--scheduler", "asha")
    for arguments, what in (
        (("lora", "friedman1"), "another method (pac version 1)"),
        (("pac", "friedman1", "--set", "method.penalty=0.5"), "another method (pac version 1)"),
        (("pac", "friedman1", "--set", "task.shift=2.0"), "another task (friedman1)"),
        (("pac", "friedman1", "--target-size", "30"), "another target size (20)"),
        (("pac", "friedman1", "--set", "tuning.seeds=3"), "another number of seeds (2)"),
    ):
        with pytest.raises(UserError) as refused:
            opened(tmp_path / "out", *arguments)
        assert what in str(refused.value)
    with pytest.raises(UserError, match="holds a campaign, no exploration"):
        opened(made, "pac", "friedman1")
    with pytest.raises(UserError, match="rows that were explored, no campaign to run"):
        Campaign.open(tmp_path / "out", load_suite(str(small_suite), []))


SCRIPT = """
from dataclasses import dataclass
import os, signal
from harness.method import Choice, Method, Objective

@dataclass(frozen=True)
class Moody(Method):
    '''A method one of whose configurations kills its worker, and one of which raises.'''
    name = "moody"
    version = "1"
    space = {"mood": Choice("fine", "bad", "deadly")}
    mood: str = "fine"

    def adapt(self, network, target, fit):
        if self.mood == "bad":
            raise ValueError("a bad mood")
        if self.mood == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return Objective(network, target.loss)
"""


def scores(rows):
    return {
        row["config"]: row["score_validation"]
        for row in rows.to_pylist()
        if (row["stage"], row["label"], row["target_size"]) == ("tune", "pac", 20)
    }


@pytest.mark.ray
def test_explore_resume_and_search_on(finished, pacbench, tmp_path):
    """What is found is what tuning finds, to the last bit; the test split is not read; the same command runs nothing;
    another searcher and scheduler go on from what is there, and nothing is trained twice."""
    out = tmp_path / "out"
    few = ("--target-size", 20, "--steps", 20, "--set", "tuning.seeds=1", "--out", out)
    process = pacbench("explore", "pac", "friedman1", "--trials", 2, *few, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "2 trials run, 2 committed" in process.stderr
    rows = table.read(out)
    assert scores(rows) == scores(table.read(finished))
    assert rows["exploratory"].to_pylist() == [True, True]
    assert set(rows["score_test"].to_pylist()) == {None}
    assert not (out / "predictions").exists()

    before = {path.name: path.read_bytes() for path in table.ledger_files(out)}
    more = ("--trials", 5, "--search", "optuna", "--scheduler", "asha", "--json")
    process = pacbench("explore", "pac", "friedman1", *more, *few, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert len(document["configurations"]) == 5
    assert document["best"]["steps"] == 20
    assert all(before[path.name] == path.read_bytes() for path in table.ledger_files(out) if path.name in before)
    attempts = table.read_attempts(out)
    assert len(set(attempts["key"].to_pylist())) == len(attempts), "no trial ran twice"

    again = pacbench("explore", "pac", "friedman1", *more, *few, cwd=tmp_path)
    assert (again.returncode, "0 trials run" in again.stderr) == (0, True)
    assert json.loads(again.stdout) == document
    assert "rows that were explored" in pacbench("status", out).stdout


@pytest.mark.ray
def test_configurations_that_fail_are_rows(pacbench, tmp_path):
    """One raises, one kills its worker each time: both are rows, the third is the best; exit status 1."""
    (tmp_path / "moody.py").write_text(SCRIPT)
    few = ("--trials", 3, "--target-size", 10, "--steps", 5, "--set", "tuning.seeds=1", "--out", "out", "--json")
    process = pacbench("explore", "moody.py", "friedman1", *few, cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    document = json.loads(process.stdout)
    assert {one["config"]["mood"]: one["statuses"] for one in document["configurations"]} == {
        "fine": {"done": 1},
        "bad": {"failed": 1},
        "deadly": {"failed": 1},
    }
    assert document["best"]["config"]["mood"] == "fine"
    assert "moody.py" in document["pin"]
