"""Dropout from the trial's own seed, and layers in forms that lanes can share: for the time of one forward.

torch draws dropout from one generator in the order in which things run, so a lane's mask would depend on its
neighbours. Here it is a hash of (seed, step, call, place): the same alone, in lanes and on any device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch.nn import functional as F


class Calls:
    """Counts the draws of one forward. Who computes part of it again sets the count back to where that part began."""

    def __init__(self) -> None:
        self.made = 0

    def __next__(self) -> int:
        self.made += 1
        return self.made


@contextmanager
def own_draws(seed: Tensor, step: int = 0, in_lanes: bool = False, first: int = 0) -> Iterator[Calls]:
    """Inside the block `torch.nn.functional`, and so every layer built on it, draws dropout from (seed, step).

    `first` is the place in the batch of the first example in this forward, where a batch is cut into several: each
    example then draws what it would in the whole batch, as long as examples are the first dimension.

    Covered are dropout of elements and of whole channels, and attention's own; alpha dropout is not. With `in_lanes`
    attention and batch normalisation are written out in operations of which vmap makes batched ones that give every
    lane the same bits whatever their number, and group normalisation takes one call of torch's kernel for all lanes.
    Shapes: seed (), int64; under vmap one per lane.
    """
    calls = Calls()
    drop = partial(_dropout, seed, step, calls, first)
    changed: dict[str, Any] = {"dropout": drop, "scaled_dot_product_attention": partial(_attention, drop, in_lanes)}
    for name, spatial in (("dropout1d", 1), ("dropout2d", 2), ("dropout3d", 3)):
        changed[name] = partial(drop, spatial=spatial)
    if in_lanes:
        changed |= {"batch_norm": _batch_norm, "group_norm": _group_norm}
    before = {name: getattr(F, name) for name in changed}
    try:
        for name, function in changed.items():
            setattr(F, name, function)
        yield calls
    finally:
        for name, function in before.items():
            setattr(F, name, function)


def _dropout(
    seed: Tensor,
    step: int,
    calls: Calls,
    first: int,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    spatial: int = 0,
) -> Tensor:
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0.0
    shape = input.shape[: input.dim() - spatial]
    before = first * math.prod(shape[1:])
    place = torch.arange(before, before + math.prod(shape), device=input.device).view(*shape, *(1,) * spatial)
    keep = _uniform(_mix(_mix(seed + step) + next(calls)) + place) >= p
    return input * keep.to(input.dtype) / (1 - p)


_torch_attention = F.scaled_dot_product_attention


def _attention(
    drop: Any,
    in_lanes: bool,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T * scale) value, written out where torch's own kernel cannot serve."""
    if not in_lanes and dropout_p == 0:
        given: dict[str, Any] = {
            "attn_mask": attn_mask,
            "is_causal": is_causal,
            "scale": scale,
            "enable_gqa": enable_gqa,
        }
        plain: Tensor = _torch_attention(query, key, value, **given)
        return plain
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    weights = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        causal = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        weights = weights.masked_fill(~causal, float("-inf"))
    if attn_mask is not None:
        boolean = attn_mask.dtype == torch.bool
        weights = weights.masked_fill(~attn_mask, float("-inf")) if boolean else weights + attn_mask
    dropped: Tensor = drop(weights.softmax(-1), dropout_p)
    return dropped @ value


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation by its definition; in training mode the running statistics follow, in place."""
    others = [dim for dim in range(input.dim()) if dim != 1]
    shape = [1, -1] + [1] * (input.dim() - 2)
    mean, variance = running_mean, running_var
    if training or mean is None or variance is None:
        mean = input.mean(others)
        variance = (input - mean.view(shape)).square().mean(others)
        if running_mean is not None and running_var is not None:
            examples = input.numel() // input.shape[1]
            with torch.no_grad():
                running_mean.mul_(1 - momentum).add_(mean.detach() * momentum)
                running_var.mul_(1 - momentum).add_(variance.detach() * (momentum * examples / max(1, examples - 1)))
    output = (input - mean.view(shape)) * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        output = output * weight.view(shape)
    return output if bias is None else output + bias.view(shape)


_torch_group_norm = F.group_norm


def _group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Group normalisation of all lanes at once, their channels side by side as grouped convolutions leave them.

    vmap's own rule normalises first and then scales and shifts in passes of their own.
    """
    level = _functorch.maybe_get_level(input)
    if weight is None or bias is None or not _stacked(level, input, weight, bias):
        return _torch_group_norm(input, num_groups, weight, bias, eps)
    whole, weights, biases = (
        _functorch.get_unwrapped(given).movedim(_functorch.maybe_get_bdim(given), place)
        for given, place in ((input, 1), (weight, 0), (bias, 0))
    )
    flat = whole.reshape(whole.shape[0], -1, *whole.shape[3:])
    groups = num_groups * whole.shape[1]
    normal = _torch_group_norm(flat, groups, weights.reshape(-1), biases.reshape(-1), eps)
    return _functorch._add_batch_dim(normal.view(whole.shape), 1, level)


def _stacked(level: int, *given: Tensor) -> bool:
    """True if each tensor stands for one lane of a stack at vmap's innermost level, `level`."""
    return all(_functorch.is_batchedtensor(one) and _functorch.maybe_get_level(one) == level for one in given)


def _signed(value: int) -> int:
    """A 64-bit pattern as torch's signed integer."""
    return value - 2**64 if value >= 2**63 else value


def _mix(x: Tensor) -> Tensor:
    """splitmix64 (Steele, Lea, Flood, 2014). torch's shift is arithmetic, so what it fills in is cleared."""
    x = x * _signed(0x9E3779B97F4A7C15)
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _signed(0x94D049BB133111EB)
    return x ^ ((x >> 31) & (2**33 - 1))


def _uniform(x: Tensor) -> Tensor:
    """Numbers in [0, 1) with 24 bits, exact in float32."""
    return ((_mix(x) >> 40) & (2**24 - 1)).to(torch.float32) / 2**24
