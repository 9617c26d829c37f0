"""`pacbench new` writes packages that run, keep the contract and can be installed; then all of it, end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from harness.commands_new import new_command
from harness.errors import UserError
from results import table
from tests.harness.packages import on_path

HOME = Path(__file__).parents[2]

SUITE = """
name = "mine"
tasks = ["friedman1", "waves"]
methods = ["fine_tuning", { name = "small_head", strength = 0.05 }]
target_sizes = [25]
[tuning]
configs = 8
seeds = 2
[final]
seeds = 2
"""
"""Tuning and steps are those of the suite `standard`, beside whose rows a trial of this one is put."""


@pytest.fixture(scope="module")
def made(pacbench, tmp_path_factory):
    """A folder with a method's package and a task's, as `new` writes them."""
    folder = tmp_path_factory.mktemp("made")
    for kind, name in (("method", "small_head"), ("task", "waves")):
        process = pacbench("new", kind, name, "--out", folder / name, cwd=folder)
        assert process.returncode == 0, process.stderr
        assert f"pacbench check {kind} {folder / name}/pacbench_{name}.py" in process.stdout
    return folder


def test_a_package_is_small_and_in_the_style_of_the_house(made):
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["format", "--check"], ["check", "--no-cache"]):
        command = [str(ruff), *arguments, "--config", str(HOME / "pyproject.toml"), "."]
        process = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout
    for name in ("small_head", "waves"):
        files = {path.name: len(path.read_text().splitlines()) for path in (made / name).iterdir()}
        assert set(files) == {"pyproject.toml", "README.md", f"pacbench_{name}.py", f"test_{name}.py"}
        assert max(files.values()) < 100


@pytest.mark.parametrize("name", ["small_head", "waves"])
def test_its_own_tests_pass_before_it_is_installed(name, made):
    """The contract's suite runs from pytest in the package's folder, warnings as errors."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    process = subprocess.run(command, cwd=made / name, env=_environment(), capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout
    assert "21 passed" in process.stdout or "22 passed" in process.stdout


def test_its_equation_test_turns_red_without_the_defining_line(made, tmp_path):
    """What no contract can know: the package brings the test that does."""
    text = (made / "small_head" / "pacbench_small_head.py").read_text()
    (tmp_path / "pacbench_small_head.py").write_text(text.replace("return self.strength / 2 *", "return 0.0 *"))
    (tmp_path / "test_small_head.py").write_text((made / "small_head" / "test_small_head.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-k", "equation", "-p", "no:cacheprovider"]
    process = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert "test_the_objective_is_the_equation" in process.stdout


def _environment():
    return {**os.environ, **on_path(HOME), "OMP_NUM_THREADS": "1"}


BAD = {
    "no identifier": ("small-head", "p", "did you mean 'small_head'?"),
    "capitals": ("NewWaves", "p", "did you mean 'new_waves'?"),
    "a word of Python's": ("class", "p", "'class' is no name"),
    "a path": ("../x", "p", "'../x' is no name"),
    "nothing": ("", "p", "'' is no name"),
    "a built-in method": ("pac", "p", "'pac' is taken: a method of that name is built-in"),
    "a task's name": ("friedman1", "p", "'friedman1' is taken: a task of that name is built-in"),
    "a folder that is there": ("fresh", "there", "there: is there already"),
    "a place that cannot be": ("fresh", "file/fresh", "file/fresh: cannot be written"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_message_and_nothing_is_written(case, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    name, out, expected = BAD[case]
    with pytest.raises(UserError) as refused:
        new_command(Namespace(kind="method", name=name, out=str(tmp_path / out)))
    assert expected in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]
    assert not any((tmp_path / "there").iterdir())


def test_the_commands_to_go_on_with_are_quoted(tmp_path, capsys):
    folder = tmp_path / "a b" / "c d"
    assert new_command(Namespace(kind="method", name="fresh", out=str(folder))) == 0
    said = capsys.readouterr().out
    assert f"pacbench check method '{folder}/pacbench_fresh.py' " in said
    assert f"pip install -e '{folder}' " in said


def test_the_command_refuses_with_exit_status_2(pacbench, tmp_path):
    process = pacbench("new", "method", "pac", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr == "pacbench: 'pac' is taken: a method of that name is built-in; choose another\n"
    assert not any(tmp_path.iterdir())


@pytest.mark.ray
def test_two_packages_from_new_to_a_comparison_with_the_board(made, pacbench, tmp_path):
    """Installed in a folder of their own, listed, checked, run beside built-in ones, and put beside published rows."""
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    packages = [str(made / name) for name in ("small_head", "waves")]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(site), *packages], check=True)
    environment = on_path(site)

    listed = json.loads(pacbench("list", "--json", env=environment).stdout)
    assert {"small_head", "pac"} <= {line["name"] for line in listed["methods"]}
    (line,) = (line for line in listed["tasks"] if line["name"] == "waves")
    assert (line["package"], line["package_version"]) == ("pacbench-waves", "0.1.0")
    for kind, name in (("method", "small_head"), ("task", "waves")):
        process = pacbench("check", kind, name, env=environment)
        assert process.returncode == 0, process.stdout
        assert f"from package pacbench-{name.replace('_', '-')} 0.1.0" in process.stdout
    taken = pacbench("new", "task", "waves", "--out", tmp_path / "again", env=environment)
    assert "'waves' is taken: a task of that name is in package pacbench-waves 0.1.0" in taken.stderr

    (tmp_path / "mine.toml").write_text(SUITE)
    out = tmp_path / "out"
    process = pacbench("run", tmp_path / "mine.toml", "--out", out, env=environment)
    assert process.returncode == 0, process.stderr
    rows = table.read(out).to_pylist(maps_as_pydicts="strict")
    assert {row["status"] for row in rows} == {"done"}
    for row in rows:
        of = {"waves": "pacbench-waves", "small_head": "pacbench-small-head"}
        expected = {of[part] for part in (row["task"], row["method"]) if part in of}
        assert {name for name in row["versions"] if name.startswith("pacbench-")} == expected
        assert all(row["versions"][name] == "0.1.0" for name in expected)

    board = HOME / "docs" / "results" / "standard" / "rows.parquet"
    asked = ("compare", out, "--candidate", "small_head", "--baseline", "fine_tuning", "--board", board, "--json")
    process = pacbench(*asked, env=environment)
    assert process.returncode == 0, process.stderr
    record = json.loads(process.stdout)[0]
    assert record["tasks"] == 1
    assert record["trials"] == 4
    assert sum(record["unpaired"].values()) == 2
    assert pacbench("report", out).returncode == 0  # where the packages are not installed
