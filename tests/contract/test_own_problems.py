"""Problems of one's own: other networks and other fields than those of the tiny ones."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from harness.contract import METHOD_CHECKS, MethodUnderTest, TinyProblem
from harness.method import Method, Objective
from methods import METHODS


class Scaled(nn.Module):
    """A layer of a weight of its own, with no `reset_parameters`."""

    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x):
        return x * self.scale


class Pooled(nn.Module):
    def forward(self, x):
        return x.mean(1)


def loss(network, batch):
    return nn.functional.cross_entropy(network(batch["tokens"]), batch["labels"])


def text_problem(new_head=True):
    """Sequences of six tokens, whose label is that of the first one."""
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randint(12, (60, 6), generator=draw)
    examples = {"tokens": tokens, "labels": tokens[:, 0] % 3}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        first = nn.Sequential(nn.Embedding(12, 8), Scaled(8), Pooled())
        second = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        network = nn.Sequential(OrderedDict(block1=first, block2=second, head=nn.Linear(8, 3)))
    target = {name: tensor[:20] for name, tensor in examples.items()}
    return TinyProblem("text", network, loss, examples, target, new_head)


@pytest.mark.parametrize("name", ["l2_sp", "scratch"])
def test_every_check_works_on_them(name):
    """What runs in another process is not checked there, and says why."""
    under_test = MethodUnderTest(METHODS[name](), [text_problem()])
    found = [check.examine(under_test) for check in METHOD_CHECKS]
    assert [one for one in found if one.state == "fault"] == []
    assert [one.check for one in found if one.state == "not checked"] == ["fresh process", "deepspeed"]


def test_the_problem_beside_it_is_another_of_the_same_structure():
    problem = text_problem()
    other, again = problem.other(), problem.other()
    before, after = problem.network.state_dict(), other.network.state_dict()
    assert {name: weight.shape for name, weight in before.items()} == {n: w.shape for n, w in after.items()}
    assert not any(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(weight, again.network.state_dict()[name]) for name, weight in after.items())
    assert not torch.equal(problem.target["tokens"], other.target["tokens"])
    assert all(torch.equal(other.target[name], again.target[name]) for name in other.target)


class Doubled(Objective):
    def finish(self):
        network = super().finish()
        with torch.no_grad():
            network.head.weight.mul_(2.0)
        return network


@dataclass(frozen=True)
class Unfolded(Method):
    name = "unfolded"
    version = "1"
    paper = "none"

    def adapt(self, network, target, fit):
        return Doubled(network, target.loss)


def test_a_finished_network_that_computes_something_else_is_found_there():
    under_test = MethodUnderTest(Unfolded(), [text_problem(new_head=False)])
    (finish,) = (check for check in METHOD_CHECKS if check.name == "finish")
    assert "computes something else" in finish.examine(under_test).text
