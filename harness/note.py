"""What a worker is doing, in a file that outlives it, and a watchdog process that holds it to its time limits.

A signal's handler runs only between two instructions of Python: code that hangs in C, blocks the signal or swallows the
exception is deaf to it. So each worker has a watchdog, a process of its own that reads from the file when the
trial's time is over, and kills the worker, which writes down where it stood. From the file the driver learns which
trial was to blame. This file is also the watchdog's program, and imports no other of ours.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

GRACE_SECONDS = 10.0
"""A trial whose time is over gets this long to notice."""

_WIDTH = 128
"""Bytes of a line. The first: deadline on the system's monotonic clock (0: none), and the trial's key. The second is
the watchdog's, if it killed the worker: the same, as it found it. Then comes the stack at the worker's death."""


class Note:
    """The note of this process. Without a path nothing is written and nobody watches."""

    def __init__(self, path: Path | None = None) -> None:
        self.trial = ""
        self._file = None if path is None else path.open("w+b", buffering=0)
        self._seconds = 0.0
        if path is None or self._file is None:
            return
        self._write()
        self._file.seek(2 * _WIDTH)
        faulthandler.enable(self._file, all_threads=False)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
    """What is in a note. trial: key, or empty; killed: by the watchdog; place: where it stood, empty if unknown."""

    trial: str
    killed: bool
    place: str


def read(path: str) -> Read:
    """The note that a worker left, deleted afterwards. Raises: OSError if there is none."""
    content = Path(path).read_bytes()
    Path(path).unlink(missing_ok=True)
    lines = [content[:_WIDTH], content[_WIDTH : 2 * _WIDTH].strip(b"\0")]
    trial = (lines[1] or lines[0]).decode(errors="replace").partition(" ")[2].strip()
    return Read(trial, bool(lines[1]), _innermost(content[2 * _WIDTH :].decode(errors="replace")))


def _innermost(stack: str) -> str:
    """`file.py:12 (function)` from the first line of a stack as faulthandler writes it."""
    for line in stack.splitlines():
        if line.startswith("  File "):
            _, file, rest = line.split('"', 2)
            number, _, function = rest.removeprefix(", line ").partition(" in ")
            return f"{Path(file).name}:{number} ({function})"
    return ""


def watch(path: Path, worker: int) -> None:
    """Kill the worker when the deadline of its note has passed; return when it is gone.

    SIGABRT first: faulthandler writes down the stack, and the worker does not go on from there.
    """
    while os.getppid() == worker:
        time.sleep(0.5)
        try:
            line = path.read_bytes()[:_WIDTH]
            deadline = float(line.partition(b" ")[0])
        except (OSError, ValueError):
            continue
        if deadline and time.monotonic() > deadline:
            with path.open("r+b", buffering=0) as file:
                os.pwrite(file.fileno(), line, _WIDTH)
            os.kill(worker, signal.SIGABRT)
            time.sleep(1.0)
            if os.getppid() == worker:
                os.kill(worker, signal.SIGKILL)
            return


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
