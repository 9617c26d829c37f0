"""Friedman #1 for transfer: regression under a shift of the target's coefficients.

An example: inputs (0.42, 0.91, 0.07, 0.55, 0.31, and five that do not matter), target 11.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import float32, mlp, rmse

SEED = 1991
CENTRE, SCALE = 14.4, 5.0
"""Mean and standard deviation of the source's targets, rounded. Constants, so that no split shapes another."""


@dataclass(frozen=True)
class Coefficients:
    """Factors on terms (a), and factors (b) and offsets (c) on inputs. Shapes: a (4,), b (5,), c (5,)."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    def mean(self, x: np.ndarray) -> np.ndarray:
        """The noise-free target. Shapes: x (examples, 10), result (examples,)."""
        z = x[:, :5] * self.b + self.c
        terms = [
            10 * np.sin(np.pi * z[:, 0] * z[:, 1]),
            20 * (z[:, 2] - 0.5) ** 2,
            10 * z[:, 3],
            5 * z[:, 4],
        ]
        total: np.ndarray = sum(factor * term for factor, term in zip(self.a, terms, strict=True))
        return total


@dataclass(frozen=True)
class Friedman1(Task):
    """Friedman #1: what transfers is the shape of a function of five inputs whose coefficients moved a little.

    Equation: y = a1*10*sin(pi*(b1*x1+c1)*(b2*x2+c2)) + a2*20*(b3*x3+c3-0.5)^2 + a3*10*(b4*x4+c4) + a4*5*(b5*x5+c5)
    + N(0, 1), ten inputs uniform on [0, 1], the last five irrelevant. Source: a = b = 1, c = 0. Target: one draw of
    a, b ~ N(1, 0.1 * shift), c ~ N(0, 0.05 * shift); `domain` says which draw, and `shift` stretches the same draw.
    Splits: source 2,000 to train on (noisy) and 2,000 to test on (noise-free); target pool 1,000 (noisy), test 10,000
    (noise-free). The metric is the RMSE in the units of y, so a perfect model scores 0.
    Shapes: inputs (examples, 10), targets (examples,), float32. The network is an MLP of three hidden layers.
    Anchors: 4.66 = scratch at n = 25, 0.71 = fine-tuning on the whole pool; means over ten seeds, 500 steps,
    plain engine (standard errors 0.25 and 0.03).
    Source: Pardoe and Stone, Boosting for Regression Transfer, ICML 2010; Friedman, 1991.
    """

    name = "friedman1"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=3e-3, batch_size=64, schedule="cosine", source_steps=1500)
    source_fields = ("width",)

    shift: float = setting(1.0, low=0.0)
    width: int = setting(48, low=1, high=4096)
    domain: int = setting(0, low=0, high=1_000_000)

    def datasets(self) -> Datasets:
        source = Coefficients(np.ones(4), np.ones(5), np.zeros(5))
        # RandomState, because its streams never change between versions of numpy.
        draw = np.random.RandomState([SEED, 1, self.domain]).standard_normal(14)
        moved = self.shift * draw
        target = Coefficients(1 + 0.1 * moved[:4], 1 + 0.1 * moved[4:9], 0.05 * moved[9:])
        inputs = np.random.RandomState([SEED, 0])
        return Datasets(
            source_train=_examples(source, inputs, 2_000, noise=1.0),
            source_test=_examples(source, inputs, 2_000, noise=0.0),
            target_pool=_examples(target, inputs, 1_000, noise=1.0),
            target_test=_examples(target, inputs, 10_000, noise=0.0),
        )

    def network(self) -> nn.Module:
        return mlp(10, (self.width,) * 3, 1, nn.ReLU)

    def anchors(self) -> tuple[float, float] | None:
        return (4.66, 0.71) if self == Friedman1() else None

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
    x = draw.random_sample((count, 10))
    y = coefficients.mean(x) + noise * draw.standard_normal(count)
    return float32(inputs=x, targets=y)
