"""Friedman #2 for transfer: regression of an impedance under a shift of the target's coefficients.

An example: inputs (0.42, 0.91, 0.07, 0.55), fractions of the ranges of x1 to x4; target 131.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import float32, mlp, rmse

SEED = 1992
LOW = np.array([0.0, 40 * np.pi, 0.0, 1.0])
RANGE = np.array([100.0, 520 * np.pi, 1.0, 10.0])
NOISE = 125.0
"""Standard deviation of the noise, a third of the signal's, as Friedman has it."""
CENTRE, SCALE = 470.0, 390.0
"""Mean and standard deviation of the source's targets, rounded. Constants, so that no split shapes another."""


@dataclass(frozen=True)
class Coefficients:
    """A factor on the target (a), and factors (b) and offsets (c) on inputs. Shapes: b (4,), c (2,)."""

    a: float
    b: np.ndarray
    c: np.ndarray

    def mean(self, u: np.ndarray) -> np.ndarray:
        """The noise-free target. Shapes: u (examples, 4), fractions of the ranges; result (examples,)."""
        x1, x2, x3, x4 = (self.b * (LOW + RANGE * u)).T
        x1, x3 = x1 + self.c[0] * RANGE[0], x3 + self.c[1]
        impedance: np.ndarray = self.a * np.sqrt(x1**2 + (x2 * x3 - 1 / (x2 * x4)) ** 2)
        return impedance


@dataclass(frozen=True)
class Friedman2(Task):
    """Friedman #2: what transfers is the shape of a function of four inputs whose coefficients moved.

    Equation: y = a*sqrt((b1*x1 + 100*c1)^2 + (b2*x2*(b3*x3 + c2) - 1/(b2*x2*b4*x4))^2) + N(0, 125^2), x1 uniform on
    [0, 100], x2 on [40 pi, 560 pi], x3 on [0, 1], x4 on [1, 11]. Source: a = b = 1, c = 0. Target: one draw of log a,
    log b ~ N(0, 0.2 * shift), c ~ N(0, 0.1 * shift) (our own form, after that of Friedman #1); `domain` says which
    draw, and `shift` stretches the same draw.
    Splits: source 2,000 to train on (noisy) and 2,000 to test on (noise-free); target pool 500 (noisy), test 4,000
    (noise-free). The metric is the RMSE in the units of y (ohms), so a perfect model scores 0.
    Shapes: inputs (examples, 4), fractions of the ranges, targets (examples,), float32. The network is an MLP of three
    hidden layers, 2,305 parameters.
    Anchors: at shift 1 (and 2) 124 (127) = scratch at n = 25, 30.9 (31.4) = fine-tuning on the whole pool; means over
    ten seeds, 500 steps, engine lanes (standard errors 12 and 0.54; 9.8 and 1).
    Source: Friedman, Multivariate Adaptive Regression Splines, Annals of Statistics 19, 1991.
    """

    name = "friedman2"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=1e-3, batch_size=64, schedule="cosine", source_steps=1500)
    source_fields = ("width",)

    shift: float = setting(1.0, low=0.0, high=10.0)
    width: int = setting(32, low=1, high=4096)
    domain: int = setting(0, low=0, high=1_000_000)

    def datasets(self) -> Datasets:
        source = Coefficients(1.0, np.ones(4), np.zeros(2))
        # RandomState, because its streams never change between versions of numpy.
        moved = self.shift * np.random.RandomState([SEED, 1, self.domain]).standard_normal(7)
        factors = np.exp(0.2 * moved[:5])
        target = Coefficients(factors[0], factors[1:], 0.1 * moved[5:])
        inputs = np.random.RandomState([SEED, 0])
        return Datasets(
            source_train=_examples(source, inputs, 2_000, noise=NOISE),
            source_test=_examples(source, inputs, 2_000, noise=0.0),
            target_pool=_examples(target, inputs, 500, noise=NOISE),
            target_test=_examples(target, inputs, 4_000, noise=0.0),
        )

    def network(self) -> nn.Module:
        return mlp(4, (self.width,) * 3, 1, nn.ReLU)

    def anchors(self) -> tuple[float, float] | None:
        known = {1.0: (124, 30.9), 2.0: (127, 31.4)}
        return known.get(self.shift) if self == Friedman2(shift=self.shift) else None

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.mse_loss(network(batch["inputs"])[:, 0], (batch["targets"] - CENTRE) / SCALE)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        output: Tensor = network(batch["inputs"])[:, 0] * SCALE + CENTRE
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rmse(predictions, examples)


def _examples(coefficients: Coefficients, draw: np.random.RandomState, count: int, noise: float) -> Examples:
    u = draw.random_sample((count, 4))
    y = coefficients.mean(u) + noise * draw.standard_normal(count)
    return float32(inputs=u, targets=y)
