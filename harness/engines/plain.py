"""The plain engine: one objective after the other, each with torch's own fused optimizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.fit import Fitted, Job, all_finite
from harness.objective import Objective
from harness.recipe import Recipe

CHECK_EVERY = 50
"""Steps between looks at the clock and at the losses, each of which synchronises with the device."""


class Plain:
    """Trains one objective after the other."""

    name = "plain"

    def train(self, job: Job) -> list[Fitted]:
        """Train each objective of the job in place. Raises: TrialTimeout."""
        return [_train(objective, job) for objective in job.objectives]


def _train(objective: Objective, job: Job) -> Fitted:
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    steps = len(job.order)
    if not parameters or not steps:
        return Fitted(steps=steps, last_loss=float("nan"), diverged=False)
    optimizer = make_optimizer(parameters, job.recipe, job.learning_rate)
    constant = job.recipe.schedule == "constant" and not job.recipe.warmup_steps
    objective.train()
    losses: list[Tensor] = []
    for step, index in enumerate(job.order):
        if not constant:
            optimizer.param_groups[0]["lr"] = job.learning_rate * job.recipe.rate_factor(step, steps)
        optimizer.zero_grad()
        loss = objective({name: tensor[index] for name, tensor in job.examples.items()})
        loss.backward()
        if job.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, job.recipe.clip_norm)
        optimizer.step()
        losses.append(loss.detach())
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            job.check_time()
            if not all_finite(torch.stack(losses)):
                return Fitted(steps=step + 1, last_loss=float("nan"), diverged=True)
            last_loss = float(losses[-1])
            losses.clear()
    finite = all(all_finite(parameter.detach()) for parameter in parameters)
    return Fitted(steps=steps, last_loss=last_loss, diverged=not finite)


def make_optimizer(parameters: list[nn.Parameter], recipe: Recipe, learning_rate: float) -> torch.optim.Optimizer:
    """A fresh fused optimizer of torch over one parameter group."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, learning_rate, weight_decay=recipe.weight_decay, fused=True)
