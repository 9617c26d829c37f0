"""Objective: what to minimise on the target, as parameters, buffers and a pure forward."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from harness.data import Examples, size

Loss = Callable[[nn.Module, Examples], Tensor]
F = TypeVar("F", bound=Loss)


def mean_over(count: Callable[[Examples], int]) -> Callable[[F], F]:
    """Says of a loss that it is the mean over `count(batch)` terms, so that a batch can be cut into parts: tokens, for
    instance. Without it a loss is taken to be the mean over the batch's examples."""

    def said(loss: F) -> F:
        loss.terms = count  # type: ignore[attr-defined]
        return loss

    return said


def terms(loss: Loss, batch: Examples) -> int:
    """Of how many terms a loss is the mean on this batch."""
    count = getattr(loss, "terms", size)
    return int(count(batch))


class Objective(nn.Module):
    """The scalar to minimise: loss of the network on a batch plus the method's penalty.

    What trains is what has `requires_grad`. What a method remembers besides belongs in frozen parameters where it has
    a weight's size (anchors, masks: they can be sharded) and in buffers where it is a scalar (a penalty's weight).
    `forward` must be pure, so that the same file trains alone, as one lane of many under `torch.func.vmap`, or sharded.
    Objectives train as lanes of one computation where nothing but tensors tells them apart (harness/engines/structure).
    """

    frozen_statistics = True
    bookkeeping: ClassVar[tuple[str, ...]] = ()
    """Names of attributes that `forward` does not read; only they may differ between lanes of one computation."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, batch: Examples) -> Tensor:
        """Shapes: batch tensors (batch, ...); the result is a scalar."""
        loss, penalty = self.loss(self.network, batch), self.penalty()
        return loss if penalty is None else loss + penalty

    def penalty(self) -> Tensor | None:
        """What the method adds to the loss; None for nothing."""
        return None

    def weight(self, name: str) -> Tensor:
        """The network's parameter of that name, also inside a lane, where torch's `get_parameter` refuses: there it is
        a tensor that stands for a parameter."""
        path, _, leaf = name.rpartition(".")
        weight: Tensor = getattr(self.network.get_submodule(path), leaf)
        return weight

    def train(self, mode: bool = True) -> Objective:
        """Training mode, except that BatchNorm keeps its statistics frozen unless this is the source's own training."""
        super().train(mode)
        for module in self.modules():
            if self.frozen_statistics and isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def trained_entries(self) -> int:
        """How many numbers can move; a method whose mask holds part of a tensor still says so here."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def finish(self) -> nn.Module:
        """The plain deployable network: a copy with every parametrization, as it is in evaluation, folded into its
        weight."""
        network = copy.deepcopy(self.network).eval()
        for module in list(network.modules()):
            if parametrize.is_parametrized(module):
                _fold(module)
        return network.requires_grad_(True).eval()

    def recover(self) -> nn.Module | None:
        """The source network given back from the adapted one, where the method can; None where it cannot."""
        return None

    def artifact(self) -> dict[str, Tensor]:
        """What must be stored beside the source checkpoint to rebuild the finished network."""
        return {name: tensor.detach() for name, tensor in self.named_parameters() if tensor.requires_grad}

    def report(self) -> dict[str, str]:
        """The method's own remarks for the row's `extra` column."""
        return {}


def copy_to_train(network: nn.Module, *prefixes: str) -> nn.Module:
    """A copy for training what lies within one of the prefixes. The rest is not copied: it is the network's own.

    So many candidates of one network need little more memory than one.
    """
    trains = {
        id(parameter)
        for name, parameter in network.named_parameters(remove_duplicate=False)
        if any(within(name, prefix) for prefix in prefixes)
    }
    shared = {id(parameter): parameter for parameter in network.parameters() if id(parameter) not in trains}
    return copy.deepcopy(network, shared)


class PartlyFrozen(nn.Module):
    """A parametrization of a weight some of whose entries are fixed: where(fixed, value, trained).

    A selection: fixed entries are bitwise the value's (0 where none is given) whatever happens to `trained`, which gets
    no gradient there. Sharded training holds the weight as one tensor instead of three. Shapes: all as the weight.
    """

    def __init__(self, fixed: Tensor, value: Tensor | None = None) -> None:
        super().__init__()
        self.fixed = nn.Parameter(fixed.clone(), requires_grad=False)
        self.value = None if value is None else nn.Parameter(value.clone(), requires_grad=False)

    def forward(self, trained: Tensor) -> Tensor:
        return torch.where(self.fixed, 0.0 if self.value is None else self.value, trained)


class SquaredNorm(nn.Module):
    """The sum of a weight's squares, to be multiplied and added up by penalties. Shapes: a scalar.

    A module, since a sharded weight is whole only while a module that holds it runs; where all are sharded each rank
    takes the sum over its own part. The weight stays the network's.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self) -> Tensor:
        return self.weight.square().sum()


class SquaredDistance(nn.Module):
    """The sum of squares of a weight's distance to its present value, which is kept as an anchor. Shapes: a scalar.

    The anchor is a frozen copy, never an alias, and sharded where the weight is; see `SquaredNorm`.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
        self.anchor = nn.Parameter(weight.detach().clone(), requires_grad=False)

    def forward(self) -> Tensor:
        return nn.functional.mse_loss(self.weight, self.anchor, reduction="sum")


def _fold(module: nn.Module) -> None:
    """Turn each parametrized weight of a copied module into a plain parameter.

    torch's own removal deletes the weight's property from a class that copies share, and so breaks the original.
    """
    names = list(module.parametrizations)  # type: ignore[arg-type]
    weights = {name: getattr(module, name).detach().clone() for name in names}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, weight in weights.items():
        module.register_parameter(name, nn.Parameter(weight))


def kernels(network: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    """Every weight of two or more dimensions as (full name, module, name in the module, parameter), in module order."""
    for prefix, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() >= 2:
                yield f"{prefix}.{name}" if prefix else name, module, name, parameter


def within(name: str, prefix: str) -> bool:
    """True if the parameter or module `name` is `prefix` itself or lies below it."""
    return name == prefix or name.startswith(f"{prefix}.")


def train_only(network: nn.Module, *prefixes: str) -> nn.Module:
    """Freeze every parameter that does not lie within one of the prefixes; returns the network.

    To be called before weights are parametrized: what a parametrization holds would train too.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(any(within(name, prefix) for prefix in prefixes))
    return network
