"""What one lane holds in memory while it trains."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from harness import seeds
from harness.engines.computation import Lane

OPTIMIZER_COPIES = 5
"""Of each trained weight: itself, its gradient, two moments and the step."""


def lane_bytes(lane: Lane) -> int:
    """Bytes of weights, optimizer state and what one forward keeps for the backward pass; at least one.

    What a method's forward raises is passed on.
    """
    objective = copy.deepcopy(lane.objective)
    batch = (
        {name: tensor[lane.job.order[0]] for name, tensor in lane.job.examples.items()}
        if lane.job.order.numel()
        else {}
    )
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    if batch:
        with seeds.seeded("footprint", "count"), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            objective(batch)
    weights = sum(
        tensor.numel() * tensor.element_size() * (OPTIMIZER_COPIES if tensor.requires_grad else 1)
        for tensor in (*objective.parameters(), *objective.buffers())
    )
    return max(1, weights + 2 * sum(kept.values()))
