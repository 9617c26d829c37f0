"""A damped pendulum as a neural ODE: from one length and damping to another, from few short trajectories.

An example: state (angle 1.2, velocity -0.4), and the three states that follow it at steps of 0.1 s, observed with noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import DECIMALS, mlp, rk4, trajectories

SEED = 1673
STEP, SHORT, LONG = 0.1, 3, 40
NOISE = 0.02
WIDEST = 1.8
"""Radians; with any phase too little energy to go over the top."""
SCALE = (0.8, 1.4)
"""About the standard deviations of angle and velocity in the source. Constants, so that no split shapes another."""


@dataclass(frozen=True)
class Regime:
    """stiffness: gravity over length, 1/s^2; damping: 1/s."""

    stiffness: float
    damping: float

    def field(self, state: np.ndarray) -> np.ndarray:
        """d state/dt. Shapes: (examples, 2), angle and velocity; result the same."""
        angle, velocity = state.T
        return np.stack([velocity, -self.stiffness * np.sin(angle) - self.damping * velocity], 1)


@dataclass(frozen=True)
class DampedPendulum(Task):
    """DOC"""

    name = "damped_pendulum"
    version = "1"
    metric = "rollout_nrmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=6e-3, batch_size=20, schedule="cosine", source_steps=1500)
    source_fields = ()

    shift: float = setting(1.0, low=0.0, high=10.0)

    def datasets(self) -> Datasets:
        source = Regime(4.0, 0.2)
        target = Regime(4.0 * (1 + 0.5 * self.shift), 0.2 + 0.3 * self.shift)
        draw = np.random.RandomState([SEED, 0])  # whose streams never change between versions of numpy
        return Datasets(
            source_train=_examples(source, draw, 1_000, cut=True),
            source_test=_examples(source, draw, 200, cut=False),
            target_pool=_examples(target, draw, 500, cut=True),
            target_test=_examples(target, draw, 200, cut=False),
        )

    def network(self) -> nn.Module:
        return mlp(2, (32, 32), 2)

    def anchors(self) -> tuple[float, float] | None:
        return {1.0: (1.0, 0.5), 2.0: (1.0, 0.5)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        scale = batch["inputs"].new_tensor(SCALE)
        return nn.functional.mse_loss(DampedPendulum.predict(network, batch) / scale, batch["targets"] / scale)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """The states at as many steps as the examples have. Shapes: (examples, steps, 2)."""
        scale = batch["inputs"].new_tensor(SCALE)
        rolled = rk4(network, batch["inputs"] / scale, STEP, batch["targets"].shape[1])
        return rolled * scale

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        errors = (predictions.double() - examples["targets"].double()) / torch.tensor(SCALE, dtype=torch.double)
        return float(errors.square().mean().sqrt())


def _examples(regime: Regime, draw: np.random.RandomState, count: int, cut: bool) -> Examples:
    """Whole trajectories; or segments with noise, each cut at a random place from a trajectory of its own."""
    swing, phase = WIDEST * np.sqrt(draw.random_sample(count)), 2 * np.pi * draw.random_sample(count)
    starts = np.stack([swing * np.cos(phase), swing * regime.stiffness**0.5 * np.sin(phase)], 1)
    states = trajectories(regime.field, starts, STEP * np.arange(LONG + 1)).round(DECIMALS)
    if cut:
        places = draw.randint(0, LONG - SHORT + 1, count)
        states = np.stack([whole[place : place + SHORT + 1] for whole, place in zip(states, places, strict=True)])
        states = states + NOISE * np.array(SCALE) * draw.standard_normal(states.shape)
    states = states.astype(np.float32)
    return {"inputs": torch.from_numpy(states[:, 0].copy()), "targets": torch.from_numpy(states[:, 1:].copy())}
