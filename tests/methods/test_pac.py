"""PAC's equations: each test turns red when the line that defines it is deleted."""

import copy

import pytest
import torch
from torch import nn

from harness.objective import kernels
from methods.pac import PAC, essential
from methods.pac_objectives import MASK, dead_units

OPTIMIZERS = {
    "adam": {"optimizer": "adam"},
    "adamw with decay": {"optimizer": "adamw", "weight_decay": 0.1},
    "sgd with momentum and decay": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01, "learning_rate": 0.03},
}
CASES = [("mlp", False), ("mlp", True), ("conv", False), ("conv", True)]


@pytest.fixture(params=CASES, ids=[f"{kind}-{'new head' if new else 'same head'}" for kind, new in CASES])
def trial(request, tiny):
    return tiny(*request.param)


@pytest.fixture(params=sorted(OPTIMIZERS))
def optimizer(request):
    return OPTIMIZERS[request.param]


def weights_of(network):
    return {name: parameter.detach().clone() for name, _, _, parameter in kernels(network)}


def masks_of(network):
    return {name: getattr(module, leaf + MASK) for name, module, leaf, _ in kernels(network)}


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


# Prune and Allocate


@pytest.mark.parametrize("threshold", ["global", "layer"])
@pytest.mark.parametrize("ratio", [0.0, 0.37, 0.8, 1.0])
def test_allocate_leaves_exactly_the_ratio_of_kernel_entries_at_zero(trial, optimizer, ratio, threshold):
    network = trial.with_recipe(**optimizer).prepare(PAC(prune_ratio=ratio, threshold=threshold))
    layers = weights_of(network).values()
    pruned = [int((weight == 0).sum()) for weight in layers]
    if threshold == "layer":
        assert pruned == [round(ratio * weight.numel()) for weight in layers]
    else:
        assert sum(pruned) == round(ratio * sum(weight.numel() for weight in layers))


def test_the_essential_weights_are_the_largest_of_the_source(trial):
    before, masks = weights_of(trial.network), masks_of(trial.prepare(PAC(prune_ratio=0.7)))
    magnitudes, essential = flat(before).abs(), flat(masks)
    assert magnitudes[essential].min() > magnitudes[~essential].max()


def test_one_threshold_serves_all_layers_unless_asked_otherwise():
    weights = {"small": torch.full((2, 2), 0.1), "large": torch.full((2, 2), 1.0)}
    shares = {
        threshold: [float(mask.float().mean()) for mask in essential(weights, 0.5, threshold).values()]
        for threshold in ("global", "layer")
    }
    assert shares == {"global": [0.0, 1.0], "layer": [0.5, 0.5]}


def test_equal_magnitudes_are_pruned_to_the_exact_number():
    mask = essential({"all equal": torch.ones(7, 3)}, 0.6, "global")["all equal"]
    assert int((~mask).sum()) == round(0.6 * 21)


def test_pruned_weights_are_where_the_mask_says(trial):
    network = trial.prepare(PAC(prune_ratio=0.6))
    assert torch.equal(flat(weights_of(network)) != 0, flat(masks_of(network)))


def test_allocate_trains_what_is_left_on_the_source(trial):
    def source_loss(fraction):
        network = trial.prepare(PAC(prune_ratio=0.8, allocate_fraction=fraction))
        return float(trial.source.loss(network, trial.source.train).detach())

    assert source_loss(1.0) < source_loss(0.0)


def test_allocate_takes_its_fraction_of_the_source_steps_and_none_at_ratio_zero(trial):
    for ratio, expected in ((0.5, 30), (0.0, 0)):
        fit = trial.fit()
        PAC(prune_ratio=ratio, allocate_fraction=0.75).prepare(copy.deepcopy(trial.network), trial.source, fit)
        assert fit.steps_taken == expected


# Calibrate


def test_essential_weights_biases_and_norms_stay_bitwise_under_every_optimizer(trial, optimizer):
    trial = trial.with_recipe(**optimizer)
    method = PAC(prune_ratio=0.6)
    allocated = trial.prepare(method)
    masks, expected = masks_of(allocated), dict(allocated.named_parameters())
    finished = dict(trial.trained(method).finish().named_parameters())
    for name, weight in finished.items():
        if trial.target.new_head and name.startswith("head."):
            assert not torch.equal(weight, expected[name])
        elif name in masks:
            assert torch.equal(weight[masks[name]], expected[name][masks[name]])
            assert (weight[~masks[name]] != 0).any()
        else:
            assert torch.equal(weight, expected[name])


def test_free_weights_start_at_zero(trial):
    objective = trial.objective(PAC())
    allocated = trial.prepare(PAC())
    for name, weight in weights_of(objective.finish()).items():
        if not (trial.target.new_head and name.startswith("head.")):
            assert torch.equal(weight, allocated.get_parameter(name))


def test_masking_afterwards_gives_back_the_allocated_source_network(trial, optimizer):
    trial = trial.with_recipe(**optimizer)
    allocated, objective = trial.prepare(PAC()).eval(), trial.trained(PAC())
    recovered = objective.recover()
    if trial.target.new_head:
        recovered.set_submodule("head", allocated.get_submodule("head"))
    inputs = trial.source.train["inputs"]
    with torch.no_grad():
        assert torch.equal(recovered(inputs), allocated(inputs))
        assert not torch.equal(objective.finish()(inputs), allocated(inputs))


def test_the_penalty_is_lambda_times_the_squares_of_the_free_weights(trial):
    objective = trial.trained(PAC(penalty=0.03, head_penalty=0.5))
    masks, weights = masks_of(trial.prepare(PAC())), weights_of(objective.finish())
    head = {"head.weight"} if trial.target.new_head else set()
    free = sum(float(weights[name][~masks[name]].square().sum()) for name in weights.keys() - head)
    expected = 0.03 * free + sum(0.5 * float(weights[name].square().sum()) for name in head)
    assert expected > 0
    batch = trial.target.train
    assert float(objective.penalty().detach()) == pytest.approx(expected, rel=1e-5)
    added = objective(batch) - trial.target.loss(objective.network, batch)
    assert float(added.detach()) == pytest.approx(expected, rel=1e-3)


def test_a_very_large_lambda_gives_the_allocated_network_and_none_does_not(trial):
    trial = trial.with_recipe(schedule="cosine")
    allocated = weights_of(trial.prepare(PAC()))

    def distance(penalty):
        weights = weights_of(trial.trained(PAC(penalty=penalty)).finish())
        names = [name for name in weights if not (trial.target.new_head and name == "head.weight")]
        return max(float((weights[name] - allocated[name]).abs().max()) for name in names)

    assert distance(1e6) < 1e-3 < 1e-2 < distance(0.0)


def test_a_large_head_penalty_shrinks_a_new_head(tiny):
    def size(head_penalty):
        return float(tiny(new_head=True).trained(PAC(head_penalty=head_penalty)).finish().head.weight.norm().detach())

    assert size(100.0) < size(0.0)


def test_ratio_zero_is_the_frozen_source_network(trial):
    objective = trial.trained(PAC(prune_ratio=0.0))
    finished, source = objective.finish().state_dict(), trial.network.state_dict()
    backbone = [name for name in source if not (trial.target.new_head and name.startswith("head."))]
    assert all(torch.equal(finished[name], source[name]) for name in backbone)
    head = sum(p.numel() for p in trial.network.head.parameters())
    assert objective.trained_entries() == (head if trial.target.new_head else 0)


def test_ratio_one_trains_every_kernel_from_zero(trial):
    method = PAC(prune_ratio=1.0)
    start = weights_of(trial.objective(method).finish())
    backbone = [name for name in start if not (trial.target.new_head and name == "head.weight")]
    assert all((start[name] == 0).all() for name in backbone)
    objective = trial.trained(method)
    everything = sum(weight.numel() for weight in start.values()) + trial.target.new_head * len(trial.network.head.bias)
    assert objective.trained_entries() == everything
    assert not torch.equal(objective.finish().head.weight, start["head.weight"])


def test_trained_entries_are_the_pruned_ones_and_a_new_head(trial):
    masks = masks_of(trial.prepare(PAC()))
    if trial.target.new_head:
        del masks["head.weight"]
    head = sum(p.numel() for p in trial.network.head.parameters()) if trial.target.new_head else 0
    assert trial.objective(PAC()).trained_entries() == int((~flat(masks)).sum()) + head


# Dead units


def test_dead_units_by_hand():
    """Unit 0 lost everything, unit 1 its inputs only, unit 2 its outputs only."""
    before = torch.tensor([[0, 0], [0, 0], [1, 0], [0, 1]], dtype=torch.bool)
    after = torch.tensor([[0, 1, 0, 1]], dtype=torch.bool)
    assert dead_units([before, after]) == 1


def test_dead_channels_before_a_flattened_head_are_counted():
    """Channel 1 of two; the head reads three pixels of each."""
    convolution = torch.tensor([1, 0], dtype=torch.bool).view(2, 1, 1, 1)
    head = torch.tensor([[0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    assert dead_units([convolution, head]) == 1


def test_a_dead_unit_is_reported_and_never_moves(tiny):
    trial = tiny("mlp")
    trial.network.block1[0] = nn.Linear(4, 8)
    trial.network.block2 = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    with torch.no_grad():
        for layer in (trial.network.block1[0], trial.network.block2[0]):
            layer.weight.uniform_(0.5, 1.0, generator=torch.Generator().manual_seed(1))
            layer.bias.zero_()
        trial.network.block1[0].weight[3] *= 1e-3
        trial.network.block2[0].weight[:, 3] *= 1e-3
    method = PAC(prune_ratio=12 / 104, allocate_fraction=0.0)
    trial.network.head.weight.data.fill_(1.0)
    objective = trial.trained(method)
    assert objective.report() == {"dead_units": "1"}
    assert (objective.finish().block1[0].weight[3] == 0).all()
    assert (objective.finish().block2[0].weight[:, 3] == 0).all()
