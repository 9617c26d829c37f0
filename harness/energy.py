"""Joules that a trial's devices take, from the counters that machines keep: NVML of GPUs, RAPL of processors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

RAPL = Path("/sys/class/powercap")
"""Where Linux shows the counters of Intel's and AMD's processors; mostly readable for root alone."""

LOOK_SECONDS = 20.0
"""Between looks at the counters: the smallest start anew after 65 kJ, which 400 W need 160 s for."""


@dataclass(frozen=True)
class Counter:
    """What has flowed since some moment. read: raises OSError or ValueError; unit_joules: of what it gives.

    span: where it starts anew at 0, in its unit; 0: never.
    """

    read: Callable[[], int]
    unit_joules: float
    span: int = 0


class Meter:
    """Joules from its making until `stop`. A thread looks in between, so that no counter comes round unseen."""

    def __init__(self, counters: Sequence[Counter], look_seconds: float = LOOK_SECONDS) -> None:
        self._counters = counters
        self._held = [counter.read() for counter in counters]
        self._joules: float | None = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(look_seconds,), daemon=True)
        self._thread.start()

    def stop(self) -> float | None:
        """The joules so far; None where a counter could no longer be read."""
        self._over.set()
        self._thread.join()
        self._look()
        return self._joules

    def _watch(self, look_seconds: float) -> None:
        while not self._over.wait(look_seconds):
            self._look()

    def _look(self) -> None:
        for place, counter in enumerate(self._counters):
            try:
                now = counter.read()
            except (OSError, ValueError):
                self._joules = None
                return
            gone = now - self._held[place]
            gone += counter.span if gone < 0 else 0
            self._held[place] = now
            if self._joules is not None:
                self._joules += gone * counter.unit_joules


def meter(device: torch.device, rapl: Path | None = None, look_seconds: float = LOOK_SECONDS) -> Meter | None:
    """A running meter of all GPUs that this process sees, or of all processors; None where they cannot be read."""
    try:
        counters = gpus() if device.type == "cuda" else processors(rapl or RAPL)
        return Meter(counters, look_seconds) if counters else None
    except (OSError, ValueError):
        return None


def processors(folder: Path) -> list[Counter]:
    """A counter for each processor, and for memory that has its own, in microjoules.

    Cores are part of their processor; the platform's counter and those of a second interface count the same again.
    Raises: OSError, ValueError.
    """
    found = []
    for zone in sorted(folder.glob("intel-rapl:*")):
        name, part = (zone / "name").read_text().strip(), zone.name.count(":") > 1
        if name == "dram" if part else name.startswith("package"):
            span = int((zone / "max_energy_range_uj").read_text())
            found.append(Counter(_reader(zone / "energy_uj"), 1e-6, span))
    return found


def _reader(path: Path) -> Callable[[], int]:
    return lambda: int(path.read_text())


def gpus() -> list[Counter]:
    """A counter for each GPU that this process sees, in millijoules; none without nvidia-ml-py. Raises: OSError."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        names = [f"GPU-{torch.cuda.get_device_properties(place).uuid}" for place in range(torch.cuda.device_count())]
        handles = [pynvml.nvmlDeviceGetHandleByUUID(name) for name in names]
    except pynvml.NVMLError as error:
        raise OSError(str(error)) from error

    def reader(handle: Any) -> Callable[[], int]:
        def read() -> int:
            try:
                return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
            except pynvml.NVMLError as error:
                raise OSError(str(error)) from error

        return read

    return [Counter(reader(handle), 1e-3) for handle in handles]
