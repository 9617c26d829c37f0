"""Method: the interface every transfer method implements, and what it may see of a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from harness.data import Examples
from harness.fit import Fit
from harness.objective import Loss, Objective
from harness.settings import Choice, Distribution, LogUniform, Uniform, setting

__all__ = ["Choice", "Examples", "Fit", "LogUniform", "Method", "Objective", "Problem", "Uniform", "setting"]


@dataclass(frozen=True)
class Problem:
    """What a method sees of the source or the target problem: training examples, never a test split.

    train: the examples to learn from. loss(network, batch): the scalar loss.
    score(network, examples): the task's metric, signed so that higher is better.
    head: name of the output layer's module. new_head: true if it was just initialised for a new label space.
    blocks: names of the backbone's blocks, input side first. steps: optimiser steps of the problem's own training.
    """

    train: Examples
    loss: Loss
    score: Callable[[nn.Module, Examples], float]
    head: str
    new_head: bool
    blocks: tuple[str, ...]
    steps: int


@dataclass(frozen=True)
class Method:
    """A frozen dataclass whose fields are its hyper-parameters.

    Class facts: `name`; `version`, raised with every change that can move a score; `paper`; `space`, the search
    space of tuning (fields not in it keep their default); `needs_source_data`, true if `prepare` trains on the source;
    `does_without_source_data`, true if it leaves that out where the source problem has no examples;
    `prepare_fields`, the only hyper-parameters that `prepare` reads (its cache key is made of them; None: of all);
    `pretrained`, false for a floor that starts from an untrained network; `control_of`, for a control the name of the
    method it is compared with, whose selected configuration it takes where a suite holds both; `prepared_as`, the name
    of a method with the same `prepare`, `prepare_fields` and version, whose prepared networks it shares.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    paper: ClassVar[str]
    space: ClassVar[Mapping[str, Distribution]] = {}
    needs_source_data: ClassVar[bool] = False
    does_without_source_data: ClassVar[bool] = False
    prepare_fields: ClassVar[tuple[str, ...] | None] = None
    pretrained: ClassVar[bool] = True
    control_of: ClassVar[str | None] = None
    prepared_as: ClassVar[str | None] = None

    learning_rate_factor: float = setting(1.0, low=1e-6, high=1e6)
    """Times the task's learning rate, in `adapt` and in the training on the target."""

    def prepare(self, network: nn.Module, source: Problem, fit: Fit) -> nn.Module:
        """Work that does not see the target. May change `network` in place and register buffers on its modules.

        Cached by content and shared by every target size and setting outside `prepare_fields`.
        Raises: Declined if the method does not apply.
        """
        return network

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        """What to train on the target; `network` is the trial's own copy, its head already the target's.

        Raises: Declined if the method does not apply.
        """
        raise NotImplementedError

    def planned_steps(self, steps: int, source_steps: int, blocks: int) -> int:
        """Optimiser steps of one trial at most, all phases together; for estimates before a run."""
        return steps
