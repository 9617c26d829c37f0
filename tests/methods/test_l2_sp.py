"""L2-SP's equation: alpha/2 ||w - w0||^2 over kernels that were there, beta/2 ||w||^2 over a new head's."""

import pytest
import torch

from harness.objective import kernels
from methods.l2_sp import L2SP


def kernels_of(network):
    return {name: parameter.detach().clone() for name, _, _, parameter in kernels(network)}


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_the_penalty_by_hand_after_training(tiny, kind, new_head):
    trial = tiny(kind, new_head)
    start, objective = kernels_of(trial.network), trial.trained(L2SP(alpha=0.3, beta=0.7))
    moved = kernels_of(objective.finish())
    head = {"head.weight"} if new_head else set()
    expected = sum(0.15 * float((moved[name] - start[name]).square().sum()) for name in start.keys() - head)
    expected += sum(0.35 * float(moved[name].square().sum()) for name in head)
    assert expected > 0
    assert float(objective.penalty().detach()) == pytest.approx(expected, rel=1e-5)
    added = objective(trial.target.train) - trial.target.loss(objective.network, trial.target.train)
    assert float(added.detach()) == pytest.approx(expected, rel=1e-3)


def test_the_penalty_is_zero_at_the_start_and_ignores_biases_and_norms(tiny):
    objective = tiny("conv").objective(L2SP())
    assert float(objective.penalty().detach()) == 0.0
    with torch.no_grad():
        for parameter in objective.network.parameters():
            if parameter.dim() < 2:
                parameter += 1.0
    assert float(objective.penalty().detach()) == 0.0


def test_the_anchor_is_a_copy_that_does_not_move(tiny):
    trial = tiny("mlp")
    objective = trial.trained(L2SP())
    start = list(kernels_of(trial.network).values())
    assert len(objective.anchors) == len(start)
    assert all(torch.equal(anchor, weight) for anchor, weight in zip(objective.anchors, start, strict=True))
    live = {parameter.data_ptr() for parameter in objective.network.parameters()}
    assert not live & {anchor.data_ptr() for anchor in objective.anchors}


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_a_very_large_alpha_stays_at_the_start(tiny, kind):
    trial = tiny(kind).with_recipe(schedule="cosine")
    start = kernels_of(trial.network)

    def distance(alpha):
        moved = kernels_of(trial.trained(L2SP(alpha=alpha)).finish())
        return max(float((moved[name] - start[name]).abs().max()) for name in start)

    assert distance(1e6) < 1e-3 < 1e-2 < distance(0.0)


def test_a_large_beta_shrinks_a_new_head_and_leaves_an_old_one_alone(tiny):
    def head(beta, new_head):
        return tiny("mlp", new_head).trained(L2SP(alpha=0.0, beta=beta)).finish().head.weight.detach()

    assert head(100.0, True).norm() < head(0.0, True).norm()
    assert torch.equal(head(100.0, False), head(0.0, False))
