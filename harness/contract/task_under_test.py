"""A task under test: its data and networks, made once for all checks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import nn

from harness import seeds
from harness.contract.check import NotChecked
from harness.data import Datasets, Examples, size, take
from harness.task import Task

SPLITS = ("source_train", "source_test", "target_pool", "target_test")

FEW = 8
"""Examples that losses are tried on."""


class TaskUnderTest:
    """A task with its data and network, made once."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.seconds = 0.0
        self._made: Datasets | None = None
        self._tried = False

    @property
    def sets(self) -> Datasets:
        """The task's data. Raises: what making them does, the first time; NotChecked after that."""
        if self._made is None:
            if self._tried:
                raise NotChecked("its data cannot be made; see `data`")
            self._tried = True
            started = time.perf_counter()
            with seeds.seeded("contract", "data"):
                self._made = self.task.datasets()
            self.seconds = time.perf_counter() - started
        return self._made

    def splits(self) -> dict[str, Examples]:
        """The splits that there are, by name."""
        held = {name: getattr(self.sets, name) for name in SPLITS}
        return {name: examples for name, examples in held.items() if examples is not None}

    def network(self, key: str = "a key", retargeted: bool = False) -> nn.Module:
        """The untrained network, with the target's head where `retargeted`. A fresh one at every call."""
        with seeds.seeded(key, "initial weights"):
            network = self.task.network()
            head = self.task.new_head() if retargeted else None
        if head is not None:
            self.task.retarget(network, head)
        return network

    def batches(self) -> Iterator[tuple[str, nn.Module, Examples]]:
        """A few examples of each problem, with the network that has its head."""
        yield "target", self.network(retargeted=True), few(self.sets.target_pool, FEW)
        if self.sets.source_train is not None:
            yield "source", self.network(), few(self.sets.source_train, FEW)


def few(examples: Examples, count: int) -> Examples:
    return take(examples, torch.arange(min(count, size(examples))))
