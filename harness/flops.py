"""FLOPs of one training step, by torch's own formulas."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from harness import seeds
from harness.data import Examples
from harness.objective import Objective

_COUNTED: dict[object, float | None] = {}


def training_flops(objective: Objective, batch: Examples, without_memory: bool = False) -> float | None:
    """Floating-point operations of one forward and backward pass on `batch`; None where torch cannot count them.

    torch counts matrix products, convolutions and attention. No gradient, random state or statistic is left behind.
    The count of a structure (classes, settings, loss, parameters, batch shapes) is kept: its trials all have it. With
    `without_memory` nothing is computed, for objectives that are too large to be tried here.
    """
    structure = _structure(objective, batch)
    if structure not in _COUNTED:
        if without_memory:
            batch = {name: tensor.to("meta") for name, tensor in batch.items()}
            objective = _on_meta(objective)
        _COUNTED[structure] = count_flops(objective, batch)
    return _COUNTED[structure]


def _on_meta(objective: Objective) -> Objective:
    """A copy whose parameters and buffers have no memory."""
    known: dict[int, Any] = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad)
        for parameter in objective.parameters()
    }
    known |= {id(buffer): torch.empty_like(buffer, device="meta") for buffer in objective.buffers()}
    return copy.deepcopy(objective, known)


def _structure(objective: Objective, batch: Examples) -> object:
    modules = tuple((name, type(module).__qualname__, _settings(module)) for name, module in objective.named_modules())
    parameters = tuple((n, p.shape, p.requires_grad) for n, p in objective.named_parameters())
    return (
        type(objective),
        objective.loss,
        modules,
        parameters,
        tuple((n, t.shape, t.dtype) for n, t in batch.items()),
    )


def _settings(module: nn.Module) -> object:
    """A module's plain attributes, such as stride and padding: two convolutions of one shape differ in them."""
    return repr(sorted((k, v) for k, v in vars(module).items() if isinstance(v, int | float | str | tuple | list)))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the FLOPs of what runs inside the block, as torch's FlopCounterMode does, which imports the compiler."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spares the import of torch's compiler, a second in every process."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True  # a tensor without memory: transformers asks whether a mask hides nothing
        result = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func.overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def count_flops(objective: Objective, batch: Examples) -> float | None:
    """The same, counted anew."""
    try:
        trial = copy.deepcopy(objective).eval()  # a copy in eval mode: counting moves nothing of the objective itself
        with seeds.seeded("flops", "count"), _Counter() as counter:
            loss = trial(batch)
            if loss.requires_grad:
                loss.backward()
    except (RuntimeError, NotImplementedError):
        return None
    counted: int = counter.total
    return float(counted)
