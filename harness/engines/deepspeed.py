"""The engine for models that one device cannot hold: DeepSpeed, on the ranks of this process's group.

Every rank runs the same trial: the same networks in host memory,
the same examples, the same batches, of which it takes its part. For the time of one training a copy of the objective is
spread over the ranks and their devices; what trained is gathered back into the objective, weight by weight.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed, nn

from harness.checkpoints import Checkpoints
from harness.data import Examples, size, take
from harness.draws import own_draws
from harness.engines.deepspeed_library import TYPES, configuration, destroy, initialize, load, silent
from harness.engines.plain import CHECK_EVERY
from harness.engines.recompute import recomputed
from harness.engines.shards import Shards, forget_gradients, read_outside
from harness.errors import Declined, TrialTimeout
from harness.evaluate import Predict, predictions
from harness.fit import Fitted, Job, all_finite
from harness.objective import Objective, terms
from harness.sharding import Sharding

OVERFLOWS = 40
"""Times that a step in float16 is tried at most: the loss's scale is halved each time."""


class DeepSpeed:
    """Trains one objective after the other, each spread over all ranks. `sharding` says how.

    resumed: of each training that went on from a checkpoint, the steps it then had done.
    """

    name, large = "deepspeed", True

    def __init__(self, sharding: Sharding, device: torch.device, checkpoints: Checkpoints | None = None) -> None:
        self.sharding, self.device, self.checkpoints = sharding, device, checkpoints
        self.resumed: dict[str, int] = {}
        self.saved_every = checkpoints.every if checkpoints else CHECK_EVERY
        self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
        with silent():
            self.library = load(device)

    def train(self, job: Job) -> list[Fitted]:
        """Train each objective of the job in place. Raises: TrialTimeout."""
        each = enumerate(zip(job.objectives, job.draw_seeds, strict=True))
        return [self._train(objective, job, seed, f"{job.name}-{place}") for place, (objective, seed) in each]

    def predict(self, predict: Predict, network: nn.Module, examples: Examples) -> tuple[Tensor, float]:
        """Predictions in float32 for every example, each rank those of its part, and the seconds they took."""
        number = size(examples)
        index = torch.arange(-(-number // self.ranks) * self.ranks).clamp(max=number - 1)  # equal parts: all go along
        part = {name: t.to(self.device) for name, t in take(examples, index.view(self.ranks, -1)[self.rank]).items()}
        with self._spread(network.eval()) as spread:
            started = self._now()
            mine = predictions(predict, spread, part)
            parts = [torch.empty_like(mine) for _ in range(self.ranks)]
            distributed.all_gather(parts, mine.contiguous())
            seconds = self._now() - started
        return torch.cat(parts)[:number].to(next(iter(examples.values())).device), seconds

    def agree(self, mine: bool) -> bool:
        """Whether it is so on every rank."""
        votes = torch.tensor(int(mine), device=self.device)
        distributed.all_reduce(votes, distributed.ReduceOp.MIN)
        return bool(votes)

    def _train(self, objective: Objective, job: Job, draw_seed: int, name: str) -> Fitted:
        started, steps = self._now(), len(job.order)
        trained = {key: weight for key, weight in objective.named_parameters() if weight.requires_grad}
        if not trained or not steps:
            return Fitted(steps, float("nan"), diverged=False, engine=self.name)
        _refuse_batch_statistics(objective.train(), self.ranks * self.sharding.accumulation)
        spread = _Spread(self, objective, job, draw_seed)
        try:
            done, curve, seconds = spread.resume(name)
            started -= seconds
            while done < steps:
                until = min(steps, *(done - done % often + often for often in (CHECK_EVERY, self.saved_every)))
                losses = [spread.step(step) for step in range(done, until)]
                done = until
                if not self.agree(not job.over):  # all ranks leave, once the time is over on one of them
                    raise TrialTimeout
                if not all_finite(torch.stack(losses)):
                    return Fitted(done, float("nan"), True, self._now() - started, engine=self.name, curve=curve)
                if done % CHECK_EVERY == 0 or done == steps:
                    curve += ((done, float(losses[-1])),)
                spread.save(name, done, curve, self._now() - started)
            spread.give_back(objective, trained)
        finally:
            spread.end()
        finite = all(all_finite(weight.detach()) for weight in trained.values())
        took = self._now() - started
        return Fitted(steps, curve[-1][1], not finite, took, engine=self.name, note=spread.note, curve=curve)

    @contextlib.contextmanager
    def _spread(self, network: nn.Module) -> Iterator[nn.Module]:
        """A copy of the network on the ranks' devices, at stage 3 a part of it on each."""
        if self.sharding.zero_stage < 3:
            yield network if self.device.type == "cpu" else copy.deepcopy(network).to(self.device)
            return
        spread = copy.deepcopy(network)
        config = configuration(self.sharding, self.ranks, spread, 1, None) | {"bf16": {}, "fp16": {}}
        engine = initialize(self.library, self.sharding, spread, None, config)
        try:
            yield engine.module
        finally:
            destroy(engine)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class _Weighted:
    """A loss times `factor`: what one part of a batch adds to the mean over all of it."""

    def __init__(self, loss: Any) -> None:
        self.loss, self.factor = loss, 1.0

    def __call__(self, network: nn.Module, batch: Examples) -> Tensor:
        loss: Tensor = self.loss(network, batch)
        return loss * self.factor


class _Spread:
    """One objective's copy, spread over the ranks, and its training step by step."""

    def __init__(self, owner: DeepSpeed, objective: Objective, job: Job, draw_seed: int) -> None:
        self.owner, self.job = owner, job
        self.seed = torch.tensor(draw_seed, device=owner.device)
        # DeepSpeed does not cast all that it shards.
        working = copy.deepcopy(objective).to(TYPES[owner.sharding.precision])
        working.loss = self.loss = _Weighted(objective.loss)
        self.calls = recomputed(working.network) if owner.sharding.checkpoint_activations else None
        self.shards = Shards(working, owner.ranks) if owner.sharding.zero_stage == 3 else None
        config = configuration(owner.sharding, owner.ranks, working, job.order.shape[1], job.recipe.clip_norm)
        outside = read_outside(working) if self.shards is not None else []
        self.note = "weights that the penalty reads outside their modules are whole on every rank" if outside else ""
        self.engine = initialize(owner.library, owner.sharding, working, job.recipe, config)
        for weight in outside:
            owner.library.zero.register_external_parameter(self.engine.module, weight)
        if self.shards is not None:
            self.shards.bind(owner.rank, self.engine.optimizer.optimizer, owner.device)

    def step(self, step: int) -> Tensor:
        """Train by one step; the mean loss before it over the whole batch, the same on every rank. Shapes: a scalar.

        In float16 a step whose gradient overflows is taken again, with a smaller scale of the loss.
        """
        owner, job, engine = self.owner, self.job, self.engine
        rate = job.learning_rate * job.recipe.rate_factor(step, len(job.order))
        for group in engine.optimizer.param_groups:
            group["lr"] = rate
        whole = take(job.examples, job.order[step])
        for _ in range(OVERFLOWS if owner.sharding.precision == "float16" else 1):
            mean = self._try(step, whole)
            if engine.was_step_applied():  # else the gradient was too large for the loss's scale, which is smaller now
                break
        distributed.all_reduce(mean)
        return mean

    def _try(self, step: int, whole: Examples) -> Tensor:
        """This rank's share of the mean loss over the whole batch, after one update from its gradient."""
        owner, engine = self.owner, self.engine
        parts, width = owner.ranks * owner.sharding.accumulation, size(whole)
        counted = terms(self.loss.loss, whole)
        mean = torch.zeros((), device=owner.device)
        if self.shards is not None:
            forget_gradients(engine.optimizer)
        for place in range(owner.sharding.accumulation):
            number = owner.rank * owner.sharding.accumulation + place
            first, last = width * number // parts, width * (number + 1) // parts
            # A part without examples goes along on one, for nothing.
            shown = slice(first, last) if first < last else slice(0, 1)
            batch = {name: self._placed(tensor[shown]) for name, tensor in whole.items()}
            self.loss.factor = terms(self.loss.loss, batch) * parts / max(counted, 1) if first < last else 0.0
            with own_draws(self.seed, step, first=first) as calls:
                if self.calls is not None:
                    self.calls.append(calls)
                loss = engine(batch)
                engine.backward(loss)
                if self.calls is not None:
                    self.calls.clear()
            if self.shards is not None and engine.is_gradient_accumulation_boundary():
                self.shards.finish_gradients()
            engine.step()
            mean += loss.detach().float() / parts
        return mean

    def _placed(self, tensor: Tensor) -> Tensor:
        kind = TYPES[self.owner.sharding.precision] if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.owner.device, kind)

    def resume(self, name: str) -> tuple[int, tuple[tuple[int, float], ...], float]:
        """Go on from the newest checkpoint of this training, if there is one: steps done, the curve and the seconds so
        far."""
        checkpoints = self.owner.checkpoints
        found = checkpoints.newest(name) if checkpoints else None
        newest = [found if self.owner.rank == 0 else None]
        distributed.broadcast_object_list(newest, src=0, device=self.owner.device)
        if newest[0] is None:
            return 0, (), 0.0
        with silent():
            _, held = self.engine.load_checkpoint(newest[0], tag="state", load_module_strict=False)
        torch.set_rng_state(held["drawn"])
        self.owner.resumed[name] = held["steps"]
        return held["steps"], tuple(map(tuple, held["curve"])), held["seconds"]

    def save(self, name: str, steps: int, curve: tuple[tuple[int, float], ...], seconds: float) -> None:
        """Write a checkpoint, where it is time for one: each rank its part, visible once all of it is there."""
        checkpoints = self.owner.checkpoints
        if checkpoints is None or not checkpoints.due(steps, len(self.job.order)):
            return
        staged = [checkpoints.staged(name) if self.owner.rank == 0 else None]
        distributed.broadcast_object_list(staged, src=0, device=self.owner.device)
        held = {"steps": steps, "curve": [list(point) for point in curve], "seconds": seconds}
        held["drawn"] = torch.get_rng_state()
        with silent():
            self.engine.save_checkpoint(
                staged[0], tag="state", client_state=held, save_latest=False, exclude_frozen_parameters=True
            )
        distributed.barrier()
        if self.owner.rank == 0:
            checkpoints.publish(name, str(staged[0]), steps)
        distributed.barrier()

    @torch.no_grad()
    def give_back(self, objective: Objective, trained: dict[str, nn.Parameter]) -> None:
        """Write what trained, and the buffers, into the objective: on every rank the same, in float32."""
        spread = dict(self.engine.module.named_parameters())
        for name, weight in trained.items():
            if self.shards is not None and name in self.shards.renamed:
                value, exact = self._whole(self.shards.renamed[name].weight), self.owner.sharding.precision == "float32"
                weight.copy_(self.shards.whole(objective, name, value, exact))
            else:
                weight.copy_(self._whole(spread[name]))
        buffers = dict(self.engine.module.named_buffers())
        for name, buffer in objective.named_buffers():
            buffer.copy_(buffers[name])

    def _whole(self, weight: nn.Parameter) -> Tensor:
        """A weight in float32: the optimizer's own where it keeps a finer one than the network's."""
        from deepspeed.utils import safe_get_full_fp32_param

        found: Tensor | None = None
        if self.owner.sharding.zero_stage > 0 or self.owner.sharding.precision != "float32":
            found = safe_get_full_fp32_param(weight)
        return weight.detach() if found is None else found

    def end(self) -> None:
        """Leave the objective's copy and what DeepSpeed holds of it."""
        destroy(self.engine)


def _refuse_batch_statistics(objective: Objective, parts: int) -> None:
    """Raises: Declined if the objective normalises over a batch that is cut into parts."""
    normalising = (module for module in objective.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    if parts > 1 and any(module.training for module in normalising):
        raise Declined("batch normalisation in training mode, over a batch that is cut into parts")
