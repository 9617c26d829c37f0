"""Running from a program with threads: nothing of it is forked, nothing stays behind when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pacbench as pb
from harness.cli import main
from tests.conftest import processes_of_session

SECONDS = 120
"""In which a run that is to end has ended, on a machine that does much else; some seconds where it does not."""

PROGRAM = """
import sys, threading, time
import pyarrow, torch
import pacbench
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
suite = {{"name": "long", "tasks": ["friedman1"], "methods": ["fine_tuning"], "target_sizes": [10]}}
suite |= {{"tuning": {{"configs": 1}}, "final": {{"seeds": 200}}, "budget": {{"steps": 2000}}}}
try:
    pacbench.run(suite, {out!r}, {{"engine.name": "plain"}})
except KeyboardInterrupt:
    print("interrupted")
"""


def command_of(program):
    """The process of the command that a program has started, which is the leader of its session."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"attached.py") for word in words) and str(program.pid).encode() in words:
            return int(path.parent.name)
    raise AssertionError("no command was started")


@pytest.mark.ray
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_the_run_ends_where_the_program_does(sent, tmp_path):
    """An interrupt ends it cleanly and is raised; where the program is killed the run ends all the same."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(out=str(tmp_path / "out"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    for line in program.stderr:
        if line.startswith("final"):
            break
    session = command_of(program)
    assert os.getsid(session) == session
    assert processes_of_session(session, 0)
    program.send_signal(sent)
    output = program.communicate(timeout=SECONDS)[0]
    assert output == ("interrupted\n" if sent == signal.SIGINT else "")
    assert processes_of_session(session, SECONDS) == []
    left = pb.status(tmp_path / "out")
    assert left.missing > 0


@pytest.mark.ray  # which starts while the suite is read
def test_bad_input_is_raised_with_the_commands_words_and_nothing_is_started(tmp_path, capfd):
    """A setting that is none, as `plan` says it too; the message is raised, not printed as well."""
    with pytest.raises(pb.UserError) as caught:
        pb.run("quick", tmp_path / "out", {"final.seeds": 0})
    assert capfd.readouterr().err == ""
    assert main(["plan", "quick", "--set", "final.seeds=0"]) == 2
    assert capfd.readouterr().err == f"pacbench: {caught.value}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.ray  # for the campaign that it finds
def test_a_finished_campaign_is_returned_and_progress_is_said(campaign, small_suite, capfd):
    """Nothing is missing, so no Ray starts; what failed would be in the value, not an exception."""
    found = pb.run(small_suite, campaign)
    assert found.complete
    assert found.counts == {"done": 24}
    assert "0 trials run, 24 committed" in capfd.readouterr().err
    pb.run(small_suite, campaign, progress=False)
    assert capfd.readouterr().err == ""
