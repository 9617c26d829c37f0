"""Which engine trains a network: a rule of its arithmetic, its batch and the device, never of timing at run time."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from harness import seeds
from harness.data import size
from harness.engines.structure import NotLaned, structure
from harness.flops import count_flops
from harness.objective import Objective
from harness.task import Task, target_network, weightless

LANES_UP_TO = {"cpu": (160e6, 200_000), "cuda": (120e9, 20_000_000)}
"""FLOPs of one training step, and parameters, up to which lanes are faster than plain processes.

Below, dispatching the operations dominates and lanes share it; above, the arithmetic does, and one network at a time
keeps its weights in the cache. CPU: measured, benchmarks/engines.py. CUDA: estimated from the ratio of the peaks, not
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
    flops, parameters = step_size(task, batch)
    most_flops, most_parameters = LANES_UP_TO[device]
    if flops is None:
        return Engine("plain", f"auto: torch cannot count the FLOPs of {task.id}'s network")
    name = "lanes" if flops <= most_flops and parameters <= most_parameters else "plain"
    if name == "lanes" and not alike(task):
        return Engine("plain", f"auto: no two networks of {task.id} are of one structure, so none could share a step")
    size_of = f"{flops:.3g} FLOPs a step, {parameters} parameters"
    return Engine(name, f"auto: {size_of}; lanes up to {most_flops:.3g} and {most_parameters} on {device}")


@functools.lru_cache(maxsize=256)
def step_size(task: Task, batch: int) -> tuple[float | None, int]:
    """FLOPs of one training step of the task's network, all weights trained (None where torch cannot count), and its
    number of parameters. A checkpoint's network is counted without memory for its weights, and without a real step."""
    pool = task.datasets().target_pool
    large = task.checkpoint() is not None
    with seeds.seeded("rule", "network"):
        network = weightless(task) if large else target_network(task)
    examples = {name: tensor[: min(batch, size(pool))] for name, tensor in pool.items()}
    if large:
        examples = {name: tensor.to("meta") for name, tensor in examples.items()}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    try:
        return count_flops(Objective(network, task.loss), examples), parameters
    except Exception:  # noqa: BLE001 - a loss that fails will fail in its trials, where it has a row
        return None, parameters


@functools.lru_cache(maxsize=256)
def alike(task: Task) -> bool:
    """Whether two networks of the task are of one structure. Those that hold objects of their own, as the models of
    transformers hold their configuration, are not: each would be the only lane of its computation."""
    with seeds.seeded("rule", "network"):
        pair = [Objective(target_network(task), task.loss) for _ in range(2)]
    try:
        return structure(pair[0]) == structure(pair[1])
    except NotLaned:  # its trials train alone, and their rows say why
        return True
