"""The real command on a real Ray: run, resume, repeat, fail, interrupt, and methods from outside."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import signal
import subprocess
import time
from datetime import datetime

import pytest

from benchmarks import rerun
from results import table
from tests.conftest import COMMAND, processes_of_session

pytestmark = pytest.mark.ray

SCORES = [name for name in table.SCHEMA.names if name.startswith("score_")]


def scores(folder):
    """Every score column of every trial, by key, as exact text."""
    rows = table.read(folder)
    columns = [[repr(value) for value in rows[name].to_pylist()] for name in SCORES]
    return dict(zip(rows["key"].to_pylist(), zip(*columns, strict=True), strict=True))


def files(folder):
    """The committed files of a campaign with their content."""
    return {path.name: path.read_bytes() for path in table.ledger_files(folder)}


def test_every_planned_trial_has_a_row(finished, pacbench, small_suite):
    """Two configurations on one tuning seed, two final seeds, two sizes, three entrants: 24 trials, all done."""
    plan = json.loads(pacbench("plan", small_suite, "--json").stdout)
    rows = table.read(finished)
    assert plan["trials"] == len(rows) == 24
    assert plan["can_decide"].startswith("nothing over tasks: 1 task")
    assert set(rows["status"].to_pylist()) == {"done"}
    assert set(rows["label"].to_pylist()) == {"fine_tuning", "pac", "l2-sp strong"}
    assert set(rows["seed"].to_pylist()) == {0, 1, 10_000}


def test_rows_say_what_was_measured(finished):
    """Costs are measured where they can be and null elsewhere, never 0; scores of the test only in the final stage."""
    for row in table.read(finished).to_pylist():
        final = row["stage"] == "final"
        assert (row["score_test"] is not None) == final
        assert (row["inference_seconds"] is not None) == final
        assert row["energy_joules"] is None
        assert row["price"] is None
        for column in ("adapt_seconds", "evaluate_seconds", "peak_memory_bytes", "artifact_bytes", "training_flops"):
            assert row[column] > 0, column
        assert row["trained_parameters"] <= row["total_parameters"]
        assert row["target_steps"] == row["budget_steps"] == 20
        assert row["threads"] == row["world_size"] == 1
        assert row["engine"] == "lanes"
        assert row["lanes"] == 2, "two configurations on one seed, two final seeds; labels do not share a computation"
        assert not row["exclusive_device"]
        assert row["started_at"] < row["finished_at"]
        prepared = row["method"] == "pac"
        assert (row["prepare_seconds"] is not None) == prepared
        assert (row["source_steps"] > 0) == prepared
        assert (row["score_source_recovered"] is not None) == prepared
        if prepared:
            assert row["score_source_recovered"] == row["score_source_prepared"]


def test_rivals_share_source_model_and_pairing(finished):
    """For one (size, seed) every label has the same pair_key, and before adapting the same source score."""
    groups = {}
    for row in table.read(finished).to_pylist():
        cell = (row["task"], row["target_size"], row["seed"])
        groups.setdefault(cell, set()).add((row["pair_key"], row["source_key"], row["score_source_before"]))
    assert all(len(group) == 1 for group in groups.values())


def test_selection_is_recorded_before_the_first_test_score(finished):
    """One record per cell with candidates, scores and choice; the final rows use that choice and start later."""
    records = [json.loads(path.read_text()) for path in (finished / "selection").glob("*.json")]
    assert len(records) == 6
    final = [row for row in table.read(finished).to_pylist() if row["stage"] == "final"]
    for record in records:
        mine = [r for r in final if (r["label"], r["target_size"]) == (record["label"], record["target_size"])]
        assert len(mine) == 2
        for row in mine:
            assert json.loads(row["config"]) == record["chosen"]
            assert row["started_at"] > datetime.fromisoformat(record["written_at"])
        means = [candidate["mean"] for candidate in record["candidates"]]
        assert record["chosen"] == record["candidates"][means.index(max(means))]["config"]
    strong = [r for r in final if r["label"] == "l2-sp strong"]
    assert all(json.loads(row["config"])["alpha"] == 1.0 for row in strong), "a pinned hyper-parameter is not tuned"


def test_running_again_runs_nothing(campaign, pacbench, small_suite):
    """A finished campaign starts no Ray and takes under 10 seconds of processor time."""
    before = files(campaign)
    started = _processor_seconds()
    process = pacbench("run", small_suite, "--out", campaign)
    assert _processor_seconds() - started < 10
    assert process.returncode == 0
    assert "0 trials run" in process.stderr
    assert files(campaign) == before


@pytest.mark.parametrize("stage", ["tune", "final"])
def test_a_deleted_file_is_run_again_exactly(stage, campaign, pacbench, small_suite):
    """Exactly the deleted file's trials run, without the cache too, and give bitwise the same scores."""
    before, whole = files(campaign), scores(campaign)
    victim = next(
        path
        for path in table.ledger_files(campaign)
        if set(table.pq.read_table(path)["stage"].to_pylist()) == {stage}
        and "pac" in table.pq.read_table(path)["label"].to_pylist()
    )
    lost = set(table.pq.read_table(victim)["key"].to_pylist())
    victim.unlink()
    for cached in (campaign / "cache").iterdir():
        cached.unlink()
    process = pacbench("run", small_suite, "--out", campaign)
    assert process.returncode == 0, process.stderr
    assert f"{len(lost)} trials run" in process.stderr
    new = {name: content for name, content in files(campaign).items() if name not in before}
    assert len(new) == 1
    assert set(table.pq.read_table(campaign / "ledger" / next(iter(new)))["key"].to_pylist()) == lost
    assert scores(campaign) == whole


def test_two_runs_give_equal_scores(finished, pacbench, small_suite, tmp_path):
    """Another folder, another current folder: every score column is bitwise equal."""
    process = pacbench("run", small_suite, "--out", tmp_path / "second", cwd="/")
    assert process.returncode == 0, process.stderr
    assert scores(tmp_path / "second") == scores(finished)


def test_reading_commands_agree_with_the_rows(finished, pacbench, tmp_path):
    """status, leaderboard, compare, export and report run on the campaign; --json is one document and nothing else."""
    status = json.loads(pacbench("status", finished, "--json").stdout)
    assert (status["planned"], status["committed"], status["missing"], status["complete"]) == (24, 24, 0, True)
    board = json.loads(pacbench("leaderboard", finished, "--json").stdout)
    assert {standing["method"] for standing in board["methods"]} == {"fine_tuning", "pac", "l2-sp strong"}
    arguments = ("--candidate", "pac", "--baseline", "fine_tuning", "--json")
    records = json.loads(pacbench("compare", finished, *arguments).stdout)
    assert {(record["target_size"], record["question"]) for record in records} == {
        (size, question) for size in (None, 10, 20) for question in ("population", "fixed")
    }
    assert pacbench("export", finished, tmp_path / "rows.csv").returncode == 0
    with (tmp_path / "rows.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24
    report = pacbench("report", finished, "--out", tmp_path / "report")
    assert report.returncode == 0, report.stderr
    names = {"report.html", "report.md", "report.tex", "leaderboard.csv", "leaderboard.parquet"}
    assert {path.name for path in (tmp_path / "report").iterdir()} == names


METHOD = """
from dataclasses import dataclass
import os, signal, time, torch
from harness.errors import Declined
from harness.method import LogUniform, Method, Objective

class Exploding(Objective):
    def forward(self, batch):
        return super().forward(batch) * torch.tensor(float("nan"))

@dataclass(frozen=True)
class Trouble(Method):
    '''A method that gets into the trouble it is told to.'''
    name = "trouble"
    version = "1"
    kind: str = "none"

    def adapt(self, network, target, fit):
        if self.kind == "raise":
            raise ValueError("the method's own mistake")
        if self.kind == "exit":
            raise SystemExit(3)
        if self.kind == "decline":
            raise Declined("does not apply here")
        if self.kind == "hang":
            time.sleep(1000)
        if self.kind == "memory":
            raise MemoryError("too large")
        if self.kind == "die" and len(target.train["inputs"]) > 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return (Exploding if self.kind == "nan" else Objective)(network, target.loss)
"""

TROUBLE = """
name = "trouble"
tasks = ["friedman1"]
methods = [
    {name = "./trouble.py", kind = "raise", label = "raise"},
    {name = "./trouble.py", kind = "exit", label = "exit"},
    {name = "./trouble.py", kind = "decline", label = "decline"},
    {name = "./trouble.py", kind = "nan", label = "nan"},
    {name = "./trouble.py", kind = "hang", label = "hang"},
    {name = "./trouble.py", kind = "memory", label = "memory"},
    {name = "./trouble.py", kind = "die", label = "die"},
    {name = "./trouble.py", label = "fine"},
]
target_sizes = [10, 20]
[tuning]
configs = 2
[final]
seeds = 1
[budget]
steps = 20
trial_seconds = 8
"""


def test_every_failure_has_a_row_with_its_reason(pacbench, tmp_path):
    """Whatever a method does, the rest goes on; rows name the outcome; exit status 1. The worker that is killed at the
    larger size takes the smaller size's innocent trial along, which runs again alone."""
    (tmp_path / "trouble.py").write_text(METHOD)
    (tmp_path / "trouble.toml").write_text(TROUBLE)
    process = pacbench("run", tmp_path / "trouble.toml", "--out", tmp_path / "out")
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    found = {
        (r["label"], r["target_size"]): (r["status"], r["reason"]) for r in table.read(tmp_path / "out").to_pylist()
    }
    for label, status, reason in (
        ("raise", "failed", "ValueError: the method's own mistake (trouble.py:"),
        ("exit", "failed", "SystemExit: 3"),
        ("decline", "declined", "does not apply here"),
        ("nan", "diverged", "NaN"),
        ("hang", "timeout", "not finished after 8 s"),
        ("memory", "oom", "too large"),
    ):
        for size in (10, 20):
            assert found[label, size][0] == status, found[label, size]
            assert reason in found[label, size][1]
    assert found["die", 10][0] == "done"
    assert found["die", 20][0] == "failed"
    assert "worker process died" in found["die", 20][1]
    assert found["fine", 10][0] == found["fine", 20][0] == "done"
    again = pacbench("run", tmp_path / "trouble.toml", "--out", tmp_path / "out")
    assert (again.returncode, "0 trials run" in again.stderr) == (1, True)
    assert "ValueError: the method's own mistake" in pacbench("status", tmp_path / "out").stdout.replace("\n", " ")


def test_failed_trials_are_retried_when_asked(pacbench, tmp_path):
    """--retry-failed runs only what is not done, as a further attempt."""
    (tmp_path / "flaky.py").write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\n"
        "from harness.method import Method, Objective\n\n"
        "@dataclass(frozen=True)\nclass Flaky(Method):\n    name = 'flaky'\n    version = '1'\n\n"
        "    def adapt(self, network, target, fit):\n"
        f"        if not Path({str(tmp_path / 'mended')!r}).exists():\n            raise OSError('disk is away')\n"
        "        return Objective(network, target.loss)\n"
    )
    suite = TROUBLE.replace("trouble", "flaky")
    suite = re.sub(r"methods = \[.*?\n\]", 'methods = ["./flaky.py", "scratch"]', suite, flags=re.DOTALL)
    (tmp_path / "flaky.toml").write_text(suite.replace("configs = 2", "configs = 1"))
    assert pacbench("run", tmp_path / "flaky.toml", "--out", tmp_path / "out").returncode == 1
    (tmp_path / "mended").touch()
    process = pacbench("run", tmp_path / "flaky.toml", "--out", tmp_path / "out", "--retry-failed")
    assert process.returncode == 0, process.stderr
    assert "2 trials run" in process.stderr
    rows = table.read(tmp_path / "out").to_pylist()
    assert {(r["label"], r["attempt"], r["status"]) for r in rows} == {("flaky", 2, "done"), ("scratch", 1, "done")}
    assert len(table.read_attempts(tmp_path / "out")) == 6


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_is_committed_and_resumes(sent, finished, pacbench, small_suite, tmp_path):
    """Ctrl-C in mid-run: exit status 130, one line, no process left; the same command then completes the scores."""
    out = tmp_path / "out"
    command = [str(COMMAND), "run", str(small_suite), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not table.ledger_files(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr
    kept = files(out)
    assert kept
    assert processes_of_session(process.pid, seconds=10) == []
    resumed = pacbench("run", small_suite, "--out", out)
    assert resumed.returncode == 0, resumed.stderr
    assert kept.items() <= files(out).items()
    assert scores(out) == scores(finished)


def test_live_progress_on_a_terminal(small_suite, tmp_path):
    """On a terminal one line is rewritten and no line is longer than 80 columns."""
    import pty

    controller, terminal = pty.openpty()
    command = [str(COMMAND), "run", str(small_suite), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, stdin=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "\r\x1b[K" in text
    assert "tune" in text
    assert "final 13/13" in text  # twelve trials, and the pack that prepares what PAC's start from
    for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)):
        assert len(line) <= 80, line


def test_quick_help_and_list(pacbench):
    """--help answers without heavy imports; list without Ray."""
    started = _processor_seconds()
    assert pacbench("--help").returncode == 0
    helped = _processor_seconds()
    process = pacbench("list")
    assert {"fine_tuning", "pac", "friedman1", "quick"} <= set(process.stdout.split())
    assert helped - started < 0.5
    assert _processor_seconds() - helped < 5  # 2.5 s on an idle machine; a busy one slows the processor too


def _processor_seconds():
    """Processor time of the finished child processes so far, which a busy machine changes less than the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_engines_and_packs_agree_on_a_real_run(finished, pacbench, small_suite, tmp_path):
    """Plain gives the lanes' scores but for rounding, which 1,500 steps of source training make per cents of (close
    comparisons are in test_lanes); a run split over other packs gives every bit of them."""
    process = pacbench("run", small_suite, "--out", tmp_path / "plain", "--set", "engine.name=plain")
    assert process.returncode == 0, process.stderr
    both = []
    for folder in (finished, tmp_path / "plain"):
        rows = table.read(folder).to_pylist()
        both.append({(r["stage"], r["label"], r["target_size"], r["seed"], r["config"]): r for r in rows})
    lanes, plain = both
    assert {row["engine"] for row in plain.values()} == {"plain"}
    assert not {row["key"] for row in plain.values()} & {row["key"] for row in lanes.values()}, (
        "the engine is in the key"
    )
    shared = lanes.keys() & plain.keys()
    assert len(shared) >= 12
    for trial in shared:
        for name in SCORES:
            one, other = lanes[trial][name], plain[trial][name]
            assert (one is None) == (other is None)
            assert one is None or one == pytest.approx(other, rel=0.2), (trial, name)
    more = pacbench("run", small_suite, "--out", tmp_path / "more", "--set", "final.seeds=3", "--set", "tuning.seeds=1")
    assert more.returncode == 0, more.stderr
    wider, narrow = scores(tmp_path / "more"), scores(finished)
    common = wider.keys() & narrow.keys()
    assert len(common) >= 12
    assert all(wider[key] == narrow[key] for key in common), "a third lane beside two changed a bit"


def test_a_row_run_again_from_what_it_says_has_its_scores(finished, tmp_path, capsys, monkeypatch):
    """Tuned rows of two methods: the configuration comes from the row, not from tuning."""
    rows = table.read(finished)
    table.export(rows, tmp_path / "rows.parquet")
    wanted = [("pac", 1), ("l2-sp strong", 0)]
    keys = [
        row["key"] for row in rows.to_pylist() if (row["label"], row["seed"]) in wanted and row["target_size"] == 20
    ]
    assert len(keys) == 2
    monkeypatch.setattr("sys.argv", ["rerun", str(tmp_path / "rows.parquet"), *keys])
    assert rerun.main() == 0
    assert capsys.readouterr().out.count("all scores equal") == 2
