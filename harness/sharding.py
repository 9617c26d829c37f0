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


def check_usable(sharding: Sharding | None, device: str) -> None:
    """Raises: UserError if the engine's library is not there, or the precision is none of this machine's processors."""
    if sharding is None:
        return
    if importlib.util.find_spec("deepspeed") is None:
        raise UserError("[engine] name = 'deepspeed' needs deepspeed: pip install 'pacbench[deepspeed]'")
    if sharding.precision == "float16" and device == "cpu" and not processors_have_float16():
        raise UserError(
            "[engine] precision = 'float16': this machine's processors do not compute in it; expected 'bfloat16' or "
            "'float32', or a GPU for each rank ([resources] gpus = 1)"
        )


def processors_have_float16() -> bool:
    """Whether this machine's processors multiply in float16, which DeepSpeed asks torch too."""
    import torch

    try:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    except (AttributeError, RuntimeError):  # torch without that library
        return False
