"""Tiny transfer problems that a method is tried on: a source network, trained, and examples of both problems."""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from harness import seeds
from harness.data import Examples, size, take
from harness.data import copy as copied
from harness.engines.plain import Plain
from harness.fit import Fit
from harness.method import Problem
from harness.objective import Loss, Objective
from harness.recipe import Recipe

SOURCE_STEPS = 40
"""What the problem says that the source model's own training takes; Allocate and its like take a share of it."""

STEPS = 30
"""Optimiser steps on the target."""


RECIPE = Recipe(learning_rate=3e-3, batch_size=8)


@dataclass(frozen=True, eq=False)
class TinyProblem:
    """A network trained on `source`, and the few examples of `target` that a method adapts it to.

    The fields of the examples are whatever `loss(network, batch)` reads. name: one of its own, for reports.
    new_head: the target has another label space. blocks, head: as a task names them.
    """

    name: str
    network: nn.Module
    loss: Loss
    source: Examples
    target: Examples
    new_head: bool
    recipe: Recipe = RECIPE
    head: str = "head"
    blocks: tuple[str, ...] = ("block1", "block2")

    def view(self, examples: Examples, new_head: bool, steps: int) -> Problem:
        """What a method sees of these examples, in memory of their own."""
        score = partial(_score, self.loss)
        return Problem(copied(examples), self.loss, score, self.head, new_head, self.blocks, steps)

    def computed(self, network: nn.Module) -> list[Tensor]:
        """The loss over the target's examples, and what the network gave for them where the loss calls it."""
        given: list[Tensor] = []

        def keep(_module: nn.Module, _arguments: object, output: object) -> None:
            given.extend(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))

        hook = network.register_forward_hook(keep)
        try:
            with seeds.seeded("loss", "look"):
                loss = self.loss(network, copied(self.target))
        finally:
            hook.remove()
        return [tensor.detach() for tensor in (loss, *given)]

    def fresh_head(self) -> nn.Module:
        """An output module like the network's. Draws from torch's global generator."""
        return drawn_again(self.network.get_submodule(self.head))

    def untrained(self) -> nn.Module:
        """The network before any training. Draws from torch's global generator."""
        return drawn_again(self.network)

    def other(self) -> TinyProblem:
        """One of the same structure with another network and other examples: some of these twice, others left out."""
        with seeds.seeded(self.name, "another problem"):
            source, target = (
                take(examples, torch.randint(size(examples), (size(examples),))) if examples else examples
                for examples in (self.source, self.target)
            )
            return replace(self, network=drawn_again(self.network), source=source, target=target)


def drawn_again(module: nn.Module) -> nn.Module:
    """A copy with weights drawn again: as each layer does where it can, else normal, with the present mean and spread.

    Draws from torch's global generator, in the order of the layers.
    """
    module = copy.deepcopy(module)
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None) or getattr(layer, "_reset_parameters", None)
        if callable(reset):
            reset()
            continue
        for weight in layer.parameters(recurse=False):
            spread = float(weight.detach().std()) if weight.numel() > 1 else 1.0
            nn.init.normal_(weight, float(weight.detach().mean()), spread or 0.02)
    return module


def _score(loss: Loss, network: nn.Module, examples: Examples) -> float:
    network.eval()
    with torch.no_grad():
        return -float(loss(network, examples))


def squared_error(network: nn.Module, batch: Examples) -> Tensor:
    """The loss of the regression. Shapes: inputs (batch, 4), targets (batch,)."""
    return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])


def cross_entropy(network: nn.Module, batch: Examples) -> Tensor:
    """The loss of the classification. Shapes: inputs (batch, 1, 4, 4), targets (batch,), int64."""
    return nn.functional.cross_entropy(network(batch["inputs"]), batch["targets"])


def mlp() -> nn.Module:
    """Two blocks of width 8, the second with LayerNorm, and a linear head; 4 inputs, 1 output."""
    first = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    second = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU())
    return nn.Sequential(OrderedDict(block1=first, block2=second, head=nn.Linear(8, 1)))


def conv() -> nn.Module:
    """Two convolutions with GroupNorm and a linear head; images of 4 x 4, 3 classes."""
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.ReLU())
    return nn.Sequential(OrderedDict(block1=first, block2=second, flatten=nn.Flatten(), head=nn.Linear(32, 3)))


NETWORKS = {"mlp": (mlp, squared_error, (64, 4)), "conv": (conv, cross_entropy, (48, 1, 4, 4))}
"""Of each kind the network, the loss and the shape of the source's inputs."""

EXAMPLES = 20
"""Of the target, to train on."""


@functools.cache
def _source(kind: str) -> tuple[nn.Module, Examples, Examples]:
    """A network trained on a teacher's answers, those examples, and the target's: inputs moved, the same answers."""
    build, loss, shape = NETWORKS[kind]
    with seeds.seeded(kind, "tiny problem"):
        inputs, network, teacher = torch.randn(shape), build(), build()
        with torch.no_grad():
            output = teacher(inputs)
        targets = output[:, 0] * 3 if kind == "mlp" else output.argmax(1)
        moved = inputs.flip(1) + 0.3 if kind == "mlp" else inputs.flip(-1)
        source = {"inputs": inputs, "targets": targets}
        recipe = Recipe(learning_rate=1e-2, batch_size=16)
        Fit(Plain(), recipe, 3, 200)([Objective(network, loss)], source)
    target = {"inputs": moved[:EXAMPLES].clone(), "targets": targets[:EXAMPLES].clone()}
    return network, source, target


@functools.cache
def tiny_problem(kind: str, new_head: bool) -> TinyProblem:
    """The problem of a kind, "mlp" (regression) or "conv" (three classes), with the source's head or a new one."""
    network, source, target = _source(kind)
    name = f"{kind}, {'new' if new_head else 'same'} head"
    return TinyProblem(name, copy.deepcopy(network), NETWORKS[kind][1], source, target, new_head)


def tiny_problems() -> tuple[TinyProblem, ...]:
    """Both kinds, each with the source's head and with a new one."""
    return tuple(tiny_problem(kind, new) for kind in NETWORKS for new in (False, True))


def with_recipe(problem: TinyProblem, **changes: object) -> TinyProblem:
    """The same problem, trained otherwise."""
    return replace(problem, recipe=replace(problem.recipe, **changes))  # type: ignore[arg-type]


def sharded_problems() -> tuple[TinyProblem, ...]:
    """One of each kind, trained by SGD: Adam makes whole steps of gradients that are rounding, and where weights are
    spread over processes that is another rounding."""
    given = {"optimizer": "sgd", "learning_rate": 2e-2}
    return tuple(with_recipe(problem, **given) for problem in (tiny_problems()[0], tiny_problems()[-1]))
