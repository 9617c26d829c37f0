"""A user's mistake gives one message that says where, exit status 2, and nothing is started or overwritten."""

from __future__ import annotations

import json
import shutil

import pytest

GOOD = """
name = "good"
tasks = ["friedman1"]
methods = ["fine_tuning"]
target_sizes = [10]
[tuning]
configs = 1
[final]
seeds = 1
[budget]
steps = 5
"""

SUITES = {
    "syntax error": (GOOD + "\n[broken", "TOML"),
    "unknown key": (GOOD.replace("[final]", "[finale]"), "did you mean 'final'"),
    "unknown key in a table": (GOOD.replace("seeds = 1", "sedes = 1"), "did you mean 'seeds'"),
    "misspelt method": (GOOD.replace("fine_tuning", "fine_tunning"), "did you mean 'fine_tuning'"),
    "misspelt task": (GOOD.replace("friedman1", "freidman1"), "did you mean 'friedman1'"),
    "target size larger than the data": (GOOD.replace("[10]", "[10, 99999]"), "99999 examples asked for"),
    "target size too small to split": (GOOD.replace("[10]", "[4]"), "expected 5 to"),
    "negative target size": (GOOD.replace("[10]", "[-3]"), "-3"),
    "target size not a number": (GOOD.replace("[10]", '["ten"]'), "'ten'"),
    "zero seeds": (GOOD.replace("seeds = 1", "seeds = 0"), "at least 1"),
    "negative steps": (GOOD.replace("steps = 5", "steps = -5"), "at least 1"),
    "steps of another type": (GOOD.replace("steps = 5", 'steps = "many"'), "'many'"),
    "boolean for a count": (GOOD.replace("steps = 5", "steps = true"), "True"),
    "infinite time": (GOOD.replace("steps = 5", "trial_seconds = inf"), "finite"),
    "no methods": (GOOD.replace('["fine_tuning"]', "[]"), "methods"),
    "no name": (GOOD.replace('name = "good"', 'name = ""'), "name"),
    "a method twice": (GOOD.replace('["fine_tuning"]', '["pac", "pac"]'), "more than once"),
    "hyper-parameter out of range": (
        GOOD.replace('["fine_tuning"]', '[{name = "pac", prune_ratio = 1.5}]'),
        "prune_ratio = 1.5",
    ),
    "hyper-parameter of another type": (GOOD.replace('["fine_tuning"]', '[{name = "lora", rank = 2.5}]'), "rank = 2.5"),
    "unknown hyper-parameter": (GOOD.replace('["fine_tuning"]', '[{name = "pac", ratio = 0.5}]'), "prune_ratio"),
    "unknown option": (GOOD.replace('["fine_tuning"]', '[{name = "pac", threshold = "local"}]'), "'global', 'layer'"),
    "task parameter out of range": (GOOD.replace('["friedman1"]', '[{name = "friedman1", shift = -1}]'), "shift = -1"),
    "a method file that is missing": (GOOD.replace("fine_tuning", "./no_such_file.py"), "no_such_file.py"),
    "a tasks entry of another kind": (GOOD.replace('["friedman1"]', "[17]"), "17"),
    "final seeds that reach the tuning seeds": (GOOD.replace("seeds = 1", "seeds = 10001"), "at most 10000"),
    "an unknown engine": (GOOD + '[engine]\nname = "warp"\n', "'warp'"),
}


def assert_refused(process, *texts):
    """One message, exit status 2, no traceback, nothing on stdout."""
    assert process.returncode == 2, (process.returncode, process.stderr)
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    assert process.stderr.startswith("pacbench: ")
    for text in texts:
        assert text in process.stderr, process.stderr


@pytest.mark.parametrize("case", SUITES)
def test_bad_suite(case, pacbench, tmp_path):
    """Every bad suite is refused before anything exists on disk."""
    content, expected = SUITES[case]
    (tmp_path / "bad.toml").write_text(content)
    process = pacbench("run", tmp_path / "bad.toml", "--out", tmp_path / "out")
    assert_refused(process, expected)
    assert not (tmp_path / "out").exists()


def test_missing_suite_file(pacbench, tmp_path):
    assert_refused(pacbench("run", tmp_path / "none.toml", "--out", tmp_path / "out"), "none.toml")


def test_unknown_suite_name(pacbench, tmp_path):
    assert_refused(pacbench("run", "quikc", "--out", tmp_path / "out"), "did you mean 'quick'")


def test_suite_that_is_not_text(pacbench, tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00\x00")
    assert_refused(pacbench("plan", tmp_path / "binary.toml"), "binary.toml")


def test_setting_without_equals_sign(pacbench, tmp_path):
    assert_refused(pacbench("run", "quick", "--out", tmp_path / "out", "--set", "final.seeds"), "key=value")


def test_setting_with_a_misspelt_key(pacbench, tmp_path):
    assert_refused(pacbench("run", "quick", "--out", tmp_path / "out", "--set", "final.seed=3"), "did you mean 'seeds'")


def test_folder_of_another_campaign_is_left_alone(pacbench, tmp_path):
    """A folder that holds another suite's campaign is refused and not one byte of it changes."""
    (tmp_path / "good.toml").write_text(GOOD)
    out = tmp_path / "out"
    out.mkdir()
    held = json.dumps({"suite": {"name": "another"}, "protocol": 1})
    (out / "campaign.json").write_text(held)
    assert_refused(pacbench("run", tmp_path / "good.toml", "--out", out), "another campaign", "'another'")
    assert [path.name for path in out.iterdir()] == ["campaign.json"]
    assert (out / "campaign.json").read_text() == held


def test_damaged_campaign_file(pacbench, tmp_path):
    (tmp_path / "campaign.json").write_text("{")
    for command in (["status", tmp_path], ["report", tmp_path], ["run", "quick", "--out", tmp_path]):
        assert_refused(pacbench(*command), "campaign.json")


def test_folder_that_cannot_be_written(pacbench, tmp_path):
    """A folder below a file can be made by nobody, not even by root."""
    (tmp_path / "file").write_text("")
    assert_refused(pacbench("run", "quick", "--out", tmp_path / "file" / "out"), "cannot be written")


@pytest.mark.parametrize("command", ["status", "report", "leaderboard"])
def test_folder_without_campaign(command, pacbench, tmp_path):
    assert_refused(pacbench(command, tmp_path), "no campaign here")


def test_two_classes_in_a_method_file(pacbench, tmp_path):
    (tmp_path / "two.py").write_text(
        "from methods.scratch import Scratch\nclass A(Scratch): pass\nclass B(Scratch): pass\n"
    )
    (tmp_path / "suite.toml").write_text(GOOD.replace("fine_tuning", "./two.py"))
    assert_refused(pacbench("plan", tmp_path / "suite.toml"), "two.py defines 2 classes")


def test_method_file_that_raises_at_import(pacbench, tmp_path):
    (tmp_path / "broken.py").write_text("raise OSError('disk on fire')\n")
    (tmp_path / "suite.toml").write_text(GOOD.replace("fine_tuning", "./broken.py"))
    assert_refused(pacbench("plan", tmp_path / "suite.toml"), "broken.py cannot be loaded", "disk on fire")


def test_task_whose_loss_holds_the_task(pacbench, tmp_path):
    """A loss bound to the task would hand a method the test split; the static form is demanded."""
    (tmp_path / "leaky.py").write_text(
        "from dataclasses import dataclass\n"
        "from tasks.friedman1 import Friedman1\n"
        "@dataclass(frozen=True)\n"
        "class Leaky(Friedman1):\n"
        "    name = 'leaky'\n"
        "    def loss(self, network, batch):\n"
        "        return network(batch['inputs']).mean()\n"
    )
    (tmp_path / "suite.toml").write_text(GOOD.replace('"friedman1"', '"./leaky.py"'))
    assert_refused(pacbench("plan", tmp_path / "suite.toml"), "staticmethod")


def test_shadowed_package(pacbench, tmp_path):
    """Another package of the same name that comes first is named, not run."""
    shutil.copytree(tmp_path, tmp_path / "tasks", ignore=shutil.ignore_patterns("*"))
    (tmp_path / "tasks" / "__init__.py").write_text("raise SystemExit('wrong tasks')\n")
    assert_refused(pacbench("list", env={"PYTHONPATH": str(tmp_path)}), "'tasks'", "shadows")


@pytest.mark.ray
def test_impossible_resources(pacbench, tmp_path):
    """A pack that no node can hold fails at once with the reason, instead of waiting for ever."""
    (tmp_path / "suite.toml").write_text(GOOD + "[resources]\ncpus = 1000\n")
    assert_refused(pacbench("run", tmp_path / "suite.toml", "--out", tmp_path / "out"), "1000 CPUs")
    mended = pacbench("run", tmp_path / "suite.toml", "--out", tmp_path / "out", "--set", "resources.cpus=1")
    assert mended.returncode == 0, mended.stderr


def test_bad_arguments_of_reading_commands(pacbench, tmp_path):
    (tmp_path / "campaign.json").write_text('{"suite": {"name": "s"}, "protocol": 1}')
    unknown = pacbench("compare", tmp_path, "--candidate", "pac", "--baseline", "fine_tuning")
    assert_refused(unknown, "no rows with that label")
    assert_refused(pacbench("export", tmp_path, tmp_path / "rows.xlsx"), ".parquet, .csv, .arrow")
    assert_refused(pacbench("export", tmp_path, "/proc/none/rows.csv"), "cannot be written")


BAD_METHODS = {
    "annotated class fact": ("    version: str = '2'\n", "'version' of class Mine is a class fact"),
    "impossible distribution": ("    space = {'learning_rate_factor': LogUniform(0.0, 1.0)}\n", "0 < low <= high"),
    "space that is no space": ("    space = {'learning_rate_factor': [0.1, 1.0]}\n", "LogUniform, Uniform or Choice"),
    "space of an unknown field": ("    space = {'strength': LogUniform(0.1, 1.0)}\n", "'strength'"),
}


@pytest.mark.parametrize("case", BAD_METHODS)
def test_bad_method_file(case, pacbench, tmp_path):
    """A mistake in a user's class is one message as well, and what the file prints stays off stdout."""
    line, expected = BAD_METHODS[case]
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom harness.method import LogUniform, Method\nprint('hello')\n"
        f"@dataclass(frozen=True)\nclass Mine(Method):\n    name = 'mine'\n    version = '1'\n{line}"
    )
    (tmp_path / "suite.toml").write_text(GOOD.replace("fine_tuning", "./mine.py"))
    process = pacbench("plan", tmp_path / "suite.toml", "--json")
    assert process.returncode == 2, process.stderr
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    assert expected in process.stderr
