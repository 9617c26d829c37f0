"""Which objectives can train as lanes of one computation: those of one structure."""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from harness.objective import Objective


class NotLaned(Exception):  # noqa: N818 - an outcome: the objective trains on the plain engine, and the row says why
    """This objective cannot be a lane; the message is the reason."""


_OWN = frozenset(vars(nn.Module())) - {"training"}
"""What every module holds: parameters, buffers, children and hooks."""

_HOOKS = tuple(name for name in _OWN if name.endswith(("_hooks", "_pre_hooks")) and "state_dict" not in name)

_MODELESS = {
    f"torch.nn.modules.{name}"
    for name in (
        "activation",
        "container",
        "conv",
        "flatten",
        "linear",
        "normalization",
        "padding",
        "pooling",
        "sparse",
    )
}
_WITH_MODE = (nn.MultiheadAttention, nn.RReLU)


def structure(module: nn.Module) -> Hashable:
    """Equal for modules that compute the same function of their parameters, buffers and batch.

    Everything else a module holds is part of it: numbers, texts and functions by value, whatever else by identity, so
    that two objectives are lanes of one computation only if nothing but tensors tells them apart. What the forward
    does not read may differ between lanes: an objective names it in `bookkeeping`. Which parameters train may differ.

    Raises: NotLaned for what a stack of tensors cannot stand for: hooks, tensors that share memory, and transposed
    convolutions, whose bits would depend on the number of lanes.
    """
    parts: list[Hashable] = []
    for name, child in module.named_modules(remove_duplicate=False):
        if any(getattr(child, hooks, None) for hooks in _HOOKS):
            raise NotLaned(f"{name or type(child).__name__} has hooks")
        if isinstance(child, nn.modules.conv._ConvTransposeNd):
            raise NotLaned(f"{name or type(child).__name__} is a transposed convolution")
        skipped = _OWN.union(getattr(child, "bookkeeping", ()), () if _has_mode(child) else ("training",))
        kind = _computes(parametrize.type_before_parametrizations(child))
        held = tuple((key, _value(value)) for key, value in sorted(vars(child).items()) if key not in skipped)
        parts.append((name, kind, held))
    return (tuple(parts), _tensors(module))


_DECIDING_NAMES = """
    forward penalty loss network weight __call__ _call_impl _wrapped_call_impl __getattr__ __getattribute__ __setattr__
"""
_DECIDE = frozenset(_DECIDING_NAMES.split())
"""What of an objective decides, or may decide, what its forward computes."""


def _computes(kind: type) -> type:
    """The class whose forward a class has: an objective that adds no penalty is the loss, whatever else it does."""
    if not issubclass(kind, Objective):
        return kind
    own = kind.__mro__[: kind.__mro__.index(Objective)]
    return kind if any(_DECIDE & set(vars(one)) for one in own) else Objective


def _has_mode(module: nn.Module) -> bool:
    """True if the module may compute something else in training than in evaluation."""
    if isinstance(module, Objective):
        return _computes(type(module)) is not Objective
    return type(module).__module__ not in _MODELESS or isinstance(module, _WITH_MODE)


def _tensors(module: nn.Module) -> Hashable:
    """Names, shapes and types of parameters and buffers, and which of them are one tensor under two names."""
    first: dict[int, str] = {}
    memory: dict[int, int] = {}
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for name, tensor in named:
        if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
            raise NotLaned(f"{name} has hooks")
        expanded = any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
        if expanded or (tensor.numel() and memory.setdefault(tensor.data_ptr(), id(tensor)) != id(tensor)):
            raise NotLaned(f"{name} shares memory")
    return tuple((n, first.setdefault(id(t), n), tuple(t.shape), t.dtype, t.device) for n, t in named)


def _value(value: Any) -> Hashable:
    if isinstance(value, float):
        return (float, value.hex())
    plain = (bool, int, complex, str, bytes, type(None), torch.dtype, torch.device, enum.Enum)
    if isinstance(value, plain):
        return (type(value), value)
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return value
    if isinstance(value, tuple | list):
        return (type(value), tuple(_value(item) for item in value))
    if isinstance(value, dict):
        return (type(value), tuple((_value(key), _value(item)) for key, item in value.items()))
    if isinstance(value, set | frozenset):
        return (type(value), frozenset(_value(item) for item in value))
    if isinstance(value, functools.partial):
        return (functools.partial, _value(value.func), _value(value.args), _value(value.keywords))
    return ("object" if not isinstance(value, Tensor) else "tensor", id(value))
