"""A tiny transfer problem, in two shapes of network, and the way a trial runs a method on it."""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from harness import seeds
from harness.engines.plain import Plain
from harness.fit import Fit
from harness.method import Problem
from harness.objective import Objective
from harness.recipe import Recipe


def mlp_loss(network, batch):
    return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])


def conv_loss(network, batch):
    return nn.functional.cross_entropy(network(batch["inputs"]), batch["targets"])


def mlp():
    first, second = (
        nn.Sequential(nn.Linear(4, 8), nn.ReLU()),
        nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU()),
    )
    return nn.Sequential(OrderedDict(block1=first, block2=second, head=nn.Linear(8, 1)))


def conv():
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.ReLU())
    return nn.Sequential(OrderedDict(block1=first, block2=second, flatten=nn.Flatten(), head=nn.Linear(32, 3)))


@dataclass
class Trial:
    """A source network with both problems, and what a trial does with a method."""

    network: nn.Module
    source: Problem
    target: Problem
    recipe: Recipe
    steps: int

    def fit(self, method=None, steps=None):
        factor = method.learning_rate_factor if method else 1.0
        return Fit(
            Plain(),
            self.recipe,
            order_seed=7,
            steps=self.steps if steps is None else steps,
            learning_rate_factor=factor,
        )

    def prepare(self, method, key="a key"):
        with seeds.seeded(key, "prepare"):
            return method.prepare(copy.deepcopy(self.network), self.source, self.fit())

    def objective(self, method, key="a key"):
        """What the method would train, before it trains."""
        network = self.prepare(method, key)
        if self.target.new_head:
            with seeds.seeded("the same for every method", "head"):
                old = network.get_submodule("head")
                network.set_submodule("head", nn.Linear(old.in_features, old.out_features))
        with seeds.seeded(key, "method"):
            return method.adapt(network, self.target, self.fit(method))

    def trained(self, method, key="a key", steps=None):
        """The objective after training on the target."""
        objective = self.objective(method, key)
        with seeds.seeded(key, "training"):
            self.fit(method, steps)([objective], self.target.train)
        return objective

    def with_recipe(self, **changes):
        return replace(self, recipe=replace(self.recipe, **changes))


@pytest.fixture(scope="session")
def source_networks():
    """Each tiny network, trained on its source."""
    made = {}
    for kind, build, loss, shape in (("mlp", mlp, mlp_loss, (64, 4)), ("conv", conv, conv_loss, (48, 1, 4, 4))):
        with seeds.seeded(kind, "tiny problem"):
            inputs, network = torch.randn(shape), build()
            teacher = build()
            with torch.no_grad():
                output = teacher(inputs)
            targets = output[:, 0] * 3 if kind == "mlp" else output.argmax(1)
            shifted = inputs.flip(1) + 0.3 if kind == "mlp" else inputs.flip(-1)
            source, target = {"inputs": inputs, "targets": targets}, {"inputs": shifted[:20], "targets": targets[:20]}
            Fit(Plain(), Recipe(learning_rate=1e-2, batch_size=16), 3, 200)([Objective(network, loss)], source)
        made[kind] = (network, loss, source, target)
    return made


@pytest.fixture
def tiny(source_networks):
    """tiny(kind, new_head=False) gives the trial of a kind: "mlp" (regression) or "conv" (three classes)."""

    def make(kind="mlp", new_head=False, steps=30):
        network, loss, source, target = source_networks[kind]

        def problem(examples, fresh):
            def score(net, held_out):
                with torch.no_grad():
                    return -float(loss(net, held_out))

            own = {name: tensor.clone() for name, tensor in examples.items()}
            return Problem(own, loss, score, "head", fresh, ("block1", "block2"), steps=40)

        recipe = Recipe(learning_rate=3e-3, batch_size=8)
        return Trial(copy.deepcopy(network), problem(source, False), problem(target, new_head), recipe, steps)

    return make
