"""What tasks of dynamics share: short noisy segments to train on, whole trajectories to test on, and the rollout.

The network is a vector field in units of `scale`, one number for each dimension of the state.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Examples
from tasks.numerics import rk4

SHORT, LONG = 3, 40
"""Steps of a segment, and of a whole trajectory."""


def whole(states: np.ndarray) -> Examples:
    """Trajectories as examples: the first state, and those that follow.

    Shapes: states (examples, steps + 1, dimension); inputs (examples, dimension), targets (examples, steps,
    dimension), float32.
    """
    states = states.astype(np.float32)
    return {"inputs": torch.from_numpy(states[:, 0].copy()), "targets": torch.from_numpy(states[:, 1:].copy())}


def segments(states: np.ndarray, noise: np.ndarray, draw: np.random.RandomState) -> Examples:
    """A segment of each trajectory, cut at a random place, every state of it observed with noise.

    Shapes: states (examples, LONG + 1, dimension); noise, its standard deviation, (dimension,).
    """
    places = draw.randint(0, LONG - SHORT + 1, len(states))
    cut = np.stack([one[place : place + SHORT + 1] for one, place in zip(states, places, strict=True)])
    return whole(cut + noise * draw.standard_normal(cut.shape))


def rollout(network: nn.Module, batch: Examples, step: float, scale: tuple[float, ...]) -> Tensor:
    """The states at as many steps as the examples have. Shapes: (examples, steps, dimension)."""
    units = batch["inputs"].new_tensor(scale)
    rolled = rk4(network, batch["inputs"] / units, step, batch["targets"].shape[1])
    return rolled * units


def rollout_loss(network: nn.Module, batch: Examples, step: float, scale: tuple[float, ...]) -> Tensor:
    """The mean square error of the rollout in units of `scale`."""
    units = batch["inputs"].new_tensor(scale)
    return nn.functional.mse_loss(rollout(network, batch, step, scale) / units, batch["targets"] / units)


def rollout_error(predictions: Tensor, examples: Examples, scale: tuple[float, ...]) -> float:
    """The root mean square error in units of `scale`. Shapes: predictions (examples, steps, dimension)."""
    errors = (predictions.double() - examples["targets"].double()) / torch.tensor(scale, dtype=torch.double)
    return float(errors.square().mean().sqrt())
