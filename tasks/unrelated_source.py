"""Negative control: Friedman #1 after a source whose labels say nothing about the inputs.

An example: inputs (0.42, 0.91, 0.07, 0.55, 0.31, and five that do not matter); source 9.3, at random; target 11.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task
from tasks.numerics import float32, mlp, rmse

SEED = 2016
CENTRE, SCALE = 14.4, 5.0
"""Mean and standard deviation of Friedman's function, rounded: of the source's labels, too."""
WIDTH = 48


@dataclass(frozen=True)
class UnrelatedSource(Task):
    """An unrelated source: nothing can transfer but the size of weights that have learned noise by heart.

    Equation: target y = 10*sin(pi*x1*x2) + 20*(x3-0.5)^2 + 10*x4 + 5*x5 + N(0, 1), ten inputs uniform on [0, 1], the
    last five irrelevant. Source: y = N(14.4, 25), whatever the inputs.
    Splits: source 2,000 to train on and 2,000 to test on; target pool 1,000 (noisy), test 10,000 (noise-free). The
    metric is the RMSE in the units of y, so a perfect model scores 0.
    Shapes: inputs (examples, 10), targets (examples,), float32. The network is an MLP of three hidden layers.
    Anchors: none, since a negative control enters no average.
    Source: Friedman, 1991; random labels: Zhang and others, 2017, arXiv 1611.03530.
    """

    name = "unrelated_source"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    negative_control = True
    recipe = Recipe(learning_rate=3e-3, batch_size=64, schedule="cosine", source_steps=1500)

    def datasets(self) -> Datasets:
        # RandomState, because its streams never change between versions of numpy.
        draw = np.random.RandomState(SEED)
        return Datasets(
            source_train=_at_random(draw, 2_000),
            source_test=_at_random(draw, 2_000),
            target_pool=_friedman(draw, 1_000, noise=1.0),
            target_test=_friedman(draw, 10_000, noise=0.0),
        )

    def network(self) -> nn.Module:
        return mlp(10, (WIDTH,) * 3, 1, nn.ReLU)

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


def _at_random(draw: np.random.RandomState, count: int) -> Examples:
    return float32(inputs=draw.random_sample((count, 10)), targets=CENTRE + SCALE * draw.standard_normal(count))


def _friedman(draw: np.random.RandomState, count: int, noise: float) -> Examples:
    x = draw.random_sample((count, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return float32(inputs=x, targets=y + noise * draw.standard_normal(count))
