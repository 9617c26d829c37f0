"""Examples as dictionaries of tensors: take, hash, split, order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness import seeds
from harness.errors import UserError

Examples = dict[str, Tensor]
"""Named tensors that share their first dimension, one entry per example: {"inputs": ..., "targets": ...}."""

SMALLEST_TARGET = 5


@dataclass(frozen=True)
class Datasets:
    """The four data sets of a task, fixed by its parameters and the same for every seed.

    source_train, source_test: the source problem. None where only a checkpoint exists.
    target_pool: from which the `n` examples of a trial are drawn. target_test: read once, at the end of a final trial.
    """

    target_pool: Examples
    target_test: Examples
    source_train: Examples | None = None
    source_test: Examples | None = None


def size(examples: Examples) -> int:
    """The number of examples."""
    return len(next(iter(examples.values())))


def take(examples: Examples, index: Tensor) -> Examples:
    """The examples at `index`, copied: the result shares no memory with the whole."""
    return {name: tensor.index_select(0, index) for name, tensor in examples.items()}


def copy(examples: Examples, device: torch.device | str = "cpu") -> Examples:
    """All examples on `device`, in memory of their own."""
    return {name: tensor.to(device, copy=True) for name, tensor in examples.items()}


def content_hash(parts: Mapping[str, Examples | None]) -> str:
    """SHA-256 (32 hex digits) over names, types, shapes and bytes of every tensor."""
    total = hashlib.sha256()
    for part, examples in sorted(parts.items()):
        for name, tensor in sorted((examples or {}).items()):
            total.update(f"{part}/{name}/{tensor.dtype}/{tuple(tensor.shape)}".encode())
            total.update(tensor.contiguous().cpu().numpy().tobytes())
    return total.hexdigest()[:32]


def split(pool: Examples, n: int, draw_key: str) -> tuple[Examples, Examples]:
    """`n` examples of the pool, 80 % to train on and 20 % to validate on.

    One permutation per `draw_key`; the first n of it are taken and every fifth goes to validation, so the splits of
    a smaller n are nested in those of a larger one.

    Raises: UserError if n is smaller than 5 or larger than the pool.
    """
    check_target_size(n, size(pool), "target_sizes")
    drawn = torch.randperm(size(pool), generator=seeds.generator(draw_key, "target examples"))[:n]
    validates = torch.arange(n) % 5 == 4
    return take(pool, drawn[~validates]), take(pool, drawn[validates])


def training_size(n: int) -> int:
    """How many of `n` target examples are trained on; every fifth validates."""
    return n - n // 5


def check_target_size(n: int, available: int, where: str) -> None:
    """Raises: UserError if `n` examples cannot be drawn and split 80/20."""
    if not SMALLEST_TARGET <= n <= available:
        raise UserError(f"{where}: {n} examples asked for; expected {SMALLEST_TARGET} to {available}")


def batch_order(examples: int, batch_size: int, steps: int, seed: int) -> Tensor:
    """Indices of every batch: random permutations one after the other, cut into batches of equal size.

    Shapes: (steps, min(batch_size, examples)), int64. The first k rows do not depend on `steps`.
    """
    width = min(batch_size, examples)
    rng = torch.Generator().manual_seed(seed)
    epochs = -(-steps * width // examples)
    stream = torch.cat(
        [torch.randperm(examples, generator=rng) for _ in range(epochs)] or [torch.empty(0, dtype=torch.long)]
    )
    return stream[: steps * width].view(steps, width)
