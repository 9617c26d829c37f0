"""What several test files share: the real command, and a small campaign run once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.engines.allocator import round_alike

round_alike()  # before torch is loaded, as in the workers

import torch  # noqa: E402

torch.set_num_threads(1)  # as the workers do

COMMAND = Path(sys.executable).with_name("pacbench")

SMALL = """
name = "small"
tasks = ["friedman1"]
methods = ["fine_tuning", "pac", {name = "l2_sp", label = "l2-sp strong", alpha = 1.0}]
target_sizes = [10, 20]
[tuning]
configs = 2
seeds = 1
[final]
seeds = 2
[budget]
steps = 20
"""


def processes_of_session(session, seconds):
    """Command lines of the processes that still belong to a session, waiting so long for those that are ending."""
    deadline = time.monotonic() + seconds
    while True:
        alive = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    alive.append((path.parent / "cmdline").read_text())
            except OSError:
                continue
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.2)


@pytest.fixture(scope="session")
def pacbench():
    """The installed command as a user runs it; returns the finished process with its text output."""

    def run(*arguments, cwd=None, env=None, timeout=240):
        command = [str(COMMAND), *map(str, arguments)]
        whole = {**os.environ, **(env or {})}
        return subprocess.run(command, cwd=cwd, env=whole, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture(scope="session")
def small_suite(tmp_path_factory):
    """A suite file that runs in seconds."""
    path = tmp_path_factory.mktemp("suite") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def finished(pacbench, small_suite, tmp_path_factory):
    """The small suite, run to its end. Read it; copy it before changing it."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    process = pacbench("run", small_suite, "--out", folder)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture
def campaign(finished, tmp_path):
    """A copy of the finished small campaign."""
    return Path(shutil.copytree(finished, tmp_path / "campaign"))


@pytest.fixture(scope="session")
def made(small_suite, tmp_path_factory):
    """The small campaign, complete, with made-up scores, so without Ray. Copy it before changing it."""
    from harness import plan
    from harness.campaign import Campaign
    from harness.known import load_suite
    from harness.trial import describe

    campaign = Campaign.open(tmp_path_factory.mktemp("made") / "small", load_suite(str(small_suite), []))

    def commit(trials):
        for number, trial in enumerate(trials):
            scores = {
                "score_validation": 1 + number / 7,
                "score_test": None if trial.stage == "tune" else 1 + number / 9,
            }
            campaign.ledger.append([describe(trial) | {"status": "done", **scores}])

    commit(campaign.tune_trials)
    commit(plan.final_trials(campaign.suite, campaign.select()))
    return campaign.folder
