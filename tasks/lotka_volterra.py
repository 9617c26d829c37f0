"""Hunters and prey (Lotka and Volterra) as a neural ODE: from one pair of species to another, from few short series.

An example: state (log prey 0.3, log hunters 0.9), and the three states that follow it, observed with noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import DECIMALS, mlp, rk4, trajectories

SEED = 1925
STEP, SHORT, LONG = 0.15, 3, 40
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
        return Datasets(
            source_train=_examples(source, draw, 1_000, cut=True),
            source_test=_examples(source, draw, 200, cut=False),
            target_pool=_examples(target, draw, 500, cut=True),
            target_test=_examples(target, draw, 200, cut=False),
        )

    def network(self) -> nn.Module:
        return mlp(2, (32, 32), 2)

    def anchors(self) -> tuple[float, float] | None:
        return {1.0: (0.518, 0.0503), 2.0: (0.92, 0.141)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        scale = batch["inputs"].new_tensor(SCALE)
        return nn.functional.mse_loss(LotkaVolterra.predict(network, batch) / scale, batch["targets"] / scale)

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
    starts = draw.uniform(-1.0, 1.0, (count, 2))
    states = trajectories(regime.field, starts, STEP * np.arange(LONG + 1)).round(DECIMALS)
    if cut:
        places = draw.randint(0, LONG - SHORT + 1, count)
        states = np.stack([whole[place : place + SHORT + 1] for whole, place in zip(states, places, strict=True)])
        states = states + NOISE * np.array(SCALE) * draw.standard_normal(states.shape)
    states = states.astype(np.float32)
    return {"inputs": torch.from_numpy(states[:, 0].copy()), "targets": torch.from_numpy(states[:, 1:].copy())}
