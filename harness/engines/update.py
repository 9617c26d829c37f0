"""One optimiser step by torch's functional, fused optimizers, for one objective or for lanes of them.

The optimizer classes around the same kernels cost 0.2 ms a step in bookkeeping, a quarter of a small network's whole
step; their results are bitwise the same (a test compares them).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from harness.engines.tails import VECTOR
from harness.recipe import Recipe

Update = Callable[[list[Tensor], float], None]
"""Moves the parameters in place, given their gradients and the learning rate of this step."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""torch's defaults."""


def make_update(parameters: Sequence[Tensor], recipe: Recipe) -> Update:
    """The recipe's optimizer with fresh state over `parameters`."""
    if recipe.optimizer == "sgd":
        return _sgd(list(parameters), recipe)
    return _adam(list(parameters), recipe, decoupled=recipe.optimizer == "adamw")


def clip(gradients: list[Tensor], norm: float) -> None:
    """Scale the gradients in place so that their joint 2-norm is at most `norm`, as torch's `clip_grad_norm_` does."""
    total = torch.nn.utils.get_total_norm(gradients)
    torch._foreach_mul_(gradients, torch.clamp(norm / (total + 1e-6), max=1.0))


def _adam(parameters: list[Tensor], recipe: Recipe, decoupled: bool) -> Update:
    means = [torch.zeros_like(parameter) for parameter in parameters]
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    steps = [torch.zeros((), dtype=torch.float32, device=parameter.device) for parameter in parameters]

    @torch.no_grad()
    def update(gradients: list[Tensor], learning_rate: float) -> None:
        gradients = [laid_out_as(gradient, to) for gradient, to in zip(gradients, parameters, strict=True)]
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            decoupled_weight_decay=decoupled,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=learning_rate,
            weight_decay=recipe.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    return update


def _sgd(parameters: list[Tensor], recipe: Recipe) -> Update:
    momenta: list[Tensor | None] = [None for _ in parameters]

    @torch.no_grad()
    def update(gradients: list[Tensor], learning_rate: float) -> None:
        gradients = [laid_out_as(gradient, to) for gradient, to in zip(gradients, parameters, strict=True)]
        sgd(
            parameters,
            gradients,
            momenta,
            fused=True,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    return update


class LaneUpdate:
    """One optimiser step of all lanes at once, each lane with a learning rate of its own for each parameter.

    The fused kernel knows one learning rate only. So it moves a tensor of zeros: what it leaves there is the step at
    rate 1, which is then added times each lane's rate. All weights go through the kernel as one flat tensor, padded,
    since it rounds the last few elements of a tensor differently (see harness/engines/tails.py).
    Shapes: weights and gradients (lanes, ...), no gaps in memory; rates (lanes,), 0 for what a lane does not train.
    """

    def __init__(self, weights: list[Tensor], rates: list[Tensor], recipe: Recipe) -> None:
        self.recipe = recipe
        self.weights = weights
        self.rates = [
            rate.to(weight).view(-1, *(1,) * (weight.dim() - 1)) for rate, weight in zip(rates, weights, strict=True)
        ]
        self.trained = [rate != 0 for rate in self.rates]
        self.partly = [not bool(trained.all()) for trained in self.trained]
        self.step = torch.zeros((), dtype=torch.float32, device=weights[0].device)
        self._lay_out()
        self.mean, self.square = torch.zeros_like(self.move), torch.zeros_like(self.move)

    def _lay_out(self) -> None:
        """The flat move, a view of it in the shape and layout of each weight, and the padding of the gradients."""
        sizes = [weight.numel() for weight in self.weights]
        self.padding = self.weights[0].new_zeros(-sum(sizes) % VECTOR)
        self.move = self.weights[0].new_zeros(sum(sizes) + len(self.padding))
        places = zip(self.weights, itertools.accumulate([0, *sizes]), strict=False)
        self.moves = [self.move.as_strided(weight.shape, weight.stride(), start) for weight, start in places]

    @torch.no_grad()
    def __call__(self, gradients: list[Tensor], rate_factor: float) -> None:
        """Move the weights in place. The gradients are used up."""
        recipe, decay = self.recipe, self.recipe.weight_decay
        gradients = [laid_out_as(gradient, to) for gradient, to in zip(gradients, self.weights, strict=True)]
        for place, trained in enumerate(self.trained):
            if self.partly[place]:  # a product would not do: 0 times a gradient that is not finite is not 0
                gradients[place] = torch.where(trained, gradients[place], 0.0)
        if recipe.clip_norm is not None:
            self._clip(gradients, recipe.clip_norm)
        if decay and recipe.optimizer == "adamw":
            for weight, rate in zip(self.weights, self.rates, strict=True):
                weight.mul_(1 - rate * (rate_factor * decay))
        elif decay:
            torch._foreach_add_(gradients, self.weights, alpha=decay)
        flat = torch.cat([*(_flat(gradient) for gradient in gradients), self.padding])
        self.move.zero_()
        if recipe.optimizer == "sgd":
            self.mean.mul_(recipe.momentum).add_(flat)
            self.move.sub_(self.mean, alpha=rate_factor)
        else:
            self._adam(flat, rate_factor)
        for weight, rate, move in zip(self.weights, self.rates, self.moves, strict=True):
            weight.addcmul_(rate, move)

    def keep(self, weights: list[Tensor], index: Tensor) -> None:
        """Go on with the lanes at `index`, whose weights are given."""
        parts = [weight.numel() for weight in self.weights] + [len(self.padding)]
        kept = []
        for state in (self.mean, self.square):
            views = zip(torch.split(state, parts), self.weights, strict=False)
            kept.append([pick(part.as_strided(weight.shape, weight.stride()), index) for part, weight in views])
        self.weights = weights
        self.rates = [pick(rate, index) for rate in self.rates]
        self.trained = [pick(trained, index) for trained in self.trained]
        self._lay_out()
        self.mean, self.square = (torch.cat([*(_flat(part) for part in parts), self.padding]) for parts in kept)

    def _adam(self, gradient: Tensor, rate_factor: float) -> None:
        adam(
            [self.move],
            [gradient],
            [self.mean],
            [self.square],
            [],
            [self.step],
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=rate_factor,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def _clip(self, gradients: list[Tensor], norm: float) -> None:
        """Scale each lane's gradients so that their joint 2-norm is at most `norm`."""
        lanes = len(gradients[0])
        squares = [gradient.square().reshape(lanes, -1).sum(1) for gradient in gradients]
        total = functools.reduce(torch.add, squares)  # one by one: a sum over a stack rounds by the number of lanes
        scale = torch.clamp(norm / (total.sqrt() + 1e-6), max=1.0)
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *(1,) * (gradient.dim() - 1)))


def pick(stacked: Tensor, index: Tensor) -> Tensor:
    """The lanes at `index`, in the same memory layout."""
    return torch.index_select(stacked, 0, index, out=torch.empty_like(stacked[: len(index)]))


def laid_out_as(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor, copied into the memory layout of `other` if it has another."""
    return tensor if tensor.stride() == other.stride() else torch.empty_like(other).copy_(tensor)


def _flat(tensor: Tensor) -> Tensor:
    """The tensor's elements in the order in which they lie in memory. Shapes: (elements,)."""
    return tensor.as_strided((tensor.numel(),), (1,))
