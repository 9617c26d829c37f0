"""Allen and Cahn's equation as a physics-informed network: from a slow reaction to a faster one, from few points.

An example: a point (x -0.31, t 0.64) where the equation is to hold, and the reaction's rate 4 there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import DECIMALS, derivatives, diffusion, float32, mlp, rmse

SEED = 1979
DIFFUSIVITY = 0.05
DEGREE = 48
SCALE = 0.46
"""About the root mean square of the source's solution. A constant, so that no split shapes another."""


@dataclass(frozen=True)
class AllenCahn(Task):
    """Allen and Cahn's equation: what transfers is where phases form, under a reaction that is faster.

    Equation: u_t = 0.05 u_xx + r (u - u^3) for x in [-1, 1] and t in [0, 1], u(x, 0) = x^2 cos(pi x), u = -1 at both
    ends (no units). Source: rate r = 1. Target: r = 1 + 2 * shift.
    Splits: source 2,000 points to train on, 2,000 to test on; target pool 500, test 2,000; all uniform on the domain.
    n counts points where the equation is to hold (collocation points). The loss is the mean square of the equation's
    residual there, with derivatives by `torch.func`; initial and boundary values are built into the network's output.
    The solution is never trained on: `targets` hold it for the metric alone, on test and validation points.
    The metric is the root mean square error against the reference, in units of SCALE, so a perfect model scores 0.
    Reference: Chebyshev collocation of degree 48 in x, scipy's solve_ivp (Radau) in t; error below 1e-6 (1e-5 at shift
    2), checked against the closed form of a travelling front.
    Shapes: inputs (examples, 2), x and t; targets and rate (examples,); float32. The network is an MLP of 1,185
    parameters.
    Anchors: at shift 1 (and 2) 0.542 (0.918) = scratch at n = 25, 0.0359 (0.331) = fine-tuning on the whole pool;
    means over ten seeds, 500 steps, engine lanes (standard errors 0.082 and 0.002; 0.065 and 0.016).
    Source: Raissi, Perdikaris and Karniadakis, Physics-informed neural networks, J. Comput. Phys. 378, 2019; Allen and
    Cahn, 1979.
    """

    name = "allen_cahn"
    version = "1"
    metric = "nrmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=6e-3, batch_size=20, schedule="cosine", source_steps=2000)
    source_fields = ()

    shift: float = setting(1.0, low=0.0, high=4.0)

    def datasets(self) -> Datasets:
        source, target = 1.0, 1.0 + 2.0 * self.shift
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
        return {1.0: (0.542, 0.0359), 2.0: (0.918, 0.331)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        """The mean square of the equation's residual; the solution itself is not used."""

        def u(points: Tensor) -> Tensor:
            return solution(network, points)

        value, gradient, by_xx = derivatives(u, batch["inputs"], 0)
        reaction = batch["rate"] * (value - value**3)
        return (gradient[:, 1] - DIFFUSIVITY * by_xx - reaction).square().mean()

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
    return x.square() * torch.cos(torch.pi * x) + t * (1 - x.square()) * output


def reference(points: np.ndarray, rate: float, degree: int = DEGREE, tolerance: float = 1e-9) -> np.ndarray:
    """The solution at points. Shapes: points (points, 2), x and t; result (points,)."""

    def reaction(u: np.ndarray) -> np.ndarray:
        values: np.ndarray = rate * (u - u**3)
        return values

    def start(x: np.ndarray) -> np.ndarray:
        values: np.ndarray = x**2 * np.cos(np.pi * x)
        return values

    return diffusion(reaction, DIFFUSIVITY, start, points, degree, tolerance)


def _examples(rate: float, draw: np.random.RandomState, count: int) -> Examples:
    points = (draw.random_sample((count, 2)) * (2, 1) - (1, 0)).astype(np.float32)
    values = reference(points.astype(float), rate).round(DECIMALS)
    return float32(inputs=points, targets=values, rate=np.full(count, rate))
