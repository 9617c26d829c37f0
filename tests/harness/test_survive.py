"""What a method can do to its worker, and what may happen to processes: the real command, real kills."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from results import table
from tests.conftest import COMMAND, processes_of_session

pytestmark = pytest.mark.ray

METHOD = """
from dataclasses import dataclass
import ctypes, os, signal, time
from harness.method import LogUniform, Method, Objective

@dataclass(frozen=True)
class Nasty(Method):
    '''A method that harms the worker it runs in, with one of its configurations.'''
    name = "nasty"
    version = "1"
    pretrained = False
    space = {"strength": LogUniform(0.1, 10.0)}
    kind: str = "none"
    strength: float = 1.0

    def adapt(self, network, target, fit):
        if self.strength != 1.0:
            if self.kind == "exit":
                os._exit(3)
            if self.kind == "hang":
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
                ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter's lock
            if self.kind == "swallow":
                while True:
                    try:
                        time.sleep(1)
                    except BaseException:
                        pass
            if self.kind == "memory":
                kept = []
                while True:
                    kept.append(bytearray(2**31))  # untouched pages: at its limit long before its time is over
            if self.kind == "raise":
                raise ValueError("not with this configuration")
        return Objective(network, target.loss)
"""

KINDS = {
    "exit": ("failed", "the worker process died while this trial ran, 3 times"),
    "hang": ("timeout", "not finished after 4 s, and deaf to its time limit: it was ended in nasty.py:"),
    "swallow": ("timeout", "not finished after 4 s, and deaf to its time limit: it was ended in nasty.py:"),
    "memory": ("oom", "MemoryError"),
    "raise": ("failed", "ValueError: not with this configuration"),
}

SUITE = """
name = "nasty"
tasks = ["friedman1"]
methods = [%s
    {name = "./nasty.py", label = "fine"},
]
target_sizes = [10]
[tuning]
configs = 2
seeds = 2
[final]
seeds = 1
[budget]
steps = 20
trial_seconds = 4
[resources]
memory_gb = 1.0
"""


def test_a_method_that_harms_its_worker_is_named_and_the_others_complete(pacbench, tmp_path):
    """One configuration of each exits, hangs deaf to signals, swallows its interruption, allocates without end, or
    raises. The trials that do it are named in their rows, those that shared a worker with them are done."""
    (tmp_path / "nasty.py").write_text(METHOD)
    entries = "".join(f'\n    {{name = "./nasty.py", kind = "{kind}", label = "{kind}"}},' for kind in KINDS)
    (tmp_path / "nasty.toml").write_text(SUITE % entries)
    started = time.monotonic()
    process = pacbench("run", tmp_path / "nasty.toml", "--out", tmp_path / "out")
    assert time.monotonic() - started < 200
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    rows = table.read(tmp_path / "out").to_pylist()
    assert len(rows) == 6 * (2 * 2 + 1)
    for row in rows:
        strength = float(re.search(r'"strength":([0-9.e+-]+)', row["config"]).group(1))
        status, reason = KINDS.get(row["label"], ("done", "")) if strength != 1.0 else ("done", "")
        assert row["status"] == status, row
        assert reason in (row["reason"] or "")
    assert "lost (died) on" in process.stderr
    assert "lost (timeout) on" in process.stderr
    assert "ran out of memory; they run again alone" in process.stderr


@pytest.mark.parametrize("victims", ["driver", "child", "raylet", "driver and child"])
def test_whatever_is_killed_the_scores_are_the_same_and_nothing_is_left(
    victims, finished, pacbench, small_suite, tmp_path
):
    """SIGKILL of the command itself, alone or in the same instant as the process that drives Ray: nothing is left, the
    same command resumes. Of the process that drives Ray or of Ray's own: the command goes on by itself."""
    out = tmp_path / "out"
    command = [str(COMMAND), "run", str(small_suite), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not table.ledger_files(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    for victim in [_find(one, process.pid) for one in victims.split(" and ")]:
        os.kill(victim, signal.SIGKILL)
    _, stderr = process.communicate(timeout=200)
    assert processes_of_session(process.pid, seconds=20) == []
    if "driver" in victims:
        assert process.returncode == -signal.SIGKILL
        assert pacbench("run", small_suite, "--out", out).returncode == 0
    else:
        assert process.returncode == 0, stderr
        assert "it goes on" in stderr
    assert exact(out) == exact(finished)


def _find(victim, session):
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            program = (path / "exe").resolve().name
        except OSError:
            continue
        if int(fields[3]) != session:
            continue
        number = int(path.name)
        child = int(fields[1]) == session and "pacbench" in (path / "comm").read_text()
        found = {"driver": number == session, "child": child, "raylet": program == "raylet"}
        if found[victim]:
            return number
    raise AssertionError(f"no {victim}")


def exact(folder):
    """Every score of every trial, by key, as exact text."""
    names = [name for name in table.SCHEMA.names if name.startswith("score_")]
    rows = table.read(folder).to_pylist()
    return {row["key"]: tuple(repr(row[name]) for name in names) for row in rows}


HOSTILE = """
from dataclasses import dataclass
import os, threading, warnings
import numpy as np, torch
from harness.method import Method, Objective

@dataclass(frozen=True)
class Hostile(Method):
    '''A method that leaves its process as no other can use it, or ends in unusual ways.'''
    name = "hostile"
    version = "1"
    kind: str = "settings"

    def adapt(self, network, target, fit):
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        if self.kind == "generator":
            raise GeneratorExit
        if self.kind == "thread":
            thread = threading.Thread(target=fit, args=([Objective(network, target.loss)], target.train))
            thread.start()
            thread.join()
        if self.kind == "settings":
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            torch.set_num_threads(7)
            np.seterr(all="raise")
            os.chdir("/")
            warnings.simplefilter("error")
        return Objective(network, target.loss)
"""


@pytest.mark.parametrize("engine", ["lanes", "plain"])
def test_the_innocent_do_not_notice_a_hostile_method(engine, pacbench, small_suite, tmp_path):
    """It changes what holds for the whole process, raises what is no Exception, or trains in a thread, ahead of the
    others on the same workers: no worker is lost, its rows say what it did, the others' have the same bits."""
    (tmp_path / "hostile.py").write_text(HOSTILE)
    kinds = ("settings", "interrupt", "generator", "thread")
    entries = "".join(f'{{name = "./hostile.py", kind = "{kind}", label = "{kind}"}}, ' for kind in kinds)
    text = small_suite.read_text()
    for name, methods in (("peace", "methods = ["), ("war", f"methods = [{entries}")):
        (tmp_path / f"{name}.toml").write_text(text.replace("methods = [", methods))
    settings = ("--set", f"engine.name={engine}", "--set", "tuning.configs=1")
    found = {}
    for name in ("peace", "war"):
        process = pacbench("run", tmp_path / f"{name}.toml", "--out", tmp_path / name, *settings)
        assert process.returncode == (name == "war"), process.stderr
        assert "lost" not in process.stderr
        rows = table.read(tmp_path / name).to_pylist()
        found[name] = {
            (row["label"], row["target_size"], row["seed"]): row for row in rows if row["label"] not in kinds
        }
        for row in rows:
            if row["label"] in ("interrupt", "generator"):
                error = {"interrupt": "KeyboardInterrupt", "generator": "GeneratorExit"}[row["label"]]
                assert row["status"] == "failed"
                assert row["reason"].startswith(f"raised {error} (hostile.py:")
            elif row["label"] != "settings":
                assert row["status"] == "done", row["reason"]
    assert found["war"].keys() == found["peace"].keys()
    for trial, row in found["peace"].items():
        for name in table.SCHEMA.names:
            if name.startswith("score_"):
                assert repr(found["war"][trial][name]) == repr(row[name]), (trial, name)
