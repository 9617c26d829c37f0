"""Every example runs as it is, from another folder, and is short enough to be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from results import table

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "one_trial": ("done: rmse", "parameters could move"),
    "own_method": ("shrunk_head against fine_tuning", "shrunk_head is"),
    "own_task": ("Over 1 of 1 task", "scratch"),
    "image_folder": ("linear_probe", "fine_tuning"),
}
CSV = "task,method,seed,score,higher_is_better,metric\n"


def run(name, folder, *arguments):
    """The output of an example that ends well, run in an empty folder."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    return process.stdout


@pytest.mark.ray
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_a_campaign(name, tmp_path):
    said = run(name, tmp_path, tmp_path / "out")
    assert any(words in said for words in SAYS[name]), said
    campaign = tmp_path / "out" / ("campaign" if name == "image_folder" else "")
    assert set(table.read(campaign)["status"].to_pylist()) == {"done"}


def test_two_campaigns_are_compared(tmp_path, monkeypatch):
    """Of two imported ones, each with a method of its own, the better is found; eight tasks can tell."""
    monkeypatch.chdir(tmp_path)
    for folder, method, gain in (("one", "fine_tuning", 0.0), ("two", "mine", 0.1)):
        lines = [
            f"t{t},{method},{s},{0.5 + gain + 0.01 * ((7 * t + 3 * s) % 5)},true,accuracy"
            for t in range(8)
            for s in range(3)
        ]
        (tmp_path / f"{folder}.csv").write_text(CSV + "\n".join(lines))
        assert main(["import", f"{folder}.csv", "--out", folder]) == 0
    said = run("two_campaigns", tmp_path, "one", "two")
    assert said.startswith("48 rows; methods: fine_tuning, mine")
    assert "mine is better than fine_tuning, over 8 tasks" in said


def test_all_are_tried_and_short():
    files = sorted(EXAMPLES.glob("*.py"))
    assert {path.stem for path in files} == {*SAYS, "two_campaigns"}
    for path in files:
        lines = path.read_text().splitlines()
        assert len(lines) < 40, path.name
        assert path.name in lines[0], "the first line says how it is run"
