"""How a large model is spread over several processes: the settings of the engine `deepspeed`."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from harness.errors import UserError
from harness.settings import setting

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Sharding:
    """Everything of the engine `deepspeed` that can change a number, and so is part of a trial's key.

    ranks: processes, each with the resources of `[resources]`. zero_stage: what they share instead of each holding it:
    0 nothing, 1 the optimizer's state, 2 also the gradients, 3 also the weights. accumulation: micro-batches, one after
    the other, whose gradients make one step. offload: keep the optimizer's state, and at stage 3 the weights, in the
    host's memory. checkpoint_activations: compute each block's activations twice instead of keeping them.
    A batch is cut into ranks x accumulation equal parts; its size is the task's, whatever the number of ranks.
    """

    ranks: int = setting(1, low=1, high=4096)
    zero_stage: int = setting(3, low=0, high=3)
    precision: str = setting("float32", options=PRECISIONS)
    accumulation: int = setting(1, low=1, high=4096)
    offload: bool = False
    checkpoint_activations: bool = False

    def __post_init__(self) -> None:
        """Raises: ValueError for settings that exclude each other."""
        if self.offload and self.zero_stage == 0:
            raise ValueError("offload = true keeps nothing in host memory at zero_stage 0; expected stage 1, 2 or 3")

    def check_batch(self, width: int, where: str) -> None:
        """Raises: UserError if a batch of `width` examples cannot be cut into equal parts."""
        parts = self.ranks * self.accumulation
        if width % parts:
            raise UserError(
                f"{where}: a batch has {width} examples; expected a multiple of {parts} ([engine] ranks = {self.ranks} "
                f"times accumulation = {self.accumulation})"
            )


def check_installed(sharding: Sharding | None) -> None:
    """Raises: UserError if the engine's library is asked for and not there."""
    if sharding and importlib.util.find_spec("deepspeed") is None:
        raise UserError("[engine] name = 'deepspeed' needs deepspeed: pip install 'pacbench[deepspeed]'")
