"""FLOPs are counted as torch counts them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.flops import training_flops
from harness.objective import Objective
from tests.harness.lane_problems import EXAMPLES, NETWORKS, made, squared_error


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_count_is_that_of_torchs_own_counter(kind):
    objective = Objective(made(kind, 0), squared_error)
    batch = {name: tensor[:8] for name, tensor in EXAMPLES.items()}
    with FlopCounterMode(display=False) as counter:
        Objective(made(kind, 0), squared_error).eval()(batch).backward()
    assert training_flops(objective, batch) == counter.get_total_flops() > 0


def test_counting_leaves_no_gradient_and_no_random_state():
    network = nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.5))
    before = torch.get_rng_state()
    training_flops(Objective(network, lambda net, batch: net(batch["x"]).sum()), {"x": torch.ones(4, 3)})
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_convolutions_that_differ_in_their_stride_only_are_counted_apart():
    def counted(stride):
        objective = Objective(nn.Conv2d(1, 2, 3, stride=stride), lambda net, batch: net(batch["x"]).sum())
        return training_flops(objective, {"x": torch.ones(4, 1, 9, 9)})

    assert counted(1) > 2 * counted(3) > 0
