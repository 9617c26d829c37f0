"""Van der Pol's oscillator as a neural ODE: from weak to strong damping, from few short trajectories.

An example: state (position 1.2, velocity -0.4), and the three states that follow it, observed with noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.dynamics import LONG, rollout, rollout_error, rollout_loss, segments, whole
from tasks.numerics import DECIMALS, mlp, trajectories

SEED = 1926
STEP = 0.1
NOISE = 0.02
SCALE = (1.4, 1.4)
"""About the standard deviations of position and velocity in the source. Constants, so that no split shapes another."""


@dataclass(frozen=True)
class Regime:
    """nonlinearity: the strength of damping, 1/time."""

    nonlinearity: float

    def field(self, state: np.ndarray) -> np.ndarray:
        """d state/dt. Shapes: (examples, 2), position and velocity; result the same."""
        position, velocity = state.T
        return np.stack([velocity, self.nonlinearity * (1 - position**2) * velocity - position], 1)

    def trajectories(self, draw: np.random.RandomState, count: int) -> np.ndarray:
        """Whole trajectories from starts at random. Shapes: (count, LONG + 1, 2)."""
        starts = draw.uniform(-1.0, 1.0, (count, 2)) * (2.5, 2.5)
        states: np.ndarray = trajectories(self.field, starts, STEP * np.arange(LONG + 1)).round(DECIMALS)
        return states


@dataclass(frozen=True)
class VanDerPol(Task):
    """An oscillator that feeds itself: what transfers is a limit cycle that grows less round.

    Equation: x'' = m (1 - x^2) x' - x. Source: m = 0.5. Target: m = 0.5 + 0.5 * shift. Trajectories start with
    position and velocity uniform on [-2.5, 2.5].
    Splits: source 1,000 segments to train on and 200 trajectories to test on; target pool 500 segments, test 200
    trajectories. n counts segments, each of three steps of 0.1 (a free period is 2 pi) and cut at a random place from
    a trajectory of its own; every state of a segment, the first too, is observed with noise of 0.02 of SCALE. Test
    trajectories have 40 steps and no noise.
    The network is the vector field, an MLP of 1,218 parameters, integrated by Runge-Kutta's fourth order with one step
    for each step of the data (with the true field that costs 7e-5 of SCALE over a test trajectory). Ground truth:
    scipy's DOP853 at a relative tolerance of 1e-10, error below 1e-8. The loss is the mean square error of the three
    states in units of SCALE; the metric is the root of the same over whole trajectories rolled out from their true
    first state, so 0 is perfect and about 1.4 is a guess of unrelated states.
    Shapes: inputs (examples, 2), the first state; targets (examples, steps, 2), those that follow; float32.
    Anchors: at shift 1 (and 2) 0.84 (1.23) = scratch at n = 25, 0.117 (0.255) = fine-tuning on the whole pool; means
    over ten seeds, 500 steps, engine lanes (standard errors 0.24 and 0.0048; 0.34 and 0.0083).
    Source: Van der Pol, On relaxation-oscillations, 1926; Chen et al., NeurIPS 2018, arXiv 1806.07366 (the method).
    """

    name = "van_der_pol"
    version = "1"
    metric = "rollout_nrmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=6e-3, batch_size=20, schedule="cosine", source_steps=1500)
    source_fields = ()

    shift: float = setting(1.0, low=0.0, high=4.0)

    def datasets(self) -> Datasets:
        source = Regime(0.5)
        target = Regime(0.5 + 0.5 * self.shift)
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
        return {1.0: (0.84, 0.117), 2.0: (1.23, 0.255)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return rollout_loss(network, batch, STEP, SCALE)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        return rollout(network, batch, STEP, SCALE)

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rollout_error(predictions, examples, SCALE)
