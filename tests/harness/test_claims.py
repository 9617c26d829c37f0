"""What the commands that judge methods say at 80 columns, from rows that can carry little."""

from __future__ import annotations

import json
import re

import pytest

from harness import cli


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """ask("compare", ...): exit status, stdout and stderr in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    return run


@pytest.fixture
def rows(ask, tmp_path):
    """rows("a", score of (task, method, seed), ...): an imported campaign of that name."""

    def make(name, score, *options, tasks=8, methods=("fine_tuning", "pac", "lora"), seeds=3, first=0):
        lines = [
            f"t{t},{m},{s},{score(t, m, s)},true"
            for t in range(first, first + tasks)
            for m in methods
            for s in range(seeds)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["task,method,seed,score,higher_is_better", *lines]))
        status, _, said = ask("import", f"{name}.csv", "--out", name, *options)
        assert status == 0
        return " ".join(said.split())

    return make


def noisy(task, method, seed):
    return 0.5 + 0.01 * ((7 * task + 3 * seed + len(method)) % 5)


ONE_UNIT = ("--set", "metric=accuracy")


def test_a_board_that_cannot_decide_says_so(ask, rows):
    """Too few tasks for any pair, no board to drop anything from, and singular words for one."""
    rows("few", noisy, *ONE_UNIT, tasks=3)
    _, text, _ = ask("leaderboard", "few")
    said = " ".join(text.split())
    assert "3 tasks cannot tell any two of 3 methods apart, however different they are: 7 are needed" in said
    rows("one", noisy, *ONE_UNIT, tasks=1)
    _, text, _ = ask("leaderboard", "one")
    assert "Over 1 of 1 task and 1 of 1 task-size cell" in text
    assert "without one task" not in text
    assert "0 of 0" not in text
    rows("two", noisy, *ONE_UNIT, tasks=2, methods=("pac", "fine_tuning"))
    _, text, _ = ask("leaderboard", "two")
    assert "two methods apart" in " ".join(text.split())
    assert "without one method" not in text
    assert "0 of 0" not in text
    rows("many", noisy, *ONE_UNIT, tasks=8)
    assert "cannot tell" not in ask("leaderboard", "many")[1]


def test_ties_everywhere_are_compared_without_invention(ask, rows):
    """No difference, no width that would be knowledge, and no verdict beyond the margin's."""
    rows("ties", lambda *_: 0.5, *ONE_UNIT)
    status, text, _ = ask("compare", "ties", "--candidate", "pac", "--baseline", "fine_tuning")
    said = " ".join(text.split())
    assert status == 0
    assert "pac against fine_tuning: undecided" in said
    assert "0-8-0" in text
    assert "All differences are the same, so the interval has no width" in said


def test_tiny_and_huge_numbers_stay_numbers(ask, rows):
    """A difference of 1e-9 or 1e12 is shown as such, not as 0.000000 or thirteen digits."""
    for name, factor, shown in (("tiny", 1e-9, "e−1"), ("huge", 1e12, "e+1")):
        rows(name, lambda *place, factor=factor: factor * (noisy(*place) + 0.1 * (place[1] == "pac")), *ONE_UNIT)
        _, text, _ = ask("compare", name, "--candidate", "pac", "--baseline", "fine_tuning")
        assert shown in text
        assert not re.search(r"0\.0000|\d{9}", text)
        assert max(map(len, text.splitlines())) <= 80


def test_no_common_unit_has_a_cure(ask, rows):
    """Import, compare and power name the option that gives all rows one unit, and it does."""
    cure = "--set metric=NAME"
    assert cure in rows("bare", noisy)
    for command in (["compare", "bare", "--candidate", "pac", "--baseline", "fine_tuning"], ["power", "bare"]):
        assert cure in " ".join(ask(*command)[1].split())
    (design, _) = json.loads(ask("power", "bare", "--json")[1])["designs"]
    assert (design["tasks"], design["seeds"]) == (8, 3)
    assert cure not in rows("cured", noisy, *ONE_UNIT)
    assert "no common unit" not in ask("compare", "cured", "--candidate", "pac", "--baseline", "fine_tuning")[1]


def test_nothing_to_compare_is_said_and_is_no_success(ask, rows):
    """Where no trial pairs, or no task is shared: one sentence, valid JSON, and exit status 1."""
    rows("mine", noisy, *ONE_UNIT, tasks=2, first=20, methods=("mine",))
    rows("board", noisy, *ONE_UNIT)
    asked = ["compare", "mine", "--candidate", "mine", "--baseline", "fine_tuning"]
    status, text, _ = ask(*asked, "--board", "board")
    assert status == 1
    assert "Nothing is compared: no trial of mine pairs with one of fine_tuning." in " ".join(text.split())
    status, text, said = ask(*asked, "--board", "board", "--json")
    assert (status, json.loads(text)) == (1, [])
    assert "Nothing is compared" in said
    status, text, _ = ask("compare", "mine", "board", *asked[2:])
    assert status == 1
    assert "share no seed" in text
    assert "0 tasks" not in text


def test_a_report_of_several_campaigns(ask, rows, tmp_path):
    """Campaigns that belong together give one page; others give a page that refuses, with the reason on stderr too."""
    rows("a", noisy, *ONE_UNIT)
    rows("b", noisy, *ONE_UNIT, methods=("bitfit",))
    status, text, said = ask("report", "a", "b", "--out", "both")
    assert (status, said) == (0, "")
    assert "bitfit" in (tmp_path / "both" / "report.md").read_text()
    rows("c", lambda *place: noisy(*place) + 0.1, *ONE_UNIT)
    status, text, said = ask("report", "a", "c", "--out", "neither")
    assert status == 1
    assert len(text.splitlines()) == 5
    assert "these rows are not mixed: one trial has two results" in said
    page = (tmp_path / "neither" / "report.html").read_text()
    assert "Nothing is averaged or compared: these rows are not mixed" in page
    assert "verdict better" not in page
