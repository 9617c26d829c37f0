"""The plain engine: one objective after the other, each with torch's own fused update."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from harness.data import Examples
from harness.draws import own_draws
from harness.engines.update import clip, make_update
from harness.evaluate import Predict, predictions
from harness.fit import Fitted, Job, all_finite
from harness.objective import Objective

CHECK_EVERY = 50
"""Steps between looks at the clock and at the losses, each of which synchronises with the device."""


class Plain:
    """Trains one objective after the other."""

    name, large = "plain", False

    def train(self, job: Job) -> list[Fitted]:
        """Train each objective of the job in place. Raises: TrialTimeout."""
        return [_train(objective, job, seed) for objective, seed in zip(job.objectives, job.draw_seeds, strict=True)]

    def predict(self, predict: Predict, network: nn.Module, examples: Examples) -> tuple[Tensor, float]:
        """Predictions for every example, and the seconds they took."""
        started = time.perf_counter()
        predicted = predictions(predict, network, examples)
        if predicted.is_cuda:
            torch.cuda.synchronize(predicted.device)
        return predicted, time.perf_counter() - started


def _train(objective: Objective, job: Job, draw_seed: int) -> Fitted:
    started = time.perf_counter()
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    steps = len(job.order)
    if not parameters or not steps:
        return Fitted(steps=steps, last_loss=float("nan"), diverged=False)
    update = make_update(parameters, job.recipe)
    objective.train()
    losses: list[Tensor] = []
    curve: list[tuple[int, float]] = []
    seed = torch.tensor(draw_seed, device=job.order.device)
    for step, index in enumerate(job.order):
        batch = {name: tensor[index] for name, tensor in job.examples.items()}
        with own_draws(seed, step):
            loss = objective(batch)
        gradients = list(torch.autograd.grad(loss, parameters, materialize_grads=True))
        if job.recipe.clip_norm is not None:
            clip(gradients, job.recipe.clip_norm)
        update(gradients, job.learning_rate * job.recipe.rate_factor(step, steps))
        losses.append(loss.detach())
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            job.check_time()
            if not all_finite(torch.stack(losses)):
                seconds = time.perf_counter() - started
                return Fitted(step + 1, float("nan"), diverged=True, seconds=seconds, curve=tuple(curve))
            curve.append((step + 1, float(losses[-1])))
            losses.clear()
    finite = all(all_finite(parameter.detach()) for parameter in parameters)
    seconds = time.perf_counter() - started
    return Fitted(steps, curve[-1][1], diverged=not finite, seconds=seconds, curve=tuple(curve))
