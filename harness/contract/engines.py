"""The engines that a method is tried in besides the plain one and lanes, where they are installed."""

from __future__ import annotations

from harness.fit import Engine


def deepspeed_engine() -> Engine | None:
    """The engine `deepspeed` for one process on a CPU; None where there is none.

    The place to build it: `METHOD_CHECKS` tries every method in whatever this returns.
    """
    return None
