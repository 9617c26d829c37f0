"""What cannot be a lane trains alone and says why."""

import copy

import pytest
import torch
from torch import nn

from harness.engines.lanes import Lanes
from harness.engines.plain import Plain
from harness.engines.structure import NotLaned, structure
from harness.objective import Objective
from harness.recipe import Recipe
from tests.harness.lane_problems import (
    job,
    made,
    same,
    squared_error,
    trained,
)


class Branching(nn.Module):
    """Looks at its numbers in Python, which a stack of them does not allow."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 1)

    def forward(self, inputs):
        output = self.layer(inputs)
        return output if output.mean() > 0 else -output


def test_a_structure_that_cannot_be_laned_falls_back_and_says_why():
    recipe = Recipe(learning_rate=0.01, batch_size=16)
    networks = [Branching() for _ in range(2)]
    jobs = [job(seed, recipe, 10, objective=Objective(net, squared_error)) for seed, net in enumerate(networks)]
    alone = [
        job(seed, recipe, 10, objective=Objective(copy.deepcopy(net), squared_error))
        for seed, net in enumerate(networks)
    ]
    states, results = trained(Lanes(), jobs)
    expected, _ = trained(Plain(), alone)
    assert [r.engine for r in results] == ["plain", "plain"]
    assert all("no lane" in r.note for r in results)
    assert all(same(one, other) for one, other in zip(states, expected, strict=True))


def test_a_network_with_hooks_is_no_lane():
    network = made("linear", 0)
    network.register_forward_hook(lambda *_: None)
    with pytest.raises(NotLaned, match="hooks"):
        structure(network)


class Reporting(Objective):
    """Minimises the plain loss, and says more about it."""

    bookkeeping = ("said",)

    def __init__(self, network, loss, said):
        super().__init__(network, loss)
        self.said = said

    def report(self):
        return {"said": self.said}


def test_objectives_that_add_no_penalty_are_lanes_of_one_computation():
    """Whatever class of method they belong to, and whatever they train: it is all the loss of the same network."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs():
        probe = Reporting(made("linear", 1), squared_error, "b")
        for parameter in [*probe.network.parameters()][:-2]:
            parameter.requires_grad_(False)
        kinds = (Objective(made("linear", 0), squared_error), probe, Scaled(made("linear", 2), squared_error, 0.1))
        return [job(seed, recipe, 20, objective=kind) for seed, kind in enumerate(kinds)]

    states, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert [r.lanes for r in results] == [2, 2, 1]
    for one, other in zip(states, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


class Listed(Objective):
    """Keeps pairs of weight and anchor in a list, where nothing can put a lane's own weights."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.pairs = [(weight, weight.detach().clone()) for weight in network.parameters()]

    def penalty(self):
        return sum((weight - anchor).square().sum() for weight, anchor in self.pairs)


class Stale(Objective):
    """Reads a weight, detached, from a list: no gradient tells."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.held = list(network.parameters())

    def penalty(self):
        own = sum(weight.square().sum() for weight in self.network.parameters())
        return 0.01 * own / sum(weight.detach().square().sum() for weight in self.held)


class Asking(Objective):
    """Asks which weights train; inside a lane none says so. At the start its penalty is 0."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        for place, weight in enumerate(network.parameters()):
            self.register_buffer(f"anchor{place}", weight.detach().clone())

    def penalty(self):
        weights = enumerate(self.network.parameters())
        return sum((w - getattr(self, f"anchor{i}")).square().sum() for i, w in weights if w.requires_grad)


@pytest.mark.parametrize("kind", [Listed, Stale, Asking])
def test_a_penalty_that_a_lane_would_lose_trains_alone(kind):
    """Even where it is 0 at the start, so that the first loss is the same with and without it."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs():
        return [job(seed, recipe, 20, objective=kind(made("linear", seed), squared_error)) for seed in range(2)]

    states, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert all(r.engine == "plain" and r.note.startswith("no lane: ") for r in results)
    for one, other in zip(states, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


class OwnLoss(Objective):
    """Computes another loss than the one it is given, by a property."""

    @property
    def loss(self):
        return lambda network, batch: 2 * squared_error(network, batch)

    @loss.setter
    def loss(self, value):
        self.given = value


def test_a_class_that_decides_its_loss_shares_no_computation_with_others():
    assert structure(OwnLoss(made("linear", 0), squared_error)) != structure(
        Objective(made("linear", 0), squared_error)
    )


class Scaled(Objective):
    """Keeps its strength as a plain number."""

    def __init__(self, network, loss, strength):
        super().__init__(network, loss)
        self.strength = strength

    def penalty(self):
        return self.strength * sum(p.square().sum() for p in self.network.parameters())


class Noted(Scaled):
    bookkeeping = ("remark",)


def test_only_tensors_may_tell_lanes_apart():
    """A number kept outside of buffers is part of the structure: two strengths are two computations, and both right."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs():
        return [job(0, recipe, 20, objective=Scaled(made("linear", 0), squared_error, s)) for s in (0.1, 5.0, 0.1)]

    states, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert [r.lanes for r in results] == [2, 1, 2]
    for one, other in zip(states, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    one, other = (Noted(made("linear", 0), squared_error, 0.1) for _ in range(2))
    one.remark, other.remark = "a", "b"
    assert structure(one) == structure(other)
    assert structure(Scaled(made("linear", 0), squared_error, True)) != structure(
        Scaled(made("linear", 0), squared_error, 1)
    )


class OnlyTrained(Objective):
    """Asks of its parameters what a lane's stand-ins do not know."""

    def penalty(self):
        return 5 * sum(p.square().sum() for p in self.network.parameters() if p.requires_grad)


class Counting(Objective):
    """Replaces a buffer at each step."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.register_buffer("seen", torch.tensor(0.0))

    def penalty(self):
        self.seen = self.seen + 1
        return 0.01 * self.seen * self.network[0].weight.square().sum()


def masked_by_a_hook():
    network = made("linear", 0)
    network[0].weight.register_hook(lambda gradient: gradient * 0)
    return Objective(network, squared_error)


def sharing_memory():
    network = made("linear", 0)
    network[2].weight = nn.Parameter(network[0].bias.detach().view(1, 7))
    return Objective(network, squared_error)


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: OnlyTrained(made("linear", 0), squared_error), "the loss in a lane is"),
        (lambda: Counting(made("linear", 0), squared_error), "changes what the objective holds"),
        (masked_by_a_hook, "has hooks"),
        (sharing_memory, "shares memory"),
    ],
)
def test_a_forward_that_means_something_else_in_a_lane_trains_alone(build, why):
    recipe = Recipe(optimizer="sgd", learning_rate=0.01, batch_size=16)
    lanes, results = trained(Lanes(), [job(s, recipe, 10, objective=build()) for s in range(2)])
    plain, _ = trained(Plain(), [job(s, recipe, 10, objective=build()) for s in range(2)])
    assert all(result.engine == "plain" and why in result.note for result in results), results
    assert all(same(one, other) for one, other in zip(lanes, plain, strict=True))
