"""PAC: Prune, Allocate, Calibrate."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from harness.errors import Diverged
from harness.method import Choice, Fit, LogUniform, Method, Objective, Problem, setting
from harness.objective import Loss, kernels, within

MASK = "_essential"
"""Suffix of the buffer that `prepare` leaves beside each kernel: true where the weight is essential."""


class Kept(nn.Module):
    """Allocate's weight: m * w. Shapes: w and m as the kernel."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = nn.Parameter(mask.clone(), requires_grad=False)

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.mask, weight, 0.0)


class Calibrated(nn.Module):
    """Calibrate's weight: kept + (1 - m) * free, where `free` is what trains. Shapes: all as the kernel.

    Written as a selection, which is the same number for finite weights and leaves essential weights bitwise alone.
    """

    def __init__(self, kept: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.kept = nn.Parameter(kept.clone(), requires_grad=False)
        self.mask = nn.Parameter(mask.clone(), requires_grad=False)

    def forward(self, free: Tensor) -> Tensor:
        return torch.where(self.mask, self.kept, free)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Free weights start at 0."""
        return torch.zeros_like(weight)


class CalibrateObjective(Objective):
    """Target loss plus lambda * sum of squared free weights; essential weights cannot move.

    `masked` names the kernels that are held in two parts: their masks lie beside them, as frozen parameters.
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
    ) -> None:
        super().__init__(network, loss)
        self.masked, self.head = list(masks), head
        self.register_buffer("lam", torch.tensor(penalty))
        self.register_buffer("head_lam", torch.tensor(head_penalty))
        for name, mask in masks.items():
            module, leaf = _owner(network, name)
            kept = module.get_parameter(leaf).detach()
            parametrize.register_parametrization(module, leaf, Calibrated(kept, mask))
            module.parametrizations[leaf].original.requires_grad_(True)  # type: ignore[index,union-attr]

    def penalty(self) -> Tensor:
        """lambda * sum over m=0 of w_i^2, and the same with its own weight over a new head's kernels."""
        free = sum((self._free(name).square().sum() for name in self.masked), torch.zeros_like(self.lam))
        head = sum((self.weight(name).square().sum() for name in self.head), torch.zeros_like(self.lam))
        return self.lam * free + self.head_lam * head

    def _free(self, name: str) -> Tensor:
        """A kernel's free weights. Entries at essential positions are 0: they never get a gradient."""
        module, leaf = _owner(self.network, name)
        free: Tensor = module.parametrizations[leaf].original  # type: ignore[index,union-attr]
        return free

    def masks(self) -> dict[str, Tensor]:
        """True where a kernel's weight is essential, by kernel name."""
        owners = {name: _owner(self.network, name) for name in self.masked}
        return {n: module.parametrizations[leaf][0].mask for n, (module, leaf) in owners.items()}  # type: ignore[index,union-attr]

    def trained_entries(self) -> int:
        essential = sum(int(mask.sum()) for mask in self.masks().values())
        return super().trained_entries() - essential

    def recover(self) -> nn.Module:
        """The allocated source network: the adapted one times the mask."""
        network = self.finish()
        for name, mask in self.masks().items():
            weight = network.get_parameter(name)
            weight.data = torch.where(mask, weight.data, 0.0)
        return network

    def artifact(self) -> dict[str, Tensor]:
        """The whole adapted network (Allocate moved every essential weight) and one bit of mask per kernel entry."""
        bits = {
            f"{name}{MASK}": torch.empty(-(-mask.numel() // 8), dtype=torch.uint8)
            for name, mask in self.masks().items()
        }
        return {**self.finish().state_dict(), **bits}

    def report(self) -> dict[str, str]:
        return {"dead_units": str(dead_units(list(self.masks().values())))}


class AllocateObjective(Objective):
    """The source loss of the network with everything inessential held at 0."""

    def __init__(self, network: nn.Module, loss: Loss, masks: dict[str, Tensor]) -> None:
        super().__init__(network, loss)
        for name, mask in masks.items():
            parametrize.register_parametrization(*_owner(network, name), Kept(mask))


@dataclass(frozen=True)
class PAC(Method):
    """PAC: keep the largest source weights for the source, give the rest to the target.

    Equation: m_i = 1 where |w_i| is among the largest (1 - ratio); Allocate: argmin L_source(m * w);
    Calibrate: argmin over the weights with m = 0 of L_target + lambda * sum over m=0 of w_i^2, from 0, the rest fixed.
    Source: Myung et al., PAC-Net, ICML 2022, arXiv 2206.05703; ratio 0.8, lambda 0.01.
    Deviations and open points: no code was released. Decided here: the threshold is global (`threshold="layer"` gives
    one per kernel), pruning one-shot, lambda without a factor 1/2. Kernels (two or more dimensions) are maskable;
    biases and normalisation train in Allocate and are frozen in Calibrate, so that the source model can be recovered.
    A head of the same label space is an ordinary kernel; a new one trains fully under its own `head_penalty`. Allocate
    takes `allocate_fraction` of the source model's steps; at ratio 0 nothing was pruned and Allocate is skipped.
    The optimizer is the task's, fresh in each phase. Dead units are counted where the layers form a chain.
    """

    name = "pac"
    version = "1"
    paper = "Myung et al., ICML 2022, arXiv 2206.05703"
    needs_source_data = True
    prepare_fields = ("prune_ratio", "threshold", "allocate_fraction")
    space = {
        "learning_rate_factor": LogUniform(0.1, 10.0),
        "prune_ratio": Choice(0.5, 0.65, 0.8, 0.9),
        "penalty": LogUniform(0.0001, 0.1),
    }

    prune_ratio: float = setting(0.8, low=0.0, high=1.0)
    penalty: float = setting(0.01, low=0.0)
    head_penalty: float = setting(0.01, low=0.0)
    threshold: str = setting("global", options=("global", "layer"))
    allocate_fraction: float = setting(0.5, low=0.0)

    def prepare(self, network: nn.Module, source: Problem, fit: Fit) -> nn.Module:
        """Prune by magnitude, then Allocate: train what is left on the source."""
        weights = {name: parameter.detach() for name, _, _, parameter in kernels(network)}
        masks = magnitude_masks(weights, self.prune_ratio, self.threshold)
        if self.prune_ratio > 0:
            objective = AllocateObjective(network, source.loss, masks)
            (result,) = fit([objective], source.train, round(self.allocate_fraction * source.steps))
            if result.diverged:
                raise Diverged("Allocate: the loss on the source became NaN or infinite")
            network = objective.finish()
        for name, mask in masks.items():
            module, leaf = _owner(network, name)
            module.register_buffer(leaf + MASK, mask)
        return network

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        """Calibrate: free weights train from 0, everything else of the backbone is frozen."""
        masks = {}
        for name, module, leaf, _ in kernels(network):
            if hasattr(module, leaf + MASK):
                masks[name] = getattr(module, leaf + MASK)
                delattr(module, leaf + MASK)
        head = [name for name, *_ in kernels(network) if name not in masks]
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(target.new_head and within(name, target.head))
        return CalibrateObjective(network, target.loss, masks, head, self.penalty, self.head_penalty)

    def planned_steps(self, steps: int, source_steps: int, blocks: int) -> int:
        return steps + round(self.allocate_fraction * source_steps)


def magnitude_masks(weights: dict[str, Tensor], ratio: float, threshold: str) -> dict[str, Tensor]:
    """True for the essential weights: all but the round(ratio * N) smallest, N over all kernels or over each.

    Equal magnitudes are told apart by their position, so the number pruned is exact. Shapes: as the weights.
    """
    if threshold == "layer":
        return {name: _largest(weight.abs().flatten(), ratio).view_as(weight) for name, weight in weights.items()}
    essential = _largest(torch.cat([weight.abs().flatten() for weight in weights.values()]), ratio)
    parts = torch.split(essential, [weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}


def _largest(magnitudes: Tensor, ratio: float) -> Tensor:
    mask = torch.ones_like(magnitudes, dtype=torch.bool)
    mask[magnitudes.argsort(stable=True)[: round(ratio * magnitudes.numel())]] = False
    return mask


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


def _owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that holds the parameter `name`, and the parameter's name in it."""
    path, _, leaf = name.rpartition(".")
    return network.get_submodule(path), leaf
