"""Dropout whose draws depend on the trial's own seed, the step and the place alone, never on who trains beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_CHANNELWISE = {F.dropout1d: 1, F.dropout2d: 2, F.dropout3d: 3}


class Dropout(TorchFunctionMode):
    """Inside the block torch's dropout keeps an element where a hash of (seed, call, position) says so.

    torch draws from one generator in the order in which things run, so a lane's mask would depend on its neighbours.
    The hash is splitmix64 (Steele, Lea, Flood, 2014) in plain tensor operations: the same alone, in lanes and on any
    device. Feature dropout and attention's own dropout are covered; alpha dropout is not. `used` counts the calls.
    Shapes: seed (), int64; under `vmap` one per lane.
    """

    def __init__(self, seed: Tensor) -> None:
        super().__init__()
        self.seed = seed
        self.used = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func in _CHANNELWISE:
            return self._dropout(*args, **{**kwargs, "spatial": _CHANNELWISE[func]})
        if func is F.scaled_dot_product_attention and _attention_dropout(args, kwargs):
            return self._attention(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, spatial: int = 0
    ) -> Tensor:
        if not training or p == 0:
            return input
        self.used += 1
        if p == 1:
            return input * 0.0
        shape = input.shape[: input.dim() - spatial]
        place = torch.arange(math.prod(shape), device=input.device).view(*shape, *(1,) * spatial)
        keep = _uniform(_mix(self.seed + self.used) + place) >= p
        return input * keep.to(input.dtype) / (1 - p)

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if enable_gqa:
            raise NotImplementedError("dropout in grouped-query attention")
        weights = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        if is_causal:
            causal = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
            weights = weights.masked_fill(~causal, float("-inf"))
        if attn_mask is not None:
            masked = attn_mask.dtype == torch.bool
            weights = weights.masked_fill(~attn_mask, float("-inf")) if masked else weights + attn_mask
        return self._dropout(weights.softmax(-1), dropout_p) @ value


def _attention_dropout(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    return float(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0))


def _signed(value: int) -> int:
    """A 64-bit pattern as torch's signed integer."""
    return value - 2**64 if value >= 2**63 else value


def _mix(x: Tensor) -> Tensor:
    """splitmix64's finalizer. torch's shift is arithmetic, so what it fills in is cleared."""
    x = x * _signed(0x9E3779B97F4A7C15)
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _signed(0x94D049BB133111EB)
    return x ^ ((x >> 31) & (2**33 - 1))


def _uniform(x: Tensor) -> Tensor:
    """Numbers in [0, 1) with 24 bits, exact in float32."""
    return ((_mix(x) >> 40) & (2**24 - 1)).to(torch.float32) / 2**24


def step_seed(seed: Tensor, step: int) -> Tensor:
    """The seed of one step's draws. Shapes: as the seed."""
    return _mix(seed + step)
