"""LoRA against the `peft` library on whole models of transformers, GPT-2's transposed layers among them."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from harness.method import Problem
from harness.pretrained import layers
from methods.lora import Adapter, LoRA, LoRATransposed
from tasks.tiny_transformers import TinyImageClassifier, TinyLanguageModel, TinyTextClassifier

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it

TASKS = {
    "gpt2": TinyLanguageModel(),
    "llama": TinyLanguageModel(architecture="llama"),
    "bert": TinyTextClassifier(),
    "vit": TinyImageClassifier(),
}
RANK, ALPHA = 3, 12.0


@pytest.fixture(params=sorted(TASKS), scope="module")
def pair(request):
    """(task, base network, our objective, peft's model) with equal A and B that are not zero; and a batch."""
    task = TASKS[request.param]
    torch.manual_seed(4)
    base = task.network().double().eval()
    whole = {name: tensor[:6] for name, tensor in task.datasets().source_train.items()}
    batch = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in whole.items()}
    problem = Problem(batch, task.loss, lambda n, e: 0.0, task.head, False, layers(base), 10)
    ours = LoRA(rank=RANK, alpha=ALPHA).adapt(copy.deepcopy(base), problem, None).double().eval()
    adapters = {name: module for name, module in ours.network.named_modules() if isinstance(module, Adapter)}
    transposed = any(isinstance(module, LoRATransposed) for module in adapters.values())
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(adapters), fan_in_fan_out=transposed)
    theirs = get_peft_model(copy.deepcopy(base), config).eval()
    with torch.no_grad():
        first = task.predict(ours.network, batch), task.predict(theirs, batch), task.predict(base, batch)
        for name, adapter in adapters.items():
            wrapped = theirs.base_model.model.get_submodule(name)
            adapter.lora_B[:, :RANK].normal_()
            wrapped.lora_A["default"].weight.copy_(adapter.lora_A[:RANK])
            wrapped.lora_B["default"].weight.copy_(adapter.lora_B[:, :RANK])
    return task, ours, theirs, adapters, batch, first


def test_the_first_output_is_the_base_models(pair):
    mine, other, base = pair[-1]
    assert torch.equal(mine, base)
    assert torch.equal(other, base)


def test_every_layer_carries_an_adapter(pair):
    task, ours, _, adapters, _, _ = pair
    for block in task.blocks(ours.network):
        assert any(name.startswith(block) for name in adapters)
    assert not any(name.startswith(task.head) for name in adapters)


def test_equal_adapters_give_equal_losses_and_gradients(pair):
    task, ours, theirs, adapters, batch, (first, *_) = pair
    mine, other = ours(batch), task.loss(theirs, batch)
    torch.testing.assert_close(mine, other)
    assert not torch.allclose(task.predict(ours.network, batch), first)
    ours.zero_grad()
    theirs.zero_grad()
    mine.backward()
    other.backward()
    for name, adapter in adapters.items():
        wrapped = theirs.base_model.model.get_submodule(name)
        torch.testing.assert_close(adapter.lora_A.grad[:RANK], wrapped.lora_A["default"].weight.grad)
        torch.testing.assert_close(adapter.lora_B.grad[:, :RANK], wrapped.lora_B["default"].weight.grad)
        assert adapter.lora_A.grad.abs().max() > 0


def test_merging_gives_the_base_models_structure_and_pefts_weights(pair):
    task, ours, theirs, _, batch, _ = pair
    finished = ours.finish()
    merged = copy.deepcopy(theirs).merge_and_unload()
    mine, other = finished.state_dict(), merged.state_dict()
    assert mine.keys() == other.keys() == task.network().state_dict().keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, other[name], atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        before = task.predict(ours.network, batch)
        torch.testing.assert_close(task.predict(finished, batch), before, atol=1e-4, rtol=1e-4)
