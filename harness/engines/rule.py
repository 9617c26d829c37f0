"""Which engine trains a network: a rule of its arithmetic, its batch and the device, never of timing at run time."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from harness import seeds
from harness.data import size
from harness.flops import training_flops
from harness.objective import Objective
from harness.task import Task

LANES_UP_TO = {"cpu": 150e6, "cuda": 150e9}
"""FLOPs of one training step of one network up to which lanes are faster than plain processes.

Below, dispatching the operations dominates and lanes share it; above, the arithmetic does and one network at a time
keeps its weights in the cache. CPU: measured, benchmarks/README.md. CUDA: estimated from the ratio of the peaks, not
measured.
"""


@dataclass(frozen=True)
class Engine:
    """The engine chosen, and why."""

    name: str
    reason: str


def choose(task: Task, batch: int, device: str, asked: str) -> Engine:
    """The engine for the task's network at a batch of `batch` examples on "cpu" or "cuda"; `asked` is the suite's."""
    if asked != "auto":
        return Engine(asked, "asked for by the suite")
    flops, limit = step_flops(task, batch), LANES_UP_TO[device]
    if flops is None:
        return Engine("plain", f"auto: torch cannot count the FLOPs of {task.id}'s network")
    name = "lanes" if flops <= limit else "plain"
    return Engine(name, f"auto: {flops:.3g} FLOPs a step; lanes up to {limit:.3g} on {device}")


@functools.lru_cache(maxsize=256)
def step_flops(task: Task, batch: int) -> float | None:
    """FLOPs of one training step of the task's network, all weights trained; None where torch cannot count."""
    pool = task.datasets().target_pool
    with seeds.seeded("rule", "network"):
        network = task.network()
        head = task.new_head()
    if head is not None:
        network.set_submodule(task.head, head)
    examples = {name: tensor[: min(batch, size(pool))] for name, tensor in pool.items()}
    try:
        return training_flops(Objective(network, task.loss), examples)
    except Exception:  # noqa: BLE001 - a loss that fails will fail in its trials, where it has a row
        return None
