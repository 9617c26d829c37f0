"""The plain engine: one objective after the other, each with torch's own fused update."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.engines.update import clip, make_update
from harness.fit import Fitted, Job, all_finite
from harness.objective import Objective

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
    update = make_update(parameters, job.recipe)
    objective.train()
    losses: list[Tensor] = []
    for step, index in enumerate(job.order):
        loss = objective({name: tensor[index] for name, tensor in job.examples.items()})
        gradients = list(torch.autograd.grad(loss, parameters, materialize_grads=True))
        if job.recipe.clip_norm is not None:
            clip(gradients, job.recipe.clip_norm)
        update(gradients, job.learning_rate * job.recipe.rate_factor(step, steps))
        losses.append(loss.detach())
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            job.check_time()
            if not all_finite(torch.stack(losses)):
                return Fitted(steps=step + 1, last_loss=float("nan"), diverged=True)
            last_loss = float(losses[-1])
            losses.clear()
    finite = all(all_finite(parameter.detach()) for parameter in parameters)
    return Fitted(steps=steps, last_loss=last_loss, diverged=not finite)
