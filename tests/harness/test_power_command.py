"""The command `power`: what a difference needs, what a design sees, what a suite cannot decide."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.cli import main
from harness.ledger import Ledger
from results import power
from results.table import read


@pytest.fixture(scope="module")
def pilot(made, tmp_path_factory):
    """A campaign of nine tasks, two methods and three seeds, with made-up scores in one metric."""
    folder = tmp_path_factory.mktemp("pilot")
    (folder / "campaign.json").write_bytes((made / "campaign.json").read_bytes())
    example = next(row for row in read(made).to_pylist() if row["stage"] == "final")
    rng = np.random.default_rng(0)
    rows = []
    for task in range(9):
        for label, effect in (("fine_tuning", 0.0), ("pac", rng.normal(0, 0.1))):
            for seed, noise in enumerate(rng.normal(0, 0.05, 3)):
                key = {"key": f"{task}/{label}/{seed}", "pair_key": f"{task}/{seed}", "task": f"t{task}"}
                score = {"score_test": float(0.5 + effect + noise), "data_hash": f"h{task}", "extra": []}
                rows.append(example | key | score | {"label": label, "method": label, "seed": seed, "target_size": 10})
    Ledger(folder).append(rows)
    return folder


@pytest.fixture
def ask(capsys, monkeypatch):
    """The command in this process; returns what it prints at a given width."""

    def run(*arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main(["power", *map(str, arguments)]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        assert max(map(len, printed.out.splitlines())) <= columns or "--json" in arguments
        return printed.out

    return run


def test_variances_give_what_a_difference_needs(pacbench):
    """The numbers are those of results.power, from the real command."""
    process = pacbench("power", "--variances", "0.01,0.02", "--difference", "0.05", "--methods", "5", "--json")
    document = json.loads(process.stdout)
    (design,) = document["designs"]
    variances = power.Variances(0.01, 0.02)
    assert design["tasks_needed"] == power.tasks_needed(variances, 0.05, 5, 4)
    assert (design["comparisons"], design["fewest_tasks"], document["fewest_tasks_all_pairs"]) == (4, 8, 9)


def test_the_text_says_what_is_needed_and_seen(ask):
    """Sentences about the design that was asked for, then a table of others."""
    text = ask("--variances", "0.01,0.02", "--difference", "0.1", "--tasks", "25", "--seeds", "4")
    assert f"needs {power.tasks_needed(power.Variances(0.01, 0.02), 0.1, 4)} tasks of 4 seeds each" in text
    assert "25 tasks of 4 seeds each see one of" in text


def test_a_design_that_cannot_decide_says_so(ask):
    """Five tasks cannot reach 0.05; with tasks that differ too much no number of seeds helps."""
    assert "5 tasks cannot decide: 6 are needed for p < 0.05." in ask("--variances", "0.01,0.02", "--tasks", "5")
    text = ask("--variances", "1,1", "--tasks", "9", "--difference", "0.1", columns=200)
    assert "No number of seeds is enough on these tasks" in text


def test_rows_are_a_pilot(ask, pilot):
    """One line for each method against the baseline; another design of the same variances may be asked about."""
    (design,) = json.loads(ask(pilot, "--difference", "0.05", "--json"))["designs"]
    assert (design["candidate"], design["baseline"], design["tasks"], design["seeds"]) == ("pac", "fine_tuning", 9, 3)
    assert design["deviation_low"] < design["deviation"] < design["deviation_high"]
    assert design["tasks_needed"] > 9
    assert f" {design['tasks_needed']} " in ask(pilot, "--difference", "0.05", "--tasks", "40")


def test_a_pilot_of_one_task_says_nothing(ask, made):
    """No number is invented: the variances are null and the note says why."""
    (first, *_) = json.loads(ask(made, "--difference", "0.1", "--json"))["designs"]
    assert (first["tasks"], first["deviation"], first["tasks_needed"], first["smallest_detectable"]) == (1, *[None] * 3)
    assert "1 task cannot decide" in first["note"]
    assert "Fewer than two tasks" in first["note"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either DIR"),
        (["somewhere", "--variances", "1,1"], "either DIR"),
        (["nowhere"], "no campaign here"),
        (["--variances", "1", "--tasks", "9"], "two numbers"),
        (["--variances", "1,1,1", "--tasks", "9"], "two numbers"),
        (["--variances", "nan,1", "--tasks", "9"], "nan,1: expected two numbers, the variance over tasks"),
        (["--variances", "nan,1"], "both finite"),
        (["--variances", "1,inf", "--difference", "0.1"], "both finite"),
        (["--variances=-1,1", "--tasks", "9"], "neither below 0"),
        (["--variances", "0,0", "--tasks", "9"], "not both 0"),
        (["--variances", "1,1"], "expected --difference"),
        (["--variances", "1,1", "--difference", "-1"], "--difference -1.0"),
        (["--variances", "1,1", "--tasks", "0"], "--tasks 0"),
        (["--variances", "1,1", "--tasks", "9", "--methods", "1"], "--methods 1"),
        (["--variances", "1,1", "--tasks", "9", "--baseline", "x"], "--baseline"),
        (["somewhere", "--methods", "3"], "--methods"),
    ],
)
def test_bad_questions_are_refused(capsys, arguments, message):
    """One message that says what was given and expected."""
    assert main(["power", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_an_unknown_baseline_is_refused(capsys, pilot):
    """The message names the nearest label."""
    assert main(["power", str(pilot), "--baseline", "fine-tuning"]) == 2
    assert "did you mean 'fine_tuning'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tasks", "methods", "said"),
    [
        (3, 1, "nothing: there is one method"),
        (5, 2, "nothing over tasks: 5 tasks, and 6 are needed for 2 methods"),
        (1, 5, "nothing over tasks: 1 task, and 8 are needed for 5 methods against one baseline, 9 for all pairs"),
        (8, 5, "each method against one baseline; all pairs need 9 tasks, not 8 tasks"),
        (9, 5, "each method against one baseline, and all pairs"),
        (6, 2, "two methods"),
    ],
)
def test_what_a_suite_can_decide_is_said_in_words(tasks, methods, said):
    """The line that `plan` shows."""
    assert power.decides(tasks, methods) == said
