"""Progress of a run on stderr: one live line on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, TextIO

PLAIN_LINE_SECONDS = 10.0


class Progress:
    """Counts finished trials; shows rate, time left and failures by class."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.counts: Counter[str] = Counter()
        self.stage, self.total, self.done = "", 0, 0
        self.started = self.shown = time.monotonic()

    def begin(self, stage: str, total: int) -> None:
        """A new stage of `total` trials."""
        self.stage, self.total, self.done = stage, total, 0
        self.started = time.monotonic()
        self._show()

    def add(self, statuses: Iterable[str]) -> None:
        """One pack has finished with these statuses; a source pack has none and counts as one."""
        statuses = list(statuses)
        self.counts.update(statuses)
        self.done += len(statuses) or 1
        if self.live or time.monotonic() - self.shown > PLAIN_LINE_SECONDS or self.done == self.total:
            self._show()

    def more(self, count: int) -> None:
        """So many more than planned; of a source pack that is split each part counts."""
        self.total += count

    def state(self) -> dict[str, Any]:
        """Stage, counts, rate and time left, as numbers."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        rate = self.done / seconds if self.done else None
        left = (self.total - self.done) / rate if rate else None
        known = {"stage": self.stage, "done": self.done, "total": self.total, "counts": dict(self.counts)}
        return known | {"rate": rate, "left_seconds": left}

    def note(self, text: str) -> None:
        """A line of its own."""
        self._write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")

    def end(self) -> None:
        """Leave the live line standing."""
        if self.live:
            self._write("\n")

    def line(self) -> str:
        """The state in one line of at most 80 columns, for instance `tune 120/336, 8.1/s, 27 s left, 2 diverged`."""
        state = self.state()
        parts = [f"{self.stage} {self.done}/{self.total}"]
        if self.done:
            parts.append(f"{state['rate']:.1f}/s")
        if 0 < self.done < self.total:
            parts.append(f"{duration(state['left_seconds'])} left")
        parts += [f"{count} {status}" for status, count in sorted(self.counts.items()) if status != "done"]
        return ", ".join(parts)[:80]

    def _show(self) -> None:
        self.shown = time.monotonic()
        self._write(f"\r\x1b[K{self.line()}" if self.live else f"{self.line()}\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def duration(seconds: float) -> str:
    """Seconds in words short enough for a table: `8 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
