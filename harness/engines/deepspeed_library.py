"""DeepSpeed as this program uses it: what it is told, and what it is not to build, write or train with."""

from __future__ import annotations

import contextlib
import gc
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import distributed, nn

from harness.engines.update import BETA1, BETA2, EPSILON
from harness.recipe import Recipe
from harness.sharding import Sharding

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

LARGEST_BUCKET = 500_000_000
"""Elements that are sent at a time at most; DeepSpeed's default."""

LIVE_PARAMETERS = 1_000_000_000
"""Parameters that a rank of stage 3 may hold whole at a time; DeepSpeed's default."""


def load(device: torch.device) -> Any:
    """deepspeed, told which device it has. Without shared memory between the ranks of a CPU: that would be compiled
    first, and whoever waits there for a rank that is gone waits for ever."""
    os.environ["DS_ACCELERATOR"] = device.type
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    if device.type == "cpu":
        __compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=distributed.get_backend(), auto_mpi_discovery=False)
    return deepspeed


def configuration(
    sharding: Sharding, ranks: int, module: nn.Module, width: int, clip_norm: float | None
) -> dict[str, Any]:
    """DeepSpeed's settings. Buckets suit the network: defaults for billions of weights are gigabytes of buffers."""
    sizes = [parameter.numel() for parameter in module.parameters()]
    largest, total = max(sizes), sum(sizes)
    zero: dict[str, Any] = {
        "stage": sharding.zero_stage,
        "reduce_bucket_size": min(2 * largest, LARGEST_BUCKET),
        "allgather_bucket_size": min(2 * largest, LARGEST_BUCKET),
        "overlap_comm": False,
    }
    if sharding.zero_stage == 3:
        zero |= {
            "stage3_prefetch_bucket_size": min(largest, LARGEST_BUCKET // 10),
            "stage3_param_persistence_threshold": min(max(total // 1000, 1000), 100_000),
            "stage3_max_live_parameters": min(4 * largest, LIVE_PARAMETERS),
            "stage3_max_reuse_distance": min(4 * largest, LIVE_PARAMETERS),
        }
    if sharding.offload:
        zero["offload_optimizer"] = {"device": "cpu"}
        zero |= {"offload_param": {"device": "cpu"}} if sharding.zero_stage == 3 else {}
    return {
        "train_micro_batch_size_per_gpu": -(-width // (ranks * sharding.accumulation)),
        "gradient_accumulation_steps": sharding.accumulation,
        "gradient_clipping": clip_norm or 0.0,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": sharding.precision == "bfloat16"},
        "fp16": {"enabled": sharding.precision == "float16"},
        "steps_per_print": 10**9,
    }


def initialize(
    library: Any, sharding: Sharding, module: nn.Module, recipe: Recipe | None, config: dict[str, Any]
) -> Any:
    """DeepSpeed's engine around a module of this rank, trained by the recipe; None: to predict only."""
    with silent():
        if sharding.zero_stage == 3:
            kind = TYPES[sharding.precision] if recipe else torch.float32
            library.zero.Init(module=module, config_dict_or_path=config, dtype=kind)
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        optimizer = _optimizer(trained, recipe) if recipe else None
        engine, *_ = library.initialize(model=module, optimizer=optimizer, config=config, dist_init_required=False)
    return engine


def _optimizer(parameters: Sequence[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """torch's own, as the other engines': DeepSpeed's would be compiled first."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(
        parameters,
        lr=recipe.learning_rate,
        betas=(BETA1, BETA2),
        eps=EPSILON,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def destroy(engine: Any) -> None:
    engine.destroy()
    gc.collect()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """DeepSpeed writes of everything it does on stdout; what goes wrong it raises."""
    import logging

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
