"""What PAC and its controls train: weights in two parts, one of them fixed by a mask."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from harness.method import Objective
from harness.objective import Loss, PartlyFrozen, SquaredNorm

MASK = "_essential"
"""Suffix of the buffer that `prepare` leaves beside each maskable parameter: true where the weight is essential."""


def is_bias(name: str) -> bool:
    """Whether a module's parameter of that name is a bias (also that of a normalisation, or of an LSTM's gates)."""
    return name.startswith("bias")


def maskable(network: nn.Module, with_biases: bool) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    """Kernels (two or more dimensions), and the biases if asked, as (full name, module, name in it, parameter)."""
    for prefix, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() >= 2 or (with_biases and is_bias(name)):
                yield f"{prefix}.{name}" if prefix else name, module, name, parameter


class Calibrated(PartlyFrozen):
    """Calibrate's weight: kept + (1 - m) * free, where `free` is what trains. Shapes: all as the kernel."""

    def __init__(self, kept: Tensor, mask: Tensor) -> None:
        super().__init__(mask, kept)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Free weights start at 0."""
        return torch.zeros_like(weight)


class CalibrateObjective(Objective):
    """Target loss plus lambda * sum of squared free weights; essential weights cannot move.

    `masked` names the weights that are held in two parts: their masks lie beside them, as frozen parameters. With
    `recoverable` nothing but them and a new head trains.
    """

    lam: Tensor
    head_lam: Tensor

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        masks: dict[str, Tensor],
        head: list[str],
        penalty: float,
        head_penalty: float,
        recoverable: bool,
    ) -> None:
        super().__init__(network, loss)
        self.masked, self.recoverable = list(masks), recoverable
        self.register_buffer("lam", torch.tensor(penalty))
        self.register_buffer("head_lam", torch.tensor(head_penalty))
        for name, mask in masks.items():
            module, leaf = owner(network, name)
            kept = module.get_parameter(leaf).detach()
            parametrize.register_parametrization(module, leaf, Calibrated(kept, mask))
            module.parametrizations[leaf].original.requires_grad_(True)  # type: ignore[index,union-attr]
        self.free_norms = nn.ModuleList(SquaredNorm(self._free(name)) for name in masks)
        self.head_norms = nn.ModuleList(SquaredNorm(network.get_parameter(name)) for name in head)

    def penalty(self) -> Tensor:
        """lambda * sum over m=0 of w_i^2, and the same with its own weight over a new head's kernels."""
        free = sum((norm() for norm in self.free_norms), torch.zeros_like(self.lam))
        head = sum((norm() for norm in self.head_norms), torch.zeros_like(self.lam))
        return self.lam * free + self.head_lam * head

    def _free(self, name: str) -> nn.Parameter:
        """A weight's free part. Entries at essential positions are 0: they never get a gradient."""
        module, leaf = owner(self.network, name)
        free: nn.Parameter = module.parametrizations[leaf].original  # type: ignore[index,union-attr]
        return free

    def masks(self) -> dict[str, Tensor]:
        """True where a weight is essential, by its name."""
        owners = {name: owner(self.network, name) for name in self.masked}
        return {n: module.parametrizations[leaf][0].fixed for n, (module, leaf) in owners.items()}  # type: ignore[index,union-attr]

    def trained_entries(self) -> int:
        essential = sum(int(mask.sum()) for mask in self.masks().values())
        return super().trained_entries() - essential

    def recover(self) -> nn.Module | None:
        """The allocated source network: the adapted one times the mask."""
        if not self.recoverable:
            return None
        network = self.finish()
        for name, mask in self.masks().items():
            weight = network.get_parameter(name)
            weight.data = torch.where(mask, weight.data, 0.0)
        return network

    def artifact(self) -> dict[str, Tensor]:
        """The whole adapted network (Allocate moved every essential weight) and one bit of mask per maskable entry."""
        bits = {
            f"{name}{MASK}": torch.empty(-(-mask.numel() // 8), dtype=torch.uint8)
            for name, mask in self.masks().items()
        }
        return {**self.finish().state_dict(), **bits}

    def report(self) -> dict[str, str]:
        return {"dead_units": str(dead_units([mask for mask in self.masks().values() if mask.dim() >= 2]))}


class AllocateObjective(Objective):
    """The source loss of the network with everything inessential held at 0."""

    def __init__(self, network: nn.Module, loss: Loss, masks: dict[str, Tensor]) -> None:
        super().__init__(network, loss)
        for name, mask in masks.items():
            parametrize.register_parametrization(*owner(network, name), PartlyFrozen(~mask))


def owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that holds the parameter `name`, and the parameter's name in it."""
    path, _, leaf = name.rpartition(".")
    return network.get_submodule(path), leaf


def dead_units(masks: list[Tensor]) -> int:
    """Units of a chain of layers whose in-weights and out-weights are all pruned: they get no gradient, ever.

    Counted between neighbours whose shapes fit (the next layer's inputs are a multiple of this one's units: a flattened
    image). A unit that a positive bias keeps active can still move its out-weights, so this is an upper bound.
    """
    dead = 0
    for before, after in itertools.pairwise(masks):
        units, inputs = before.shape[0], after.shape[1]
        if inputs % units:
            continue
        no_input = ~before.flatten(1).any(1)
        no_output = ~after.transpose(0, 1).reshape(units, -1).any(1)
        dead += int((no_input & no_output).sum())
    return dead
