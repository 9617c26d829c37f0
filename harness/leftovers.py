"""Ends what a run leaves behind where the command and the process that works for it are killed in the same instant.

Nobody is left then who knows the run's processes by descent, and some of Ray's stay. So each run has a process of its
own that waits until both are gone; usually the command ends it. It knows the others by their folder for temporary
files, which no two runs share, or because they work inside it. This file is also that process's program, and imports no
other of ours.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SECONDS = 20.0
"""So long it tries."""


def watch(scratch: Path) -> subprocess.Popen[bytes]:
    """Start the process. It acts once nobody holds the other end of its standard input: this process, and its forks."""
    command = [sys.executable, "-I", "-S", __file__, str(scratch)]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(  # in a group of its own: no Ctrl-C for it
        command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, process_group=0
    )


def end(scratch: Path) -> None:
    """Kill the processes that have this folder for temporary files, until there are none; then delete it."""
    deadline = time.monotonic() + SECONDS
    while (found := _processes(scratch)) and time.monotonic() < deadline:
        for process in found:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(scratch, ignore_errors=True)


def _processes(scratch: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")  # lost where a process has given itself a name
            inside = os.readlink(entry / "cwd").startswith(f"{scratch}/")
            if inside or f"TMPDIR={scratch}".encode() in variables:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.stdin.read()
    end(Path(sys.argv[1]))
