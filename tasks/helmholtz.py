"""Helmholtz's equation as a physics-informed network: from a low frequency to a higher one, from few points.

An example: a point (x -0.31, y 0.64) where the equation is to hold, and the wave number 2 there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import DECIMALS, chebyshev, derivatives, float32, mlp, rmse

Load = Callable[[np.ndarray, np.ndarray], np.ndarray]

SEED = 1860
DEGREE = 32
SCALE = 0.26
"""About the root mean square of the source's solution. A constant, so that no split shapes another."""


@dataclass(frozen=True)
class Helmholtz(Task):
    """Helmholtz's equation: what transfers is the answer to one load, at a frequency closer to resonance.

    Equation: u_xx + u_yy + s u = -q for x and y in [-1, 1], u = 0 at the boundary, q = 4 exp(-4 ((x-0.3)^2 +
    (y+0.2)^2)) (no units). Source: s, the square of the wave number, is 1. Target: s = 1 + 1.5 * shift; the first
    resonance is at pi^2 / 2 = 4.93. Near it nothing transfers: at shift 2 and n = 25 scratch scored 0.26, and the best
    of five transfer methods 0.86.
    Splits: source 2,000 points to train on, 2,000 to test on; target pool 500, test 2,000; all uniform on the domain.
    n counts points where the equation is to hold (collocation points). The loss is the mean square of the equation's
    residual there, with derivatives by `torch.func`; the boundary values are built into the network's output. The
    solution is never trained on: `targets` hold it for the metric alone, on test and validation points.
    The metric is the root mean square error against the reference, in units of SCALE, so a perfect model scores 0.
    Reference: Chebyshev collocation of degree 32, a Sylvester equation solved by scipy; error below 1e-7, and 1e-12
    against a manufactured solution.
    Shapes: inputs (examples, 2), x and y; targets, force (q) and square (s) (examples,); float32. The network is an
    MLP of 1,185 parameters.
    Anchors: at shift 0.5 (and 1) 0.0833 (0.0921) = scratch at n = 25, 0.00186 (0.00218) = fine-tuning on the whole
    pool; means over ten seeds, 500 steps, engine lanes (standard errors 0.024 and 0.00015; 0.025 and 0.00021).
    Source: Raissi, Perdikaris and Karniadakis, Physics-informed neural networks, J. Comput. Phys. 378, 2019.
    """

    name = "helmholtz"
    version = "1"
    metric = "nrmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=3e-3, batch_size=20, schedule="cosine", source_steps=2000)
    source_fields = ()

    shift: float = setting(1.0, low=0.0, high=4.0)

    def datasets(self) -> Datasets:
        source, target = 1.0, 1.0 + 1.5 * self.shift
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
        return {0.5: (0.0833, 0.00186), 1.0: (0.0921, 0.00218)}.get(self.shift)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        """The mean square of the equation's residual; the solution itself is not used."""

        def u(points: Tensor) -> Tensor:
            return solution(network, points)

        value, _, by_xx, by_yy = derivatives(u, batch["inputs"], 0, 1)
        return (by_xx + by_yy + batch["square"] * value + batch["force"]).square().mean()

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        return solution(network, batch["inputs"])

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rmse(predictions, examples, SCALE)


def solution(network: nn.Module, points: Tensor) -> Tensor:
    """What the network stands for: it meets the boundary values whatever its weights.

    Shapes: points (points, 2), x and y; result (points,).
    """
    x, y = points.unbind(1)
    output: Tensor = network(points)[:, 0]
    return (1 - x.square()) * (1 - y.square()) * output


def force(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A source off the middle. Shapes: all alike."""
    pressed: np.ndarray = 4 * np.exp(-4 * ((x - 0.3) ** 2 + (y + 0.2) ** 2))
    return pressed


def reference(points: np.ndarray, square: float, load: Load = force, degree: int = DEGREE) -> np.ndarray:
    """u_xx + u_yy + square * u = -load on [-1, 1]^2, u = 0 at its boundary, at points.

    Chebyshev collocation; the system is Sylvester's equation, which scipy solves directly.
    Shapes: points (points, 2), result (points,).
    """
    from numpy.polynomial.chebyshev import chebvander
    from scipy.linalg import solve_sylvester

    nodes, first, coefficients = chebyshev(degree)
    second = (first @ first)[1:-1, 1:-1] + square / 2 * np.eye(degree - 1)
    inside = np.zeros((degree + 1, degree + 1))
    inside[1:-1, 1:-1] = solve_sylvester(second, second.T, -load(*np.meshgrid(nodes, nodes, indexing="ij"))[1:-1, 1:-1])
    series = coefficients @ inside @ coefficients.T
    values: np.ndarray = np.einsum(
        "pi,ij,pj->p", chebvander(points[:, 0], degree), series, chebvander(points[:, 1], degree)
    )
    return values


def _examples(square: float, draw: np.random.RandomState, count: int) -> Examples:
    points = (draw.random_sample((count, 2)) * 2 - 1).astype(np.float32)
    exact = points.astype(float)
    values, pressed = reference(exact, square).round(DECIMALS), force(*exact.T).round(DECIMALS)
    return float32(inputs=points, targets=values, force=pressed, square=np.full(count, square))
