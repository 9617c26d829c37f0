"""What a worker is doing, in a file that outlives it, and a watchdog process that holds it to its time limits.

A signal's handler runs only between two instructions of Python: code that hangs in C, blocks the signal or swallows the
exception is deaf to it. So each worker has a watchdog, a process of its own that reads from the file when the
trial's time is over, has the worker write down where it stands, and kills it. From the file the driver learns which
trial was to blame. This file is also the watchdog's program, and imports no other of ours.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 10.0
"""A trial whose time is over gets this long to notice."""

_WIDTH = 128
"""Bytes of the first line: deadline on the system's monotonic clock (0: none), and the trial's key."""


class Note:
    """The note of this process. Without a path nothing is written and nobody watches."""

    def __init__(self, path: Path | None = None) -> None:
        self.trial = ""
        self._file = None if path is None else path.open("w+b")
        self._seconds = 0.0
        if path is None or self._file is None:
            return
        self._write()
        self._file.seek(_WIDTH)
        faulthandler.register(signal.SIGUSR2, self._file, all_threads=False)
        command = [sys.executable, "-I", "-S", __file__, str(path), str(os.getpid())]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def doing(self, trial: str) -> None:
        """The code of this trial runs from now on; that of none, or of several together: an empty text."""
        self.trial = trial
        self._write()

    def limit(self, seconds: float) -> None:
        """What runs now must be over in `seconds`, or a little later; 0: no limit."""
        self._seconds = seconds
        self._write()

    def _write(self) -> None:
        if self._file is not None:
            deadline = time.monotonic() + self._seconds + GRACE_SECONDS if self._seconds else 0.0
            line = f"{deadline:.1f} {self.trial}".encode()[: _WIDTH - 1]
            os.pwrite(self._file.fileno(), line.ljust(_WIDTH - 1) + b"\n", 0)


@dataclass(frozen=True)
class Read:
    """What is in a note. trial: key, or empty; place: where a deaf trial stood when its time was over, else empty."""

    trial: str
    place: str


def read(path: str) -> Read:
    """The note that a worker left, deleted afterwards. Raises: OSError if there is none."""
    content = Path(path).read_bytes()
    Path(path).unlink(missing_ok=True)
    trial = content[:_WIDTH].decode(errors="replace").partition(" ")[2].strip()
    return Read(trial, _innermost(content[_WIDTH:].decode(errors="replace")))


def _innermost(stack: str) -> str:
    """`file.py:12 (function)` from the first line of a stack as faulthandler writes it."""
    for line in stack.splitlines():
        if line.startswith("  File "):
            _, file, rest = line.split('"', 2)
            number, _, function = rest.removeprefix(", line ").partition(" in ")
            return f"{Path(file).name}:{number} ({function})"
    return "an unknown place" if stack.strip() else ""


def watch(path: Path, worker: int) -> None:
    """Kill the worker when the deadline of its note has passed; return when it is gone."""
    parent = os.getppid()
    while os.getppid() == parent == worker:
        time.sleep(0.5)
        try:
            deadline = float(path.read_bytes()[:_WIDTH].partition(b" ")[0])
        except (OSError, ValueError):
            continue
        if deadline and time.monotonic() > deadline:
            os.kill(worker, signal.SIGUSR2)
            time.sleep(1.0)
            with path.open("ab") as file:
                file.write(b"\nkilled by the watchdog\n")
            os.kill(worker, signal.SIGKILL)
            return


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
