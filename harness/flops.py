"""FLOPs of one training step, by torch's own counter."""

from __future__ import annotations

import copy

from torch.utils.flop_counter import FlopCounterMode

from harness import seeds
from harness.data import Examples
from harness.objective import Objective

_COUNTED: dict[object, float | None] = {}


def training_flops(objective: Objective, batch: Examples) -> float | None:
    """Floating-point operations of one forward and backward pass on `batch`; None where torch cannot count them.

    torch counts matrix products, convolutions and attention. No gradient, random state or statistic is left behind.
    The count of a structure (class, loss, parameters, batch shapes) is kept: it is the same for all its trials.
    """
    structure = _structure(objective, batch)
    if structure not in _COUNTED:
        _COUNTED[structure] = _count(objective, batch)
    return _COUNTED[structure]


def _structure(objective: Objective, batch: Examples) -> object:
    modules = tuple((name, type(module).__qualname__) for name, module in objective.named_modules())
    parameters = tuple((n, p.shape, p.requires_grad) for n, p in objective.named_parameters())
    return (
        type(objective),
        objective.loss,
        modules,
        parameters,
        tuple((n, t.shape, t.dtype) for n, t in batch.items()),
    )


def _count(objective: Objective, batch: Examples) -> float | None:
    trial = copy.deepcopy(objective).eval()  # a copy in eval mode: counting moves nothing of the objective itself
    try:
        with seeds.seeded("flops", "count"), FlopCounterMode(display=False) as counter:
            loss = trial(batch)
            if loss.requires_grad:
                loss.backward()
    except (RuntimeError, NotImplementedError):
        return None
    return float(counter.get_total_flops())
