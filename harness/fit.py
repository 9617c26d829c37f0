"""fit: the only way anything is trained, by the harness and by methods alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from harness import seeds
from harness.data import Examples, batch_order, size
from harness.errors import TrialTimeout
from harness.evaluate import Predict
from harness.flops import training_flops
from harness.objective import Objective
from harness.recipe import Recipe


@dataclass(frozen=True)
class Fitted:
    """What became of one objective. last_loss is the loss of the last batch seen; steps counts those taken.

    lanes: how many objectives trained in the same computation. seconds: the time this one took, in lanes its share.
    engine: the engine that trained it, and `note` the reason where that is not the one asked for.
    curve: (steps taken, loss of the last batch) whenever the engine looked at the losses and found them finite.
    """

    steps: int
    last_loss: float
    diverged: bool
    seconds: float = 0.0
    lanes: int = 1
    engine: str = "plain"
    note: str = ""
    curve: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Job:
    """Objectives of one structure, what they train on, in which order and how fast.

    Shapes: order (steps, batch), int64, indices into the examples. draw_seeds: of each objective's dropout.
    deadline: on `time.monotonic`, None for no limit. name: of this training among all of a campaign, for checkpoints.
    """

    objectives: Sequence[Objective]
    examples: Examples
    order: Tensor
    recipe: Recipe
    learning_rate: float
    deadline: float | None
    draw_seeds: Sequence[int]
    name: str = ""

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def check_time(self) -> None:
        """Raises: TrialTimeout once the deadline (on `time.monotonic`) has passed."""
        if self.over:
            raise TrialTimeout


class Engine(Protocol):
    """Trains every objective of a job in place, and runs networks over whole splits."""

    name: str
    large: bool
    """Whether its networks may be too large for one of them to be tried in this process."""

    def train(self, job: Job) -> list[Fitted]: ...

    def predict(self, predict: Predict, network: nn.Module, examples: Examples) -> tuple[Tensor, float]:
        """Predictions for every example, in eval mode, and the seconds they took (in lanes this one's share)."""
        ...


class Fit:
    """Trains objectives in place with the task's recipe, and counts what that costs.

    `steps` is the trial's budget of optimiser steps, for methods that spend fractions of it elsewhere. The batches are
    the same for every caller with the same `order_seed`, whatever the method. Counters: `steps_taken` over all
    objectives, `examples_seen`, `flops` (None once torch's counter could not count), `train_seconds`, and
    `untimed_seconds` that passed without being this trial's: counting, and waiting for
    other trials. `last` is the last result, for the record of how it was trained. `name` tells this one's trainings
    from others in the same campaign.
    """

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        order_seed: int,
        steps: int,
        learning_rate_factor: float = 1.0,
        deadline: float | None = None,
        name: str = "",
    ) -> None:
        self.steps = steps
        self.steps_taken = 0
        self.examples_seen = 0
        self.flops: float | None = 0.0
        self.train_seconds = 0.0
        self.untimed_seconds = 0.0
        self.last: Fitted | None = None
        self._calls = 0
        self._engine = engine
        self._recipe = recipe
        self._order_seed = order_seed
        self._learning_rate = recipe.learning_rate * learning_rate_factor
        self._deadline = deadline
        self._name = name

    def __call__(self, objectives: Sequence[Objective], examples: Examples, steps: int | None = None) -> list[Fitted]:
        """Train `objectives`, all of one structure, on `examples`; one result each, in order.

        A loss that is not finite ends that objective's training and marks its result, it does not raise.
        Raises: TrialTimeout.
        """
        if not examples:
            raise ValueError("no examples to fit: a method whose prepare trains must set needs_source_data = True")
        count = self.steps if steps is None else steps
        order = batch_order(size(examples), self._recipe.batch_size, count, self._order_seed)
        order = order.to(next(iter(examples.values())).device)
        self._count_flops(objectives, examples, order)
        self._calls += 1
        draws = [seeds.derive(str(torch.initial_seed()), f"dropout {self._calls} {i}") for i in range(len(objectives))]
        started = time.perf_counter()
        job = Job(
            objectives,
            examples,
            order,
            self._recipe,
            self._learning_rate,
            self._deadline,
            draws,
            f"{self._name}-{self._calls}",
        )
        results = self._engine.train(job)
        own = sum(result.seconds for result in results)
        self._wait(time.perf_counter() - started - own)
        self.train_seconds += own
        self.steps_taken += sum(result.steps for result in results)
        self.examples_seen += sum(result.steps for result in results) * order.shape[1]
        self.last = results[-1] if results else self.last
        return results

    def _wait(self, seconds: float) -> None:
        """Time that was spent on other trials counts neither as this one's nor against its limit."""
        self.untimed_seconds += seconds
        if self._deadline is not None:
            self._deadline += seconds

    def _count_flops(self, objectives: Sequence[Objective], examples: Examples, order: Tensor) -> None:
        started = time.perf_counter()
        if len(order):
            batch = {name: tensor[order[0]] for name, tensor in examples.items()}
            for objective in objectives:
                counted = training_flops(objective, batch, self._engine.large)
                self.flops = None if counted is None or self.flops is None else self.flops + counted * len(order)
        self.untimed_seconds += time.perf_counter() - started


def all_finite(losses: Tensor) -> bool:
    """True if every loss is finite; one synchronisation with the device."""
    return bool(torch.isfinite(losses).all())
