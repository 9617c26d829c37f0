"""Recipe: how a task is trained, by every method alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Optimiser, batch and schedule of a task.

    learning_rate is the source's and, times the method's factor, the target's. source_steps: optimiser steps of the
    source model. schedule: factor on the learning rate, constant or half a cosine down to 0; warmup_steps rise linearly
    before it. clip_norm: bound on the gradient's norm, None for no clipping.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    batch_size: int = 64
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    clip_norm: float | None = None
    source_steps: int = 1000

    def rate_factor(self, step: int, steps: int) -> float:
        """The schedule's factor on the learning rate at `step` of `steps`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - self.warmup_steps) / max(1, steps - self.warmup_steps)))
