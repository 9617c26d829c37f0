"""Controls of a method take its selected configuration; optional tasks are left out by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness import plan
from harness.campaign import Campaign
from harness.errors import UserError
from harness.plan import Cell, Trial
from harness.suite import Suite, parse
from harness.trial import describe
from methods import METHODS
from methods.pac_controls import PACNoPenalty, PACRandomMask
from tasks import TASKS
from tests.harness.test_isolation import make_trial

CONTROLS = sorted(name for name, cls in METHODS.items() if cls.control_of)


def suite(*methods: object, tasks: tuple[object, ...] = ("friedman1",), **tables: object) -> Suite:
    raw = {"name": "a", "tasks": list(tasks), "methods": list(methods), "target_sizes": [10, 20], **tables}
    return parse({"tuning": {"configs": 3, "seeds": 2}, **raw}, "here", Path(), METHODS, TASKS)


def done(campaign: Campaign, trials: list[Trial], best: int) -> None:
    """Rows of tuning in which the configuration of that number is the best one of its cell."""
    rows = []
    for trial in trials:
        candidates = [t.method for t in trials if (t.label, t.target_size) == (trial.label, trial.target_size)]
        error = abs(list(dict.fromkeys(candidates)).index(trial.method) - best)
        scored = {"metric": "rmse", "higher_is_better": False, "score_validation": float(error)}
        rows.append(describe(trial) | {"status": "done"} | scored)
    campaign.commit(rows)


def test_controls_take_the_configuration_selected_for_pac(tmp_path):
    """They have no tuning of their own, and record where their configuration comes from; what they fix stays."""
    whole = suite(*CONTROLS, "pac", {"name": "pac_random_mask", "label": "layer-wise", "threshold": "layer"})
    campaign = Campaign.open(tmp_path / "campaign", whole)
    assert {trial.label for trial in campaign.tune_trials} == {"pac"}
    assert campaign.select() == {}
    done(campaign, list(campaign.tune_trials), best=2)
    selected = {(cell.entrant.label, cell.target_size): method for cell, method in campaign.select().items()}
    assert len(selected) == 2 * 7
    wanted = dataclasses.asdict(selected["pac", 20])
    assert wanted == dataclasses.asdict(list(plan.configurations(whole.entrants[-2], 3))[2])
    assert dataclasses.asdict(selected["pac_random_mask", 20]) == wanted
    assert dataclasses.asdict(selected["pac_inverted_mask", 20]) == wanted
    assert dataclasses.asdict(selected["layer-wise", 20]) == wanted | {"threshold": "layer"}
    assert dataclasses.asdict(selected["pac_no_penalty", 20]) == wanted | {"penalty": 0.0}
    assert dataclasses.asdict(selected["pac_no_allocate", 20]) == wanted | {"allocate_fraction": 0.0}
    tuned = dataclasses.asdict(selected["fine_tuning_allocated", 20])
    assert tuned == {name: wanted[name] for name in tuned}
    records = [json.loads(path.read_text()) for path in (tmp_path / "campaign" / "selection").glob("*mask*.json")]
    assert {record["reason"] for record in records} == {"the configuration selected for pac"}
    trials = plan.final_trials(whole, campaign.select())
    assert {trial.tuning_configs for trial in trials} == {3}
    again = Campaign.open(tmp_path / "campaign", whole)
    assert {cell.entrant.label: method for cell, method in again.select().items()} == {
        cell.entrant.label: method for cell, method in campaign.select().items()
    }


def test_a_control_without_its_method_is_tuned_like_any_other():
    assert {t.label for t in plan.tune_trials(suite("pac_random_mask", "fine_tuning"))} == {
        "pac_random_mask",
        "fine_tuning",
    }


def test_which_of_two_is_followed_must_be_said():
    two = ("pac", {"name": "pac", "label": "pac-50", "prune_ratio": 0.5})
    with pytest.raises(UserError, match=r"methods\[2\].*control of pac, which the suite holds as pac, pac-50; say"):
        suite(*two, "pac_no_penalty")
    found = suite(*two, {"name": "pac_no_penalty", "control_of": "pac-50"})
    assert found.entrants[2].control_of is found.entrants[1]
    assert found.entrants[2].like(found.entrants[1].method, "here") == PACNoPenalty(prune_ratio=0.5)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"name": "fine_tuning", "control_of": "pac"}, "fine_tuning is no control of another method"),
        ({"name": "pac_no_penalty", "control_of": "fine_tuning"}, "expected the label of a pac of the suite (pac)"),
        ({"name": "pac_no_penalty", "control_of": 3}, "expected the label of a pac"),
        ({"name": "pac_no_penalty", "penalty": 0.1}, "penalty = 0.1 is not one of 0.0"),
    ],
)
def test_a_wrong_control_is_one_message(entry, expected):
    with pytest.raises(UserError) as refused:
        suite("pac", "fine_tuning" if entry["name"] != "fine_tuning" else "l2_sp", entry)
    assert expected in str(refused.value)


def test_prepared_networks_are_shared_where_prepare_is_the_same_and_nowhere_else():
    task = TASKS["friedman1"]()
    pac = make_trial(task, METHODS["pac"]())
    keys = {name: make_trial(task, METHODS[name]()).prepare_key for name in CONTROLS}
    assert {name for name, key in keys.items() if key == pac.prepare_key} == {"pac_no_penalty", "fine_tuning_allocated"}
    derived = type("Derived", (PACNoPenalty,), {"name": "derived", "prepare": PACRandomMask.prepare})
    assert make_trial(task, derived()).prepare_key != pac.prepare_key


@pytest.mark.parametrize(
    "other",
    [{"threshold": "layer"}, {"iterations": 2}, {"biases": "pruned"}, {"prune_ratio": 0.5}, {"allocate_fraction": 0}],
)
def test_whatever_prepare_reads_tells_prepared_networks_apart(other):
    task, cls = TASKS["friedman1"](), METHODS["pac"]
    assert make_trial(task, cls(**other)).prepare_key != make_trial(task, cls()).prepare_key
    assert make_trial(task, cls(penalty=0.5)).prepare_key == make_trial(task, cls()).prepare_key


def test_the_same_suite_without_controls_is_the_same_campaign_as_before():
    """Nothing is written about controls where there are none, so earlier campaigns go on."""
    assert all("control_of" not in method for method in plan.resolved(suite("pac", "fine_tuning"))["methods"])
    (held,) = [m for m in plan.resolved(suite("pac", "pac_no_penalty"))["methods"] if m["name"] == "pac_no_penalty"]
    assert held["control_of"] == "pac"


def test_an_optional_task_is_left_out_where_its_folder_is_not_given(monkeypatch, tmp_path):
    monkeypatch.delenv("SOME_FOLDER", raising=False)
    entry = {"name": "cifar", "folder": "$SOME_FOLDER", "optional": True}
    found = suite("pac", tasks=("friedman1", entry))
    assert [task.id for task in found.tasks] == ["friedman1"]
    (reason,) = found.left_out
    assert reason == "task cifar is left out (folder = '$SOME_FOLDER': that environment variable is not set)"
    with pytest.raises(UserError, match=r"tasks\[1\]: cifar: folder = '\$SOME_FOLDER': that environment variable"):
        suite("pac", tasks=("friedman1", {"name": "cifar", "folder": "$SOME_FOLDER"}))
    with pytest.raises(UserError, match="no task is left"):
        suite("pac", tasks=(entry,))
    with pytest.raises(UserError, match="optional = 1; expected true or false"):
        suite("pac", tasks=({**entry, "optional": 1},))
    monkeypatch.setenv("SOME_FOLDER", "")
    assert suite("pac", tasks=("friedman1", entry)).left_out == found.left_out
    monkeypatch.setenv("SOME_FOLDER", str(tmp_path))
    (_, given) = suite("pac", tasks=("friedman1", entry)).tasks
    assert given.folder == str(tmp_path)
    assert Cell(given, suite("pac").entrants[0], 10).name == "cifar / pac / n=10"
