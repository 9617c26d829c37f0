"""Activations that are computed twice instead of being kept: once forward, once more where their gradient is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from harness.draws import Calls


def recomputed(network: nn.Module) -> list[Calls]:
    """Let each block keep its inputs only. The list, filled and emptied around each forward and backward pass, holds
    the count of that forward's draws: a block that runs again draws what it drew before.

    Raises: ValueError if the network has no list of blocks.
    """
    current: list[Calls] = []
    blocks = list(_blocks(network))
    if not blocks:
        raise ValueError("checkpoint_activations: the network has no list of blocks")
    for module in blocks:
        module.forward = _twice(module.forward, current)
    return current


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The members of the network's longest list of modules: the layers of a transformer."""
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    yield from max(lists, key=len, default=[])


def _twice(forward: Any, current: list[Calls]) -> Any:
    def run(*given: Any, **named: Any) -> Any:
        made = current[-1].made if current else 0

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _again(current, made)

        return checkpoint(forward, *given, use_reentrant=False, context_fn=contexts, preserve_rng_state=False, **named)

    return run


@contextmanager
def _again(current: list[Calls], made: int) -> Iterator[None]:
    """Draw again from where the block began, and go on from where the forward had ended."""
    calls = current[-1] if current else Calls()
    before, calls.made = calls.made, made
    try:
        yield
    finally:
        calls.made = before
