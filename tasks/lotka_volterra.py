"""Hunters and prey (Lotka and Volterra) as a neural ODE: from one pair of species to another, from few short series.

An example: state (log prey 0.3, log hunters 0.9), and the three states that follow it, observed with noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.dynamics import LONG, rollout, rollout_error, rollout_loss, segments, whole
from tasks.numerics import DECIMALS, mlp, trajectories

SEED = 1925
STEP = 0.15
NOISE = 0.02
SCALE = (0.6, 0.6)
"""About the standard deviations of the logarithms in the source. Constants, so that no split shapes another."""


@dataclass(frozen=True)
class Regime:
    """growth and death: rates, 1/time; caught and fed: rates per head of the other species."""

    growth: float
    caught: float
    death: float
    fed: float

    def field(self, state: np.ndarray) -> np.ndarray:
        """d state/dt. Shapes: (examples, 2), logarithms of prey and hunters; result the same."""
        prey, hunters = np.exp(state).T
        return np.stack([self.growth - self.caught * hunters, self.fed * prey - self.death], 1)

    def trajectories(self, draw: np.random.RandomState, count: int) -> np.ndarray:
        """Whole trajectories from starts at random. Shapes: (count, LONG + 1, 2)."""
        starts = draw.uniform(-1.0, 1.0, (count, 2))
        states: np.ndarray = trajectories(self.field, starts, STEP * np.arange(LONG + 1)).round(DECIMALS)
        return states


@dataclass(frozen=True)
class LotkaVolterra(Task):
    """Hunters and prey: what transfers is the form of a cycle whose rates changed.

    Equation: p' = g p - c p h, h' = f p h - d h for prey p and hunters h, in logarithms (log p)' = g - c h, (log h)' =
    f p - d. Source: g = c = d = f = 1. Target: g = f = 1 + 0.5 * shift. Trajectories start with both logarithms
    uniform on [-1, 1]; 40 steps are about a period of the source.
    Splits: source 1,000 segments to train on and 200 trajectories to test on; target pool 500 segments, test 200
    trajectories. n counts segments, each of three steps of 0.15 (in the unit of time of the rates) and cut at a random
    place from a trajectory of its own; every state of a segment, the first too, is observed with noise of 0.02 of
    SCALE. Test trajectories have 40 steps and no noise.
    The network is the vector field, an MLP of 1,218 parameters, integrated by Runge-Kutta's fourth order with one step
    for each step of the data (with the true field that costs 3e-4 of SCALE over a test trajectory). Ground truth:
    scipy's DOP853 at a relative tolerance of 1e-10, error below 1e-8. The loss is the mean square error of the three
    states in units of SCALE; the metric is the root of the same over whole trajectories rolled out from their true
    first state, so 0 is perfect and about 1.4 is a guess of unrelated states.
    Shapes: inputs (examples, 2), the first state; targets (examples, steps, 2), those that follow; float32.
    Anchors: at shift 1 (and 2) 0.518 (0.92) = scratch at n = 25, 0.0503 (0.141) = fine-tuning on the whole pool; means
    over ten seeds, 500 steps, engine lanes (standard errors 0.065 and 0.0014; 0.1 and 0.0069).
    Source: Lotka, 1925; Volterra, 1926; Chen et al., NeurIPS 2018, arXiv 1806.07366 (the method).
    """

    name = "lotka_volterra"
    version = "1"
    metric = "rollout_nrmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=6e-3, batch_size=20, schedule="cosine", source_steps=1500)
    source_fields = ()

    shift: float = setting(1.0, low=0.0, high=4.0)

    def datasets(self) -> Datasets:
        source = Regime(1.0, 1.0, 1.0, 1.0)
        target = Regime(1.0 + 0.5 * self.shift, 1.0, 1.0, 1.0 + 0.5 * self.shift)
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
        return {1.0: (0.518, 0.0503), 2.0: (0.92, 0.141)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return rollout_loss(network, batch, STEP, SCALE)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        return rollout(network, batch, STEP, SCALE)

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rollout_error(predictions, examples, SCALE)
