"""What a trial costs: seconds on its device, peak memory, and a limit on its time."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from harness.errors import TrialTimeout
from harness.note import Note


def now(device: torch.device) -> float:
    """Seconds of a monotonic clock, after the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def reset_peak_memory(device: torch.device) -> None:
    """Forget the peak so far: of the device's allocator, or of this process's resident memory on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes(device: torch.device) -> int | None:
    """The peak since the reset; on a CPU the whole worker process, libraries included. None where not readable."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else None


@contextmanager
def time_limit(seconds: float, note: Note | None = None) -> Iterator[None]:
    """Raise TrialTimeout inside the block after `seconds`, also in code that never looks at a clock.

    Code that is deaf to it is left to the watchdog that reads the worker's `note`. Needs the main thread; elsewhere
    only the engines' own look at the deadline remains.
    """
    note = note or Note()
    if threading.current_thread() is not threading.main_thread() or seconds == math.inf:
        yield
        return

    def expire(signum: int, frame: FrameType | None) -> None:
        raise TrialTimeout

    before = signal.signal(signal.SIGALRM, expire)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # a trial before may have left it blocked
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
    note.limit(seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        note.limit(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No time limit expires inside the block; one that would have does so at its end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
