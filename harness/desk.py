"""The desk that hands out jobs to workers. It imports nothing heavy: the first pack waits for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Worker:
    """Where a worker is, and its note."""

    node: str
    host: str
    pid: int
    note: str
    oom_kills: int


@dataclass(frozen=True)
class Held:
    """The job that a slot works on. since: seconds since the epoch."""

    number: int
    worker: Worker
    since: float


class Desk:
    """Hands out jobs, first in first out among those that are due, and knows who works on which."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, int, Any]] = []
        self.held: dict[int, Held] = {}
        self.open: set[int] = set()
        self.closed = False

    def put(self, jobs: list[tuple[int, Any, float]], instead_of: int | None = None) -> int:
        """Take in jobs (number, reference, seconds to wait), in place of one that was lost; how many are open now."""
        self.waiting += [(time.monotonic() + wait, number, reference) for number, reference, wait in jobs]
        self.open |= {number for number, _, _ in jobs}
        if instead_of is not None:
            self.open.discard(instead_of)
        return len(self.open)

    def done(self, slot: int) -> int:
        """The driver has heard that the slot did what it held; how many jobs are open now."""
        if held := self.held.pop(slot, None):
            self.open.discard(held.number)
        return len(self.open)

    def close(self) -> None:
        """No more jobs will come, and what waits is left."""
        self.waiting.clear()
        self.open.clear()
        self.closed = True

    def take(self, slot: int, worker: Worker) -> tuple[int, Any] | str | None:
        """A job's number and reference; "wait" if none is due now but one may come; None once all are done."""
        now = time.monotonic()
        for index, (due, number, reference) in enumerate(self.waiting):
            if due <= now:
                del self.waiting[index]
                self.held[slot] = Held(number, worker, time.time())
                return number, reference
        return "wait" if self.open or not self.closed else None

    def drop(self, slot: int) -> Held | None:
        """What a slot held whose worker is lost; it stays open until something is put instead of it."""
        return self.held.pop(slot, None)

    def look(self) -> dict[int, Held]:
        """What every slot holds."""
        return self.held
