"""`pacbench check` finds planted faults, and nothing in what is sound."""

from __future__ import annotations

import json
import unittest

import pytest

from harness.contract import METHOD_CHECKS, TASK_CHECKS, Fault, MethodUnderTest, TaskUnderTest, tiny_problem
from harness.method import Method
from harness.plugins import from_file
from harness.task import Task
from tests.contract import sound
from tests.contract.planted_methods import METHOD, METHODS, PREPARING
from tests.contract.planted_tasks import TASK, TASKS
from tests.docs.pages import blocks

ASKED_FOR = [
    ("method", "lanes that leak by a class attribute"),
    ("task", "a loss that reads the test split by a global"),
]
"""Planted faults that the real command is tried on; all of them are tried in this process, which is quicker."""


def found(kind, text, check, folder):
    """What one check, after those it builds on, finds in a file."""
    (folder / "faulty.py").write_text(text)
    base, subject, checks = {
        "method": (Method, MethodUnderTest, METHOD_CHECKS),
        "task": (Task, TaskUnderTest, TASK_CHECKS),
    }[kind]
    under_test = subject(from_file(folder / "faulty.py", base, "here")())
    if check == "fresh process" or check is None:
        return [one.examine(under_test) for one in checks if one.name == check or check is None]
    if kind == "task" and check != "data":
        under_test.sets  # noqa: B018 - as the check `data` does, which comes first
    return [one.examine(under_test) for one in checks if one.name == check]


@pytest.mark.parametrize("name", METHODS)
def test_a_fault_planted_in_a_method_is_found(name, tmp_path):
    text, check, words = METHODS[name]
    (finding,) = found("method", text, check, tmp_path)
    assert finding.state == "fault", finding
    assert words in finding.text, finding
    assert finding.mend


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.filterwarnings("ignore:std")
def test_a_fault_planted_in_a_task_is_found(name, tmp_path):
    text, check, words = TASKS[name]
    (finding,) = found("task", text, check, tmp_path)
    assert finding.state == "fault", finding
    assert words in finding.text, finding
    assert finding.mend


@pytest.mark.parametrize(
    ("kind", "name"), [*(("method", name) for name in sound.METHODS), *(("task", name) for name in sound.TASKS)]
)
def test_in_what_is_right_no_fault_is_found(kind, name, tmp_path):
    text, check, words = (sound.METHODS if kind == "method" else sound.TASKS)[name]
    (finding,) = found(kind, text, check, tmp_path)
    assert finding.state == "ok", finding
    assert finding.text == "" if words is None else words in finding.text


@pytest.mark.parametrize(("kind", "text"), [("method", PREPARING), ("task", TASK)])
def test_without_the_fault_nothing_is_found(kind, text, tmp_path):
    """The same texts, unplanted: a check that always finds something would be no check."""
    assert [one for one in found(kind, text, None, tmp_path) if one.state == "fault"] == []


@pytest.mark.parametrize(("kind", "name"), ASKED_FOR)
def test_the_command_finds_it_and_says_how_to_mend_it(kind, name, pacbench, tmp_path):
    """Exit status 1, one line a check, and for the fault what is wrong and what to do."""
    text, check, words = (METHODS if kind == "method" else TASKS)[name]
    (tmp_path / "faulty.py").write_text(text)
    process = pacbench("check", kind, tmp_path / "faulty.py")
    assert process.returncode == 1, process.stderr
    (line,) = (line for line in process.stdout.splitlines() if line.startswith("FAULT") and f" {check} " in line)
    assert words in line
    assert "; mend: " in line
    assert "Traceback" not in process.stderr


def test_the_method_of_the_readme_is_sound(tmp_path):
    (text,) = (block.text for block in blocks("README.md") if block.title == "my_method.py")
    assert [one for one in found("method", text, None, tmp_path) if one.state == "fault"] == []


def test_a_sound_file_has_exit_status_0_and_a_report_in_json(pacbench, tmp_path):
    """What the method prints is no part of the document."""
    (tmp_path / "sound.py").write_text(
        METHOD.replace("        return Pulled(", "        print('hello')\n        return Pulled(")
    )
    process = pacbench("check", "method", tmp_path / "sound.py", "--set", "strength=0.2", "--json")
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert document["name"] == "faulty"
    assert document["settings"] == {"learning_rate_factor": 1.0, "strength": 0.2}
    assert [check["check"] for check in document["checks"]] == [check.name for check in METHOD_CHECKS]
    assert document["faults"] == 0
    assert {check["state"] for check in document["checks"]} == {"ok", "hint"}


BAD = {
    "an unknown name": (("method", "fine_tunning"), "unknown method 'fine_tunning'; did you mean 'fine_tuning'?"),
    "a file that is not there": (("method", "absent.py"), "cannot read 'absent.py'"),
    "a file without a class": (("method", "empty.py"), "defines 0 classes derived from Method"),
    "a file that cannot be loaded": (("task", "broken.py"), "cannot be loaded (ZeroDivisionError"),
    "a folder": (
        ("method", "folder"),
        "check method: 'folder' is a folder; expected the name of a method or a .py file",
    ),
    "a name of two words": (("method", "words.py"), "class Faulty has the name 'Bad Name!'; expected letters"),
    "a field without a default": (
        ("method", "bare.py"),
        "field 'strength' of class Faulty has no default; give it one",
    ),
    "an unknown setting": (
        ("method", "pac", "--set", "prune=0.5"),
        "unknown setting 'prune'; did you mean 'prune_ratio'?",
    ),
    "a task whose files are not there": (("task", "cifar", "--set", "folder=nowhere"), "nowhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_message(case, pacbench, tmp_path):
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "words.py").write_text(METHOD.replace('name = "faulty"', 'name = "Bad Name!"'))
    bare = METHOD.replace("strength: float = setting(0.1, low=0.0)", "strength: float = field(kw_only=True)")
    (tmp_path / "bare.py").write_text(bare.replace("import dataclass\n", "import dataclass, field\n"))
    arguments, expected = BAD[case]
    process = pacbench("check", *arguments, cwd=tmp_path)
    assert process.returncode == 2, process.stdout
    assert process.stderr.startswith("pacbench: ")
    assert expected in process.stderr
    assert "Traceback" not in process.stderr


def test_a_check_called_from_a_test_raises_what_is_wrong_and_how_to_mend_it(tmp_path):
    (tmp_path / "faulty.py").write_text(METHODS["an anchor that is aliased"][0])
    under_test = MethodUnderTest(from_file(tmp_path / "faulty.py", Method, "here")())
    (check,) = (check for check in METHOD_CHECKS if check.name == "anchors")
    with pytest.raises(Fault, match=r"shares memory with .* to mend it: copy it"):
        check(under_test)
    assert str(check) == "anchors"


def test_a_method_that_takes_other_problems_only_brings_its_own(tmp_path):
    """Declined everywhere is not checked, and says so; with a problem that it takes it is."""
    (tmp_path / "picky.py").write_text(
        METHOD.replace(
            "        return Pulled(",
            "        if target.new_head:\n            raise Declined('no new heads')\n        return Pulled(",
        ).replace("import torch\n", "import torch\nfrom harness.errors import Declined\n", 1)
    )
    method = from_file(tmp_path / "picky.py", Method, "here")()
    runs = next(check for check in METHOD_CHECKS if check.name == "runs")
    refused = MethodUnderTest(method, [tiny_problem("mlp", new_head=True)])
    assert runs.examine(refused).state == "not checked"
    with pytest.raises(unittest.SkipTest, match="no new heads"):
        runs(refused)
    assert "no new heads" in runs.examine(refused).text
    training = next(check for check in METHOD_CHECKS if check.name == "training")
    assert training.examine(refused).state == "not checked"
    taken = MethodUnderTest(method, [tiny_problem("mlp", new_head=False)])
    assert [check.examine(taken).state for check in METHOD_CHECKS].count("fault") == 0
