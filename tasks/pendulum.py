"""A damped pendulum as a neural ODE: from one length and damping to another, from few short trajectories.

An example: state (angle 1.2, velocity -0.4), and the three states that follow at steps of 0.1 s, seen with noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.dynamics import LONG, rollout, rollout_error, rollout_loss, segments, whole
from tasks.numerics import DECIMALS, mlp, trajectories

SEED = 1673
STEP = 0.1
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

    def trajectories(self, draw: np.random.RandomState, count: int) -> np.ndarray:
        """Whole trajectories from starts at random. Shapes: (count, LONG + 1, 2)."""
        swing, phase = WIDEST * np.sqrt(draw.random_sample(count)), 2 * np.pi * draw.random_sample(count)
        starts = np.stack([swing * np.cos(phase), swing * self.stiffness**0.5 * np.sin(phase)], 1)
        states: np.ndarray = trajectories(self.field, starts, STEP * np.arange(LONG + 1)).round(DECIMALS)
        return states


@dataclass(frozen=True)
class DampedPendulum(Task):
    """A pendulum with friction: what transfers is that motion follows a field of this shape, faster and more damped.

    Equation: angle'' = -k sin(angle) - d angle', in radians and seconds, k gravity over length. Source: k = 4, d =
    0.2. Target: k = 4 (1 + 0.5 * shift), d = 0.2 + 0.3 * shift. Trajectories start at any phase of swings up to 1.8
    radians.
    Splits: source 1,000 segments to train on and 200 trajectories to test on; target pool 500 segments, test 200
    trajectories. n counts segments, each of three steps of 0.1 s and cut at a random place from a trajectory of its
    own; every state of a segment, the first too, is observed with noise of 0.02 of SCALE. Test trajectories have 40
    steps and no noise.
    The network is the vector field, an MLP of 1,218 parameters, integrated by Runge-Kutta's fourth order with one step
    for each step of the data (with the true field that costs 9e-5 of SCALE over a test trajectory). Ground truth:
    scipy's DOP853 at a relative tolerance of 1e-10, error below 1e-8. The loss is the mean square error of the three
    states in units of SCALE; the metric is the root of the same over whole trajectories rolled out from their true
    first state, so 0 is perfect and about 1.4 is a guess of unrelated states.
    Shapes: inputs (examples, 2), the first state; targets (examples, steps, 2), those that follow; float32.
    Anchors: at shift 1 (and 2) 0.249 (0.28) = scratch at n = 25, 0.0295 (0.0284) = fine-tuning on the whole pool;
    means over ten seeds, 500 steps, engine lanes (standard errors 0.055 and 0.00079; 0.051 and 0.0015).
    Source: Chen et al., Neural Ordinary Differential Equations, NeurIPS 2018, arXiv 1806.07366 (the method).
    """

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
        noise = NOISE * np.array(SCALE)
        return Datasets(
            source_train=segments(source.trajectories(draw, 1_000), noise, draw),
            source_test=whole(source.trajectories(draw, 200)),
            target_pool=segments(target.trajectories(draw, 500), noise, draw),
            target_test=whole(target.trajectories(draw, 200)),
        )

    def network(self) -> nn.Module:
        return mlp(2, (32, 32), 2)

    def anchors(self) -> tuple[float, float] | None:
        return {1.0: (0.249, 0.0295), 2.0: (0.28, 0.0284)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return rollout_loss(network, batch, STEP, SCALE)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        return rollout(network, batch, STEP, SCALE)

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rollout_error(predictions, examples, SCALE)
