"""What a run is doing now, for whoever asks from another shell: one small file that the driver replaces while it lives.

It is a display, never a truth: what is committed stands in the ledger, and a run that was killed leaves its last words.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.record import read_json
from results.place import STAGED, Place

NAME = "running.json"
WRITE_SECONDS = 2.0
STORE_SECONDS = 15.0
"""How often a folder, and how often an object store is written to."""

LATE_SECONDS = 60.0
"""A run on another machine that has not written for so long is taken for dead."""


@dataclass(frozen=True)
class Slot:
    """What one slot works on. since: seconds since the epoch."""

    slot: int
    host: str
    pid: int
    work: str
    since: float


@dataclass(frozen=True)
class Beat:
    """The state of a run. Times are seconds since the epoch; rate is finished trials per second of this stage."""

    host: str
    pid: int
    boot: str
    started: float
    updated: float
    stage: str
    done: int
    total: int
    rate: float | None
    left_seconds: float | None
    counts: dict[str, int] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)


class Heartbeat:
    """Writes the file, at most every few seconds; removes it at the end."""

    def __init__(self, folder: Place) -> None:
        self.path = folder / NAME
        self.started = time.time()
        self._written = 0.0

    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written > (WRITE_SECONDS if isinstance(self.path, Path) else STORE_SECONDS)

    def write(self, stage: dict[str, Any], slots: list[Slot]) -> None:
        """Replace the file. A disk that refuses is left to the commits to complain about."""
        now = time.time()
        self._written = time.monotonic()
        beat = Beat(os.uname().nodename, os.getpid(), _boot(), self.started, now, **stage, slots=slots)
        content = (json.dumps(asdict(beat), indent=1) + "\n").encode()
        try:
            if isinstance(self.path, Path):
                staged = self.path.with_name(f"{STAGED}{NAME}")
                staged.write_bytes(content)
                os.replace(staged, self.path)
            else:
                self.path.write_bytes(content)
        except OSError:
            return

    def end(self) -> None:
        """The run has ended as it should."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return


def read(folder: Place) -> tuple[Beat, bool] | None:
    """The last state that a run wrote, and whether it is still alive; None if none is there or it cannot be read."""
    try:
        content = read_json(folder / NAME)
        slots = [Slot(**slot) for slot in content.pop("slots")]
        beat = Beat(**content, slots=slots)
        late = time.time() - beat.updated > LATE_SECONDS
    except (UserError, TypeError, KeyError, AttributeError):
        return None
    if (beat.host, beat.boot) == (os.uname().nodename, _boot()):
        return beat, Path(f"/proc/{beat.pid}").exists()
    return beat, not late


def _boot() -> str:
    """Which machine, since when it runs: process numbers of another mean nothing here."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
