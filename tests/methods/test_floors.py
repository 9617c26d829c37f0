"""Fine-tuning, scratch and the linear probe: what trains, and from where."""

import pytest
import torch

from methods.fine_tuning import FineTuning
from methods.linear_probe import LinearProbe
from methods.scratch import Scratch


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_linear_probe_trains_the_head_and_nothing_else(tiny, kind, new_head):
    trial = tiny(kind, new_head)
    objective = trial.trained(LinearProbe())
    start, end = trial.network.state_dict(), objective.finish().state_dict()
    assert {name for name in start if not torch.equal(start[name], end[name])} == {"head.weight", "head.bias"}
    assert objective.trained_entries() == sum(p.numel() for p in trial.network.head.parameters())


@pytest.mark.parametrize("method", [FineTuning(), Scratch()])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_fine_tuning_and_scratch_train_everything_with_the_bare_loss(tiny, method, kind):
    trial = tiny(kind)
    objective = trial.objective(method)
    batch = trial.target.train
    assert torch.equal(objective(batch), trial.target.loss(objective.network, batch))
    assert objective.trained_entries() == sum(p.numel() for p in trial.network.parameters())


def test_only_scratch_starts_from_an_untrained_network():
    assert not Scratch.pretrained
    assert FineTuning.pretrained
    assert LinearProbe.pretrained


def test_the_learning_rate_factor_multiplies_the_recipes(tiny):
    """Twice the factor is the same run as twice the recipe's learning rate."""
    twice = tiny("mlp").trained(FineTuning(learning_rate_factor=2.0)).finish().state_dict()
    recipe = tiny("mlp").with_recipe(learning_rate=6e-3).trained(FineTuning()).finish().state_dict()
    assert all(torch.equal(twice[name], recipe[name]) for name in twice)
