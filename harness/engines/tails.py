"""How many lanes to add so that no number depends on how many lanes there are.

torch's CPU kernels take the elements of a tensor 16 or 32 at a time and the last few one by one. For some functions
(sigmoid, GELU, softplus, ...) the two ways round differently, so the last elements of a stack would depend on its size.
Lanes added at the end, copies that nobody reads, take the tail upon them. Whether they are needed is looked up once for
each structure, by watching one step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

VECTOR = 32
"""Elements that a CPU kernel takes at a time, at most."""

_EXACT_NAMES = """
    abs add addcmul addcdiv bernoulli bitwise_and bitwise_or bitwise_xor bitwise_not ceil clamp clamp_max clamp_min
    clone copy cos div eq exp fill floor ge gt isfinite isinf isnan le lerp lift_fresh log log1p log2 logical_and
    logical_not logical_or lt masked_fill maximum minimum mul ne neg reciprocal relu remainder round rsub rsqrt sgn sign
    sin sqrt sub tanh tanh_backward threshold threshold_backward to_copy trunc where zero
"""
_EXACT = frozenset(_EXACT_NAMES.split())
"""Pointwise functions that round alike in both ways: single IEEE operations, and those found equal by comparing."""

_UNTAGGED = frozenset(
    ("elu_backward", "glu", "glu_backward", "hardswish_backward", "mish_backward", "softplus_backward")
)
"""Pointwise functions that torch does not call so."""

_EXACT_POWERS = (-2, -1, 0.5, 1, 2, 3)


class Tails(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches what runs inside the block on stacks of `lanes`; `extra` is how many lanes must be added."""

    def __init__(self, lanes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lanes = lanes
        self.extra = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spares the import of torch's compiler, a second in every worker."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not _rounds_alike(func, args):
            each = result.numel() // self.lanes
            if result.is_floating_point() and result.device.type == "cpu" and each and each % VECTOR:
                self.extra = max(self.extra, -(-(VECTOR - 1) // each))
        return result


def _rounds_alike(func: Any, args: tuple[Any, ...]) -> bool:
    name = func.overloadpacket.__name__.strip("_")
    if name in _EXACT or (torch.Tag.pointwise not in func.tags and name not in _UNTAGGED):
        return True
    return name == "pow" and isinstance(args[1], int | float) and args[1] in _EXACT_POWERS
