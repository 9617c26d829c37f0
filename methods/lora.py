"""LoRA: a trainable low-rank update beside frozen weights."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import Declined
from harness.method import Choice, Fit, LogUniform, Method, Objective, Problem, setting
from harness.objective import train_only, within

RANKS = (2, 4, 8)


class Adapter(nn.Module):
    """A frozen layer and its update of low rank, A and B.

    Both may be wider than the rank: what lies beyond is zero, and with A's and B's part zero neither gets a gradient.
    So configurations of several ranks are of one structure and train as lanes together.
    Shapes: A (width, in, ...) with the base's kernel, B (out, width, ...) with a kernel of 1.
    """

    bookkeeping = ("rank",)
    base: Any
    scale: Tensor

    def __init__(self, base: nn.Module, rank: int, alpha: float, width: int = 0) -> None:
        super().__init__()
        self.base, self.rank = base, rank
        outputs, *inputs = self.kernel().shape
        width = max(rank, width)
        self.lora_A = nn.Parameter(torch.zeros(width, *inputs))
        self.lora_B = nn.Parameter(torch.zeros(outputs, width, *(1,) * (len(inputs) - 1)))
        nn.init.kaiming_uniform_(self.lora_A.data[:rank], a=math.sqrt(5))
        self.register_buffer("scale", torch.tensor(alpha / rank))

    @property
    def weight(self) -> Tensor:
        """The base layer's: some networks look at the type of a layer's weight."""
        weight: Tensor = self.base.weight
        return weight

    def kernel(self) -> Tensor:
        """The base layer's weight, outputs first."""
        return self.weight

    def merged(self) -> nn.Module:
        """The base layer with the update folded into its weight."""
        update, kernel = self.lora_B.flatten(1) @ self.lora_A.flatten(1), self.kernel().data
        kernel += (self.scale * update).detach().view_as(kernel)
        base: nn.Module = self.base
        return base


class LoRALinear(Adapter):
    """y = base(x) + scale * B A x. Shapes: x (..., in)."""

    def forward(self, x: Tensor) -> Tensor:
        update = nn.functional.linear(nn.functional.linear(x, self.lora_A), self.lora_B)
        output: Tensor = self.base(x) + self.scale * update
        return output


class LoRATransposed(LoRALinear):
    """The same over GPT-2's layer, y = x W + b, which transformers calls Conv1D. Shapes: its weight (in, out)."""

    def kernel(self) -> Tensor:
        return self.weight.T


class LoRAConv2d(Adapter):
    """y = base(x) + scale * B(A(x)): A has the base's stride and padding. Shapes: x (batch, in, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        base = self.base
        inner = nn.functional.conv2d(x, self.lora_A, None, base.stride, base.padding, base.dilation)
        output: Tensor = base(x) + self.scale * nn.functional.conv2d(inner, self.lora_B)
        return output


def adapter_for(module: nn.Module) -> type[Adapter] | None:
    """The adapter that fits a layer; None where none does."""
    if isinstance(module, nn.Linear):
        return LoRALinear
    if type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils":
        return LoRATransposed
    if isinstance(module, nn.Conv2d) and module.groups == 1 and not isinstance(module.padding, str):
        return LoRAConv2d
    return None


class LoRAObjective(Objective):
    """The loss of a network some of whose layers carry adapters."""

    def trained_entries(self) -> int:
        """Without what stays zero beyond the rank."""
        return sum(tensor.numel() for tensor in self.artifact().values())

    def artifact(self) -> dict[str, Tensor]:
        """The head, and every adapter's A and B up to its rank."""
        kept = super().artifact()
        for name, module in self.named_modules():
            if isinstance(module, Adapter):
                kept[f"{name}.lora_A"] = module.lora_A[: module.rank].detach()
                kept[f"{name}.lora_B"] = module.lora_B[:, : module.rank].detach()
        return kept

    def finish(self) -> nn.Module:
        """The network with every adapter merged into its base layer: the source network's own structure."""
        network = copy.deepcopy(self.network)
        for name, module in list(network.named_modules()):
            if isinstance(module, Adapter):
                network.set_submodule(name, module.merged())
        return network.requires_grad_(True).eval()


@dataclass(frozen=True)
class LoRA(Method):
    """LoRA: the backbone is frozen, each linear and convolution layer learns an update of low rank.

    Equation: W = W_S + (alpha / r) * B A, A Kaiming-uniform, B = 0 at the start.
    Source: Hu et al., ICLR 2022, arXiv 2106.09685; layer conventions as in the `peft` library.
    Deviations and open points: the head always trains fully (a new head must; one rule for both is simpler). All
    ungrouped linear and 2-d convolution layers of the backbone carry adapters, GPT-2's transposed ones too. The
    convolution's dilation is copied to A, which peft does not do. Dropout 0, bias none. A and B have room for the
    largest rank of the space, which the FLOPs count and parameters do not. Suitable learning rates are 3 to 100 times
    those of full fine-tuning, so the default factor is 10 and the search space is that range. Merged weights are
    deployed, so the source score after transfer is theirs; a user who keeps the adapter apart keeps the source model.
    """

    name = "lora"
    version = "2"
    paper = "Hu et al., ICLR 2022, arXiv 2106.09685"
    space = {"learning_rate_factor": LogUniform(3.0, 100.0), "rank": Choice(*RANKS)}

    learning_rate_factor: float = setting(10.0, low=1e-6, high=1e6)
    rank: int = setting(8, low=1)
    alpha: float = setting(8.0, low=0.0)

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        train_only(network, target.head)
        adapted = 0
        for name, module in list(network.named_modules()):
            adapter = None if within(name, target.head) else adapter_for(module)
            if adapter is not None:
                network.set_submodule(name, adapter(module, self.rank, self.alpha, max(RANKS)))
                adapted += 1
        if not adapted:
            raise Declined("the backbone has no linear or 2-d convolution layer that LoRA could adapt")
        return LoRAObjective(network, target.loss)
