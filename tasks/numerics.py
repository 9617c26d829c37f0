"""What tasks share: a small network and an error; of physics Runge-Kutta steps, derivatives, reference solutions.

Everything in torch is made of pure functions of tensors, so that it runs alone and as lanes under `torch.func.vmap`.
Everything in numpy and scipy is double precision, and never trains.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vjp

from harness.task import Examples

DECIMALS = 5
"""To which reference solutions are rounded: libraries that differ in the last bits then give the same data."""


def mlp(
    inputs: int, widths: tuple[int, ...], outputs: int, activation: Callable[[], nn.Module] = nn.Tanh
) -> nn.Sequential:
    """Hidden layers named block1, block2, ..., and a linear head; with tanh a smooth function."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (before, after) in enumerate(itertools.pairwise((inputs, *widths)), start=1):
        layers[f"block{number}"] = nn.Sequential(nn.Linear(before, after), activation())
    layers["head"] = nn.Linear(widths[-1], outputs)
    return nn.Sequential(layers)


def rmse(predictions: Tensor, examples: Examples, scale: float = 1.0) -> float:
    """The root mean square error in units of `scale`. Shapes: predictions those of `targets`."""
    return float((predictions.double() - examples["targets"].double()).square().mean().sqrt() / scale)


def float32(**arrays: np.ndarray) -> Examples:
    """Arrays as examples: tensors in single precision."""
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


def rk4(field: Callable[[Tensor], Tensor], state: Tensor, step: float, count: int) -> Tensor:
    """The states after 1 to `count` steps of the classical Runge-Kutta method of fourth order, d state/dt = field.

    Shapes: state (examples, dimension), result (examples, count, dimension). Units: step in those of time.
    """
    states = []
    for _ in range(count):
        k1 = field(state)
        k2 = field(state + step / 2 * k1)
        k3 = field(state + step / 2 * k2)
        k4 = field(state + step * k3)
        state = state + step / 6 * (k1 + 2 * (k2 + k3) + k4)
        states.append(state)
    return torch.stack(states, 1)


def derivatives(function: Callable[[Tensor], Tensor], points: Tensor, *twice: int) -> tuple[Tensor, ...]:
    """Value, gradient, and the second derivative along each axis in `twice`, of a function of each point by itself.

    By reverse mode, which took half the time of forward mode here. Shapes: points (points, axes); the gradient the
    same, everything else (points,).
    """

    def first(at: Tensor) -> tuple[Tensor, Tensor]:
        value, pull = vjp(function, at)[:2]
        return pull(torch.ones_like(value))[0], value

    pulled: Any = vjp(first, points, has_aux=True)  # typed by torch as without the third
    gradient, pull, value = pulled
    axes = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    second = (pull(axes[axis].expand_as(points))[0][:, axis] for axis in twice)
    return (value, gradient, *second)


def trajectories(
    field: Callable[[np.ndarray], np.ndarray], starts: np.ndarray, times: np.ndarray, tolerance: float = 1e-10
) -> np.ndarray:
    """The states at `times`, the first of them the start's, of d state/dt = field(state), by scipy's DOP853.

    Shapes: starts (examples, dimension), times (times,), result (examples, times, dimension). All are one system, so
    that all take the same steps; tolerance: relative, and a hundredth of it absolute.
    """
    from scipy.integrate import solve_ivp  # slow to import, needed here only

    def flat(_: float, state: np.ndarray) -> np.ndarray:
        return field(state.reshape(starts.shape)).ravel()

    span = (times[0], times[-1])
    options = {"method": "DOP853", "rtol": tolerance, "atol": tolerance / 100}
    solved = solve_ivp(flat, span, starts.ravel(), t_eval=times, **options)
    states: np.ndarray = solved.y.reshape(*starts.shape, len(times)).transpose(0, 2, 1)
    return states


def chebyshev(degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chebyshev's points on [-1, 1], and the matrices from values there to derivatives there and to coefficients.

    Shapes: points (degree + 1,) from -1 to 1, both matrices (degree + 1, degree + 1).
    """
    from numpy.polynomial import chebyshev as series

    points = -np.cos(np.pi * np.arange(degree + 1) / degree)
    coefficients = np.linalg.inv(series.chebvander(points, degree))
    slopes = np.stack([series.chebval(points, series.chebder(row)) for row in np.eye(degree + 1)], 1)
    return points, slopes @ coefficients, coefficients


def diffusion(
    reaction: Callable[[np.ndarray], np.ndarray],
    diffusivity: float,
    start: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    degree: int,
    tolerance: float = 1e-9,
) -> np.ndarray:
    """u_t = diffusivity * u_xx + reaction(u) on [-1, 1], u fixed at both ends, at points (x, t).

    Method of lines: Chebyshev collocation in x, scipy's solve_ivp (Radau, stiff) in t.
    Shapes: points (points, 2), result (points,).
    """
    from numpy.polynomial.chebyshev import chebvander
    from scipy.integrate import solve_ivp

    nodes, first, coefficients = chebyshev(degree)
    second = diffusivity * (first @ first)
    second[[0, -1]] = 0.0
    inside = np.ones(degree + 1)
    inside[[0, -1]] = 0.0

    def change(_: float, u: np.ndarray) -> np.ndarray:
        moved: np.ndarray = second @ u + inside * reaction(u)
        return moved

    times, place = np.unique(points[:, 1], return_inverse=True)
    options = {"method": "Radau", "rtol": tolerance, "atol": tolerance}
    solved = solve_ivp(change, (0.0, times[-1]), start(nodes), t_eval=times, **options)
    series = (coefficients @ solved.y).T[place]
    values: np.ndarray = (series * chebvander(points[:, 0], degree)).sum(1)
    return values
