"""Where a command and its child are killed at once, what they started is ended, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

RUN = """
import os, subprocess, sys, time
from pathlib import Path
from harness import leftovers

def start(folder):
    command = [sys.executable, "-c", "import time; time.sleep(100)"]
    environment = {**os.environ, "TMPDIR": folder}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True).pid

held = leftovers.watch(Path(sys.argv[1]))
other = start(sys.argv[1] + "-another")
if child := os.fork():
    print(child, other, start(sys.argv[1]), start(sys.argv[1]), flush=True)
time.sleep(100)
"""


def test_what_was_started_ends_once_both_are_killed_and_nothing_else(tmp_path):
    """One of the two is not enough. The processes are known by their folder for temporary files, which goes too."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "file").touch()
    with subprocess.Popen([sys.executable, "-c", RUN, scratch], stdout=subprocess.PIPE, text=True) as process:
        child, other, *started = map(int, process.stdout.readline().split())
        os.kill(child, signal.SIGKILL)
        time.sleep(1.0)
        assert all(map(runs, started))
        process.kill()
    deadline = time.monotonic() + 20
    while (scratch.exists() or any(map(runs, started))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, started))
    assert not scratch.exists()
    assert runs(other)
    os.kill(other, signal.SIGKILL)


def runs(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
