"""Trials with several ranks, by the real command on a real Ray: what a suite gets, and what may happen to a rank."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.sharding import processors_have_float16
from results import table
from tests.conftest import COMMAND, processes_of_session

pytest.importorskip("deepspeed")

SUITE = """
name = "gang"
tasks = ["tiny_image_classifier"]
methods = ["scratch"]
target_sizes = [40]
[tuning]
configs = 1
seeds = 1
[final]
seeds = 1
[budget]
steps = 80
trial_seconds = 120
[engine]
name = "deepspeed"
ranks = 2
zero_stage = 3
checkpoint_steps = 10
silent_seconds = 8
"""


def rank_processes(session):
    """The processes of a session that a fork server has forked, by process id."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            parent = (Path("/proc") / fields[1] / "cmdline").read_text()
            if (
                int(fields[3]) == session
                and "forkserver" in parent
                and "forkserver" in (path.parent / "cmdline").read_text()
            ):
                found.append(int(path.parent.name))
        except (OSError, ValueError):
            continue
    return sorted(found)


def run_and(folder, suite, what):
    """Run the suite; once a trial has a checkpoint do `what` to the second of its ranks' processes. Its stderr."""
    process = subprocess.Popen(
        [COMMAND, "run", suite, "--out", folder], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        start_new_session=True, cwd="/",
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(folder.glob("checkpoints/*/[0-9]*")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.kill(rank_processes(process.pid)[-1], what)
    _, said = process.communicate(timeout=500)
    assert processes_of_session(process.pid, 20) == []
    return process.returncode, said


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "gang.toml"
    path.write_text(SUITE)
    return path


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_killed_rank_is_started_again_and_goes_on(suite, tmp_path):
    """That it then has the same weights is tested where they can be seen, in test_deepspeed.py."""
    code, said = run_and(tmp_path / "out", suite, signal.SIGKILL)
    assert code == 0, said
    assert "lost (died)" in said
    (row,) = table.read(tmp_path / "out").to_pylist()
    assert row["status"] == "done"
    assert int(dict(row["extra"])["resumed_at_steps"]) >= 10
    assert "of 2 on" in dict(row["extra"])["ran_again_after"]
    assert dict(row["extra"])["ran_again_after"].endswith("was ended by signal 9")
    assert not list((tmp_path / "out" / "checkpoints").iterdir())


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_rank_that_hangs_ends_its_trial(suite, tmp_path):
    code, said = run_and(tmp_path / "out", suite, signal.SIGSTOP)
    assert code == 1, said
    (row,) = table.read(tmp_path / "out").to_pylist()
    assert row["status"] == "timeout", row["reason"]
    assert "of 2 hung: it let the others wait for 8 s" in row["reason"]


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_large_models_on_two_ranks(pacbench, tmp_path):
    """What `large_smoke` runs, sharded; one of its models with two methods."""
    given = [
        'methods=["fine_tuning", "pac"]',
        'tasks=[{name = "tiny_language_model", architecture = "llama"}]',
        "budget.steps=10",
    ]
    settings = [part for one in given for part in ("--set", one)]
    process = pacbench("run", "large_smoke", "--out", tmp_path / "out", *settings, timeout=800)
    assert process.returncode == 0, process.stderr
    rows = {row["method"]: row for row in table.read(tmp_path / "out").to_pylist()}
    assert len(rows) == 2
    for row in rows.values():
        spread = (row["status"], row["engine"], row["world_size"], row["precision"])
        assert spread == ("done", "deepspeed", 2, "float32")
        assert row["training_flops"] > 0
        assert row["examples_per_second"] > 0
        each = dict(row["extra"])["peak_memory_bytes_by_rank"].split(",")
        assert row["peak_memory_bytes"] == max(map(int, each))
        assert len(each) == 2
    assert rows["pac"]["score_source_recovered"] == rows["pac"]["score_source_prepared"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("engine.ranks=3", "task tiny_image_classifier, its source: a batch has 16 examples; expected a multiple of 3"),
        ("engine.accumulation=32", "expected a multiple of 64 ([engine] ranks = 2 times accumulation = 32)"),
        ("engine.name=plain", "only the engine 'deepspeed' has that, not 'plain'"),
        ("engine.precision=float8", "precision = 'float8' is not one of 'float32', 'bfloat16', 'float16'"),
        pytest.param(
            "engine.precision=float16",
            "this machine's processors do not compute in it; expected 'bfloat16' or 'float32'",
            marks=pytest.mark.skipif(processors_have_float16(), reason="these processors have it"),
        ),
        ("resources.gpus=0.5", "[resources] gpus = 0.5; expected 0 or 1 for each rank"),
        ("engine.zero_stages=3", "unknown setting 'zero_stages'; did you mean 'zero_stage'?"),
    ],
)
def test_what_cannot_be_spread_is_refused_before_anything_starts(pacbench, suite, tmp_path, change, said):
    process = pacbench("run", suite, "--out", tmp_path / "out", "--set", change)
    assert process.returncode == 2
    assert said in process.stderr, process.stderr
    assert not (tmp_path / "out").exists()
