"""PAC's controls and options: each differs from PAC in the one thing that its name says."""

import copy
import itertools
from dataclasses import asdict

import pytest
import torch

from harness.errors import Diverged
from harness.fit import Fitted
from harness.objective import kernels
from methods.pac import PAC, essential
from methods.pac_controls import FineTuningAllocated, PACInvertedMask, PACNoAllocate, PACNoPenalty, PACRandomMask
from methods.pac_objectives import MASK

MASKED = [PAC, PACRandomMask, PACInvertedMask, PACNoAllocate, PACNoPenalty]


@pytest.fixture(params=[("mlp", False), ("conv", True)], ids=["same head", "new head"])
def trial(request, tiny):
    return tiny(*request.param)


def masks_of(network):
    return {name: getattr(module, leaf + MASK) for name, module, leaf, _ in kernels(network)}


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def source_weights(trial):
    return {name: weight.detach() for name, _, _, weight in kernels(trial.network)}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("cls", MASKED)
def test_exactly_the_ratio_is_at_zero_and_the_allocated_network_comes_back(trial, cls, iterations):
    method = cls(prune_ratio=0.6, iterations=iterations)
    allocated = trial.prepare(method)
    masks = masks_of(allocated)
    assert int((~flat(masks)).sum()) == round(0.6 * flat(masks).numel())
    assert all((allocated.get_parameter(name)[~mask] == 0).all() for name, mask in masks.items())
    recovered = trial.trained(method).recover()
    if trial.target.new_head:
        recovered.set_submodule("head", allocated.get_submodule("head"))
    weights = [{n: t for n, t in one.state_dict().items() if MASK not in n} for one in (recovered, allocated)]
    assert same(*weights)


def test_the_random_mask_keeps_as_many_of_each_kernel_and_takes_them_anywhere(trial):
    wanted, random = masks_of(trial.prepare(PAC())), masks_of(trial.prepare(PACRandomMask()))
    other = masks_of(trial.prepare(PACRandomMask(), "another key"))
    assert [int(mask.sum()) for mask in random.values()] == [int(mask.sum()) for mask in wanted.values()]
    assert not same(random, wanted)
    assert not same(random, other)


def test_the_inverted_mask_keeps_the_smallest(trial):
    magnitudes = flat(source_weights(trial)).abs()
    essential = flat(masks_of(trial.prepare(PACInvertedMask(prune_ratio=0.7))))
    assert magnitudes[essential].max() < magnitudes[~essential].min()


def test_without_allocate_the_essential_weights_are_the_source_models(trial):
    network = trial.prepare(PACNoAllocate())
    source = trial.network.state_dict()
    for name, mask in masks_of(network).items():
        assert torch.equal(network.get_parameter(name), torch.where(mask, source[name], 0.0))
    untouched = [name for name, _ in network.named_parameters() if name not in masks_of(network)]
    assert untouched
    assert all(torch.equal(network.get_parameter(name), source[name]) for name in untouched)


def test_without_penalty_only_a_new_head_is_held(trial):
    objective = trial.trained(PACNoPenalty())
    head = trial.target.new_head * 0.01 * float(objective.finish().head.weight.detach().square().sum())
    assert float(objective.penalty().detach()) == pytest.approx(head)
    assert same(trial.prepare(PACNoPenalty()).state_dict(), trial.prepare(PAC()).state_dict())


def test_fine_tuning_from_the_allocated_network_trains_all_of_it(trial):
    method, allocated = FineTuningAllocated(), trial.prepare(PAC())
    assert same(trial.prepare(method).state_dict(), allocated.state_dict())
    start = dict(trial.objective(method).finish().named_parameters())
    backbone = [name for name in start if not (trial.target.new_head and name.startswith("head."))]
    assert all(torch.equal(start[name], allocated.get_parameter(name)) for name in backbone)
    objective = trial.trained(method)
    assert objective.trained_entries() == sum(p.numel() for p in trial.network.parameters())
    assert all(not torch.equal(start[name], after) for name, after in objective.finish().named_parameters())
    assert objective.recover() is None


@pytest.mark.parametrize("threshold", ["global", "layer"])
def test_iterative_pruning_prunes_more_each_round_and_never_gives_back(trial, threshold):
    """Each round leaves the same share of what the one before left; Allocate's steps are shared out among them."""
    seen = []

    def counting(fit):
        def wrapped(objectives, examples, steps):
            seen.append((masks_now(objectives[0].finish()), steps))
            return fit(objectives, examples, steps)

        return wrapped

    def masks_now(network):
        return {name: weight.detach() != 0 for name, _, _, weight in kernels(network)}

    method = PAC(prune_ratio=0.875, iterations=3, threshold=threshold)
    method.prepare(copy.deepcopy(trial.network), trial.source, counting(trial.fit()))
    assert [steps for _, steps in seen] == [6, 7, 7]
    assert sum(steps for _, steps in seen) == round(method.allocate_fraction * trial.source.steps)
    shares = [float(flat(masks).float().mean()) for masks, _ in seen]
    assert shares == pytest.approx([0.5, 0.25, 0.125], abs=0.02)
    for (before, _), (after, _) in itertools.pairwise(seen):
        assert not (flat(after) & ~flat(before)).any()


def test_biases_are_frozen_trained_or_pruned(trial):
    biases = [name for name, _ in trial.network.named_parameters() if name.endswith("bias")]
    own = [name for name in biases if not (trial.target.new_head and name.startswith("head."))]

    def moved(setting):
        method = PAC(biases=setting, prune_ratio=0.9)
        allocated, objective = trial.prepare(method), trial.trained(method)
        finished = dict(objective.finish().named_parameters())
        return objective, [name for name in own if not torch.equal(finished[name], allocated.get_parameter(name))]

    frozen, none = moved("frozen")
    assert none == []
    assert frozen.recover() is not None
    trained, all_of_them = moved("trained")
    assert all_of_them == own
    assert trained.recover() is None
    assert trained.trained_entries() == frozen.trained_entries() + sum(
        trial.network.get_parameter(name).numel() for name in own
    )
    pruned, some = moved("pruned")
    assert some
    assert pruned.recover() is not None


def test_equal_ones_are_told_apart_by_their_position():
    """Of many equal weights the first are pruned, whatever the sort would do."""
    mask = essential({"one": torch.ones(40, 50), "other": torch.ones(10)}, 0.4, "global")
    assert torch.equal(flat(mask), torch.arange(2010) >= round(0.4 * 2010))


def test_an_allocate_that_diverges_is_said(trial):
    class Diverging:
        steps = 10

        def __call__(self, objectives, examples, steps):
            return [Fitted(steps=steps, last_loss=float("nan"), diverged=True)]

    with pytest.raises(Diverged, match="Allocate"):
        PAC().prepare(copy.deepcopy(trial.network), trial.source, Diverging())


def test_what_is_stored_is_the_adapted_network_and_a_bit_for_each_maskable_weight(trial):
    artifact = trial.trained(PAC()).artifact()
    for name, weight in trial.objective(PAC()).finish().state_dict().items():
        assert artifact[name].shape == weight.shape
    masks = {name: bits for name, bits in artifact.items() if name.endswith(MASK)}
    sizes = [-(-mask.numel() // 8) for mask in trial.objective(PAC()).masks().values()]
    assert [bits.numel() for bits in masks.values()] == sizes
    assert {bits.dtype for bits in masks.values()} == {torch.uint8}


def test_planned_steps_have_allocates_part():
    assert PAC(allocate_fraction=0.25).planned_steps(500, 2000, 3) == 1000
    assert PACNoAllocate().planned_steps(500, 2000, 3) == 500


def test_what_a_control_fixes_is_in_its_configuration():
    assert asdict(PACNoPenalty())["penalty"] == 0.0
    assert asdict(PACNoAllocate())["allocate_fraction"] == 0.0
    assert "penalty" not in asdict(FineTuningAllocated())
