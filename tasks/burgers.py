"""Burgers' equation as a physics-informed network: from a thick front to a thinner one, from few points.

An example: a point (x -0.31, t 0.64) where the equation is to hold, and the viscosity 0.05 there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import DECIMALS, derivatives, float32, mlp, rmse

SEED = 1948
NODES = 80
SCALE = 0.36
"""About the root mean square of the source's solution. A constant, so that no split shapes another."""


def exact(points: np.ndarray, viscosity: float, nodes: int = NODES) -> np.ndarray:
    """The solution by the transform of Cole and Hopf, its integrals by Gauss-Hermite quadrature.

    Shapes: points (points, 2), x and t > 0; result (points,).
    """
    abscissas, weights = np.polynomial.hermite.hermgauss(nodes)
    x, t = points[:, :1], points[:, 1:]
    at = np.pi * (x - np.sqrt(4 * viscosity * t) * abscissas)
    heat = weights * np.exp(-np.cos(at) / (2 * np.pi * viscosity))
    solution: np.ndarray = -(heat * np.sin(at)).sum(1) / heat.sum(1)
    return solution


@dataclass(frozen=True)
class Burgers(Task):
    """Burgers' equation: what transfers is a front that forms at the same place, there thicker, here thinner.

    Equation: u_t + u u_x = v u_xx for x in [-1, 1] and t in [0, 1], u(x, 0) = -sin(pi x), u = 0 at both ends (no
    units).
    Source: viscosity v = 0.2. Target: v = 0.2 / 2^shift.
    Splits: source 2,000 points to train on, 2,000 to test on; target pool 500, test 2,000; all uniform on the domain.
    n counts points where the equation is to hold (collocation points). The loss is the mean square of the equation's
    residual there, with derivatives by `torch.func`; initial and boundary values are built into the network's output.
    The solution is never trained on: `targets` hold it for the metric alone, on test and validation points.
    The metric is the root mean square error against the reference, in units of SCALE, so a perfect model scores 0.
    Reference: the closed form of Cole (1951) and Hopf (1950), by quadrature; error below 1e-7 (for shift up to 4),
    checked against scipy's stiff solver.
    Shapes: inputs (examples, 2), x and t; targets and viscosity (examples,); float32. The network is an MLP of 1,185
    parameters.
    Anchors: at shift 0.5 (and 1) 0.364 (0.4) = scratch at n = 25, 0.0348 (0.0461) = fine-tuning on the whole pool;
    means over ten seeds, 500 steps, engine lanes (standard errors 0.053 and 0.0025; 0.032 and 0.0032).
    Source: Raissi, Perdikaris and Karniadakis, Physics-informed neural networks, J. Comput. Phys. 378, 2019; Hopf,
    1950; Cole, 1951.
    """

    name = "burgers"
    version = "1"
    metric = "nrmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=6e-3, batch_size=20, schedule="cosine", source_steps=2000)
    source_fields = ()

    shift: float = setting(1.0, low=0.0, high=4.0)

    def datasets(self) -> Datasets:
        source, target = 0.2, 0.2 / 2**self.shift
        draw = np.random.RandomState([SEED, 0])  # whose streams never change between versions of numpy
        return Datasets(
            source_train=_examples(source, draw, 2_000),
            source_test=_examples(source, draw, 2_000),
            target_pool=_examples(target, draw, 500),
            target_test=_examples(target, draw, 2_000),
        )

    def network(self) -> nn.Module:
        return mlp(2, (32, 32), 1)

    def anchors(self) -> tuple[float, float] | None:
        return {0.5: (0.364, 0.0348), 1.0: (0.4, 0.0461)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        """The mean square of the equation's residual; the solution itself is not used."""

        def u(points: Tensor) -> Tensor:
            return solution(network, points)

        value, gradient, by_xx = derivatives(u, batch["inputs"], 0)
        by_x, by_t = gradient.unbind(1)
        residual = by_t + value * by_x - batch["viscosity"] * by_xx
        return residual.square().mean()

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        return solution(network, batch["inputs"])

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rmse(predictions, examples, SCALE)


def solution(network: nn.Module, points: Tensor) -> Tensor:
    """What the network stands for: it meets the initial and boundary values whatever its weights.

    Shapes: points (points, 2), x and t; result (points,).
    """
    x, t = points.unbind(1)
    output: Tensor = network(points)[:, 0]
    return -torch.sin(torch.pi * x) + t * (1 - x.square()) * output


def _examples(viscosity: float, draw: np.random.RandomState, count: int) -> Examples:
    points = (draw.random_sample((count, 2)) * (2, 1) - (1, 0)).astype(np.float32)
    values = exact(points.astype(float), viscosity).round(DECIMALS)
    return float32(inputs=points, targets=values, viscosity=np.full(count, viscosity))
