"""LoRA against the layers of the `peft` library, with equal A and B."""

import copy
from collections import OrderedDict

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from harness.engines.structure import structure
from harness.errors import Declined
from methods.lora import Adapter, LoRA, LoRAConv2d, LoRALinear

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (7, 6)),
    "linear over a sequence": (lambda: nn.Linear(6, 5, bias=False), (2, 3, 6)),
    "convolution": (lambda: nn.Conv2d(3, 5, 3, padding=1), (2, 3, 8, 8)),
    "convolution with stride": (lambda: nn.Conv2d(3, 5, (3, 2), stride=2, padding=1), (2, 3, 8, 8)),
}
RANK, ALPHA = 3, 12


@pytest.fixture(params=sorted(LAYERS))
def pair(request):
    """Our layer and peft's over one base layer, with equal A and B; and an input."""
    torch.manual_seed(5)
    build, shape = LAYERS[request.param]
    base = build()
    ours = (LoRALinear if isinstance(base, nn.Linear) else LoRAConv2d)(copy.deepcopy(base), RANK, ALPHA)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["layer"])
    theirs = get_peft_model(nn.Sequential(OrderedDict(layer=base)), config)
    wrapped = theirs.base_model.model.layer
    x = torch.randn(shape)
    return ours, theirs, wrapped, base, x


def equal_adapters(ours, wrapped):
    """Give both the same A and a B that is not zero."""
    with torch.no_grad():
        wrapped.lora_A["default"].weight.copy_(ours.lora_A)
        ours.lora_B.normal_()
        wrapped.lora_B["default"].weight.copy_(ours.lora_B)


def test_the_shapes_and_the_scale_are_pefts(pair):
    ours, _, wrapped, _, _ = pair
    assert ours.lora_A.shape == wrapped.lora_A["default"].weight.shape
    assert ours.lora_B.shape == wrapped.lora_B["default"].weight.shape
    assert float(ours.scale) == wrapped.scaling["default"] == ALPHA / RANK


def test_the_first_output_is_the_base_layers(pair):
    ours, theirs, _, base, x = pair
    assert torch.equal(ours(x), base(x))
    assert torch.equal(theirs(x), base(x))
    assert (ours.lora_A != 0).all()


def test_equal_adapters_give_equal_outputs_and_gradients(pair):
    ours, theirs, wrapped, base, x = pair
    equal_adapters(ours, wrapped)
    mine, other = ours(x), theirs(x)
    torch.testing.assert_close(mine, other)
    assert not torch.allclose(mine, base(x))
    mine.square().sum().backward()
    other.square().sum().backward()
    torch.testing.assert_close(ours.lora_A.grad, wrapped.lora_A["default"].weight.grad)
    torch.testing.assert_close(ours.lora_B.grad, wrapped.lora_B["default"].weight.grad)


def test_merging_gives_the_same_weight_as_pefts_and_the_same_output(pair):
    ours, _, wrapped, _, x = pair
    equal_adapters(ours, wrapped)
    before = ours(x).detach()
    merged = ours.merged()
    assert type(merged) is type(wrapped.base_layer)
    torch.testing.assert_close(merged(x), before, atol=1e-5, rtol=1e-5)
    wrapped.merge()
    torch.testing.assert_close(merged.weight, wrapped.get_base_layer().weight)


def test_dilation_is_copied_and_merges_exactly():
    torch.manual_seed(6)
    layer = LoRAConv2d(nn.Conv2d(2, 4, 3, dilation=2, padding=2), 2, 4.0)
    nn.init.normal_(layer.lora_B)
    x = torch.randn(2, 2, 9, 9)
    before = layer(x).detach()
    torch.testing.assert_close(layer.merged()(x), before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_only_adapters_and_the_head_train(tiny, kind):
    objective = tiny(kind).objective(LoRA(rank=2))
    training = {name.rpartition(".")[2] for name, p in objective.network.named_parameters() if p.requires_grad}
    assert training == {"lora_A", "lora_B", "weight", "bias"}
    free = [n for n, p in objective.network.named_parameters() if p.requires_grad and n.endswith(("weight", "bias"))]
    assert free == ["head.weight", "head.bias"]


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_the_update_of_every_kernel_of_the_backbone_has_the_rank(tiny, kind):
    trial = tiny(kind)
    finished, start = trial.trained(LoRA(rank=2)).finish(), trial.network
    for block in ("block1", "block2"):
        update = finished.get_submodule(block)[0].weight - start.get_submodule(block)[0].weight
        singular = torch.linalg.svdvals(update.detach().flatten(1))
        assert singular[1] > 1e-4
        assert (singular[2:] < 1e-5 * singular[0]).all()


def test_a_backbone_without_such_layers_is_declined(tiny):
    trial = tiny("mlp")
    trial.network.block1, trial.network.block2 = nn.Identity(), nn.Identity()
    with pytest.raises(Declined, match="no linear or 2-d convolution"):
        trial.objective(LoRA())


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_room_beyond_the_rank_stays_zero_and_changes_nothing(tiny, kind):
    narrow = tiny(kind).trained(LoRA(rank=8))
    wide = tiny(kind).trained(LoRA(rank=2))
    adapters = [m for m in wide.network.modules() if isinstance(m, Adapter)]
    assert adapters
    for adapter in adapters:
        assert adapter.lora_A.shape[0] == 8
        assert (adapter.lora_A[2:] == 0).all()
        assert (adapter.lora_B[:, 2:] == 0).all()
        assert (adapter.lora_A[:2] != 0).any()
    head = sum(p.numel() for p in wide.network.head.parameters())
    assert (wide.trained_entries() - head) * 4 == narrow.trained_entries() - head
    assert {t.shape[0] for n, t in wide.artifact().items() if n.endswith("lora_A")} == {2}


def test_every_rank_of_the_space_is_of_one_structure(tiny):
    ranks = [structure(tiny("mlp").objective(LoRA(rank=rank))) for rank in (2, 4, 8)]
    assert len(set(ranks)) == 1
