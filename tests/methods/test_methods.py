"""The contract of every method, on two tiny networks, with a new head and with the source's."""

import copy
import pickle
from dataclasses import fields

import numpy as np
import pytest
import torch

from harness import settings
from harness.errors import UserError
from methods import METHODS

DRAWS = {"lora", "pac_random_mask"}
"""Methods that draw anything of their own."""

CASES = [("mlp", False), ("mlp", True), ("conv", False), ("conv", True)]


@pytest.fixture(params=sorted(METHODS))
def method(request):
    cls = METHODS[request.param]
    return cls(search_fraction=0.3, folds=1) if request.param == "subtuning" else cls()


@pytest.fixture(params=CASES, ids=[f"{kind}-{'new head' if new else 'same head'}" for kind, new in CASES])
def trial(request, tiny):
    return tiny(*request.param)


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def loss_of(objective, trial):
    return float(objective(trial.target.train).detach())


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_class_is_complete(method):
    cls = type(method)
    assert METHODS[cls.name] is cls
    assert cls.version
    assert cls.paper
    for section in ("Equation:", "Source:", "Deviations and open points:"):
        assert section in cls.__doc__


def test_training_lowers_the_loss(method, trial):
    objective = trial.objective(method)
    before = loss_of(objective, trial)
    trial.fit(method)([objective], trial.target.train)
    assert loss_of(objective, trial) < before


def test_what_was_not_declared_trainable_stays_bit_identical(method, trial):
    objective = trial.objective(method)
    frozen = {n: p.detach().clone() for n, p in objective.named_parameters() if not p.requires_grad}
    buffers = {name: buffer.clone() for name, buffer in objective.named_buffers()}
    free = {n: p.detach().clone() for n, p in objective.named_parameters() if p.requires_grad}
    trial.fit(method)([objective], trial.target.train)
    after = dict(objective.named_parameters())
    assert same(frozen, {name: after[name] for name in frozen})
    assert same(buffers, dict(objective.named_buffers()))
    assert all(not torch.equal(free[name], after[name]) for name in free)


def test_trained_entries_counts_at_most_what_is_declared(method, trial):
    objective = trial.objective(method)
    declared = sum(parameter.numel() for parameter in objective.parameters() if parameter.requires_grad)
    assert 0 < objective.trained_entries() <= declared


def test_one_key_gives_one_result_under_any_global_random_state(method, trial):
    torch.manual_seed(1)
    np.random.seed(1)
    first = state(trial.trained(method).finish())
    torch.manual_seed(2)
    np.random.seed(2)
    assert same(first, state(trial.trained(method).finish()))


def test_another_key_gives_another_result_only_where_the_method_draws(method, trial):
    one, other = (state(trial.trained(method, key).finish()) for key in ("a key", "another key"))
    assert same(one, other) is (method.name not in DRAWS)


def test_global_random_state_is_left_as_it_was(method, trial):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    trial.trained(method)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_method_leaves_the_target_examples_as_they_were(method, trial):
    before = copy.deepcopy(trial.target.train)
    trial.trained(method)
    assert same(before, trial.target.train)


def test_instances_pickle_and_are_values(method):
    again = pickle.loads(pickle.dumps(method))
    assert again == method
    assert hash(again) == hash(method)


def test_finish_gives_back_the_structure_of_the_source_network(method, trial):
    finished = trial.trained(method).finish()
    expected = {name: tensor.shape for name, tensor in trial.network.state_dict().items()}
    assert {name: tensor.shape for name, tensor in finished.state_dict().items()} == expected
    assert [type(module) for module in finished.modules()] == [type(module) for module in trial.network.modules()]
    assert not finished.training


def test_the_finished_network_computes_what_the_objective_trained(method, trial):
    objective = trial.trained(method)
    objective.eval()
    inputs = trial.target.train["inputs"]
    with torch.no_grad():
        torch.testing.assert_close(objective.finish()(inputs), objective.network(inputs), atol=1e-5, rtol=1e-5)


def test_finish_neither_breaks_nor_shares_memory_with_the_objective(method, trial):
    objective = trial.trained(method)
    before = loss_of(objective, trial)
    finished = objective.finish()
    kept = state(finished)
    assert loss_of(objective, trial) == before
    trial.fit(method)([objective], trial.target.train)
    assert loss_of(objective, trial) != before
    assert same(kept, state(finished))
    assert not same(kept, state(objective.finish()))


def test_the_artifact_holds_finite_tensors(method, trial):
    artifact = trial.trained(method).artifact()
    assert artifact
    assert all(tensor.isfinite().all() for tensor in artifact.values())


def test_report_is_text(method, trial):
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in trial.objective(method).report().items())


def test_preparing_does_not_change_the_network_of_others(method, trial):
    before = state(trial.network)
    trial.trained(method)
    assert same(before, state(trial.network))


def test_prepare_fields_and_search_space_name_fields(method):
    names = {field.name for field in fields(method)}
    assert set(method.prepare_fields or ()) <= names
    assert set(method.space) <= names


def test_every_configuration_that_the_space_can_draw_is_legal(method):
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = {name: distribution.sample(rng) for name, distribution in method.space.items()}
        settings.build(type(method), drawn, "here")


def limits():
    for name, cls in sorted(METHODS.items()):
        for field in fields(cls):
            meta = field.metadata
            if meta["low"] is not None:
                yield name, field.name, meta["low"] - 1
            if meta["high"] is not None:
                yield name, field.name, meta["high"] + 1
            if meta["options"]:
                yield name, field.name, "no such option"
            yield name, field.name, []


@pytest.mark.parametrize(("name", "setting", "value"), list(limits()))
def test_settings_out_of_range_are_refused(name, setting, value):
    with pytest.raises(UserError, match=rf"here: {setting} = "):
        settings.build(METHODS[name], {setting: value}, "here")


def test_an_unknown_setting_is_refused_with_the_nearest_name(method):
    with pytest.raises(UserError, match="learning_rate_factor"):
        settings.build(type(method), {"learning_rate_facto": 1.0}, "here")
