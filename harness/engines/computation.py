"""One batched computation: the weights and batches of all lanes stacked along a new first dimension.

`torch.func.vmap` runs the forward once over the stack, and one backward pass of the summed losses gives every lane its
own gradient, since no lane's loss depends on another lane's weights. A lane that is no longer finite is taken out.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from harness import data
from harness.cost import uninterrupted
from harness.draws import own_draws
from harness.engines.plain import CHECK_EVERY
from harness.engines.structure import NotLaned, structure
from harness.engines.tails import Tails
from harness.engines.update import LaneUpdate, pick
from harness.errors import TrialTimeout
from harness.fit import Fitted, Job
from harness.objective import Objective

FEWEST = 2
"""Lanes of a stack at least. One lane alone is stacked twice: for a batch of one torch takes other kernels, which round
differently, and no number may depend on how many lanes there are."""

GRADIENT_TOLERANCE = 1e-4
"""Of a tensor's gradient in a lane against that alone, relative: rounding stays far below."""

T = TypeVar("T")


@dataclass
class Lane:
    """One objective on its way. seconds: its share of the time so far. source: hash of the examples it draws from.

    curve: as in `Fitted`.
    """

    objective: Objective
    job: Job
    draw_seed: int
    seconds_left: float
    seconds: float = 0.0
    source: str = ""
    curve: tuple[tuple[int, float], ...] = ()
    result: Fitted | BaseException | None = None


def train_in_lanes(lanes: list[Lane]) -> None:
    """Train lanes of one kind in place and write down what became of each. Raises: what their forward raises."""
    steps = len(lanes[0].job.order)
    if not steps or not _trained_names(lanes):
        for lane in lanes:
            lane.result = Fitted(steps, float("nan"), diverged=False, engine="lanes", lanes=len(lanes))
        return
    for lane in lanes:
        lane.curve = ()  # what did not fit into memory together begins again in halves
    tails = _look(lanes[0])
    computation = _Computation(lanes, tails.extra)
    started, losses = time.perf_counter(), []
    for step in range(steps):
        losses.append(computation.step(step))
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
            finite = computation.finite(losses, last=step + 1 == steps).tolist()
            seconds, last_losses = time.perf_counter() - started, losses[-1].tolist()
            with uninterrupted():  # a lane has its result if and only if its objective has its weights
                ends = _ends(computation.alive, finite, seconds, step + 1, steps, last_losses, len(lanes))
                computation.remove(ends)
            if not computation.alive:
                return
            started, losses = time.perf_counter(), []


def _look(lane: Lane) -> Tails:
    """Watch one step of a copy of a lane, near its start. Raises: NotLaned if it computes something else than alone."""
    alone, tried = copy.deepcopy(lane.objective), copy.deepcopy(lane.objective)
    seed = torch.tensor(lane.draw_seed, device=lane.job.order.device)
    batch = {name: tensor[lane.job.order[0]] for name, tensor in lane.job.examples.items()}
    held, buffers = structure(alone), dict(alone.named_buffers())
    drawn = _python_draws()
    for copied in (alone, tried):  # a penalty on the distance to the start shows only away from it
        _shift(copied)
    with own_draws(seed):
        expected = alone(batch)
    if structure(alone) != held or any(buffers[name] is not buffer for name, buffer in alone.named_buffers()):
        raise NotLaned("the forward changes what the objective holds")
    if _python_draws() != drawn:
        raise NotLaned("the forward draws from random or numpy")
    own = {name: parameter for name, parameter in alone.named_parameters() if parameter.requires_grad}
    gradients = torch.autograd.grad(expected, list(own.values()), materialize_grads=True)
    with Tails(FEWEST) as tails:
        computation = _Computation([dataclasses.replace(lane, objective=tried)], 0)
        losses = computation.losses(0)
        _refuse_foreign_weights(losses, list(computation.trained.values()))
        stacked = computation.gradients(losses)
        found = {name: gradient[0].clone() for name, gradient in zip(computation.trained, stacked, strict=True)}
        computation.move(0, stacked)
    loss = losses[0].detach()
    if not torch.allclose(loss, expected.detach().to(loss.dtype), rtol=1e-3, atol=1e-6, equal_nan=True):
        raise NotLaned(f"the loss in a lane is {loss.item():.6g}, alone {expected.item():.6g}")
    for name, gradient in zip(own, gradients, strict=True):
        off = (found[name] - gradient).norm()
        if off > GRADIENT_TOLERANCE * gradient.norm() + 1e-6:
            raise NotLaned(f"the gradient of {name} in a lane is not that alone (off by {off.item():.3g})")
    _refuse_stale_weights(computation, alone, batch, seed)
    watched: Tails = tails
    return watched


@torch.no_grad()
def _refuse_stale_weights(computation: _Computation, alone: Objective, batch: data.Examples, seed: Tensor) -> None:
    """Raises: NotLaned if the loss does not follow weights that have moved: it reads them, detached, from a list or a
    closure, where nothing puts a lane's own in their place."""
    parameters = dict(alone.named_parameters())
    for name, weight in computation.trained.items():
        weight.mul_(1.25)
        parameters[name].copy_(weight[0])
    with own_draws(seed):
        expected = alone(batch)
    loss = computation.losses(0)[0]
    if not torch.allclose(loss, expected.to(loss.dtype), rtol=1e-4, atol=1e-6, equal_nan=True):
        raise NotLaned("the loss in a lane does not follow its weights")


@torch.no_grad()
def _shift(objective: Objective) -> None:
    """Move every trained weight by a tenth of its tensor's size, the same way for equal objectives."""
    generator = torch.Generator().manual_seed(0)
    for parameter in objective.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype).to(parameter.device)
            parameter.add_(noise * (0.1 * parameter.abs().mean() + 1e-3))


def _refuse_foreign_weights(losses: Tensor, trained: Sequence[Tensor]) -> None:
    """Raises: NotLaned if the losses depend on a weight that is no stack: it is held in a list or a closure, where
    nothing can put a lane's own in its place."""
    ours = {id(weight) for weight in trained}
    todo, seen = [losses.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        weight = getattr(node, "variable", None)
        if weight is not None and id(weight) not in ours:
            raise NotLaned("the loss depends on a weight that is held outside the objective's modules")
        todo += [following for following, _ in node.next_functions]


def _python_draws() -> int:
    """A hash of the state of the generators that a stack of lanes cannot draw from."""
    return hash((random.getstate(), pickle.dumps(np.random.get_state())))


def _ends(
    alive: list[Lane],
    finite: list[bool],
    seconds: float,
    step: int,
    steps: int,
    last_losses: list[float],
    together: int,
) -> list[bool]:
    """Share out the seconds since the last look, and say for each lane whether it ends here and how."""
    ends = []
    for lane, good, last_loss in zip(alive, finite, last_losses, strict=False):  # the stack may be padded
        lane.seconds += seconds / len(alive)
        if good:
            lane.curve += ((step, last_loss),)
        if not good or step == steps:
            loss = last_loss if good else float("nan")
            lane.result = Fitted(step, loss, not good, lane.seconds, together, "lanes", curve=lane.curve)
        elif lane.seconds > lane.seconds_left:
            lane.result = TrialTimeout()
        ends.append(lane.result is not None)
    return ends


def _trained_names(lanes: Iterable[Lane]) -> list[str]:
    """Parameters that train in at least one lane, in the order of the first."""
    named = [dict(lane.objective.named_parameters()) for lane in lanes]
    return [name for name in named[0] if any(mine[name].requires_grad for mine in named)]


class _Computation:
    """The stacked tensors of the lanes that are still training, and one step of them all.

    extra: copies of the last lane to add, for the kernels' tails (see harness/engines/tails.py).
    Shapes: L lanes, the added ones among them; trained, fixed and buffers (L, ...); rates (L,) of each trained
    parameter, 0 where a lane does not train it; examples: all distinct sets one after the other; order (steps, L,
    batch) into them.
    """

    def __init__(self, lanes: list[Lane], extra: int) -> None:
        self.alive, self.extra = list(lanes), extra
        self.recipe, self.module = lanes[0].job.recipe, lanes[0].objective
        self.steps = len(lanes[0].job.order)
        names = _trained_names(lanes)
        stacked = padded(lanes, extra)
        parameters = [dict(lane.objective.named_parameters()) for lane in stacked]
        buffers = [dict(lane.objective.named_buffers()) for lane in stacked]
        self.trained = {name: stack(parameters, name).requires_grad_() for name in names}
        self.fixed = {name: stack(parameters, name) for name in parameters[0] if name not in self.trained}
        self.buffers = {name: stack(buffers, name) for name in buffers[0]}
        self.examples, self.order = _gathered(stacked)
        self.seeds = torch.tensor([lane.draw_seed for lane in stacked], device=self.order.device)
        rates = [lane.job.learning_rate for lane in stacked]
        if len({weight.dtype for weight in self.trained.values()}) > 1:
            raise NotLaned("the trained weights are of several types")
        self.rates = [
            torch.tensor([rate * mine[name].requires_grad for rate, mine in zip(rates, parameters, strict=True)])
            for name in names
        ]
        self.tied = _tied(self.module)
        self.update: LaneUpdate | None = None

    def step(self, step: int) -> Tensor:
        """Train every lane by one step. Shapes: the losses before it, (L,)."""
        losses = self.losses(step)
        self.move(step, self.gradients(losses))
        return losses.detach()

    def losses(self, step: int) -> Tensor:
        """The loss of every lane on its batch of this step. Shapes: (L,). Raises: NotLaned if they are no scalars."""
        index = self.order[step]
        lanes, width = index.shape
        batch = {
            n: t.index_select(0, index.flatten()).view(lanes, width, *t.shape[1:]) for n, t in self.examples.items()
        }
        losses = vmap(partial(self._loss, step))(self.trained, self.fixed, self.buffers, batch, self.seeds)
        if losses.shape != (lanes,):
            raise NotLaned(f"the loss has shape {tuple(losses.shape[1:])}, expected a scalar")
        return losses

    def gradients(self, losses: Tensor) -> list[Tensor]:
        """Of each trained stack; no lane's loss depends on another's weights. Shapes: losses (L,)."""
        return list(torch.autograd.grad(losses.sum(), list(self.trained.values()), materialize_grads=True))

    def move(self, step: int, gradients: list[Tensor]) -> None:
        """Move every lane's weights. The gradients are used up."""
        if self.update is None:
            self.update = self._make_update(gradients)
        self.update(gradients, self.recipe.rate_factor(step, self.steps))

    def _loss(
        self,
        step: int,
        trained: dict[str, Tensor],
        fixed: dict[str, Tensor],
        buffers: dict[str, Tensor],
        batch: data.Examples,
        seed: Tensor,
    ) -> Tensor:
        with own_draws(seed, step, in_lanes=True):
            loss: Tensor = functional_call(self.module, (trained, fixed, buffers), (batch,), tie_weights=self.tied)
        return loss

    def _make_update(self, gradients: Sequence[Tensor]) -> LaneUpdate:
        """The optimizer, and the weights in the memory layout of their gradients: kernels run straight through both."""
        for name, gradient in zip(self.trained, gradients, strict=True):
            weight = self.trained[name].detach()
            self.trained[name] = torch.empty_like(gradient).copy_(weight).requires_grad_()
        return LaneUpdate(list(self.trained.values()), self.rates, self.recipe)

    def finite(self, losses: list[Tensor], last: bool) -> Tensor:
        """True for the lanes whose losses, and after the last step weights, are finite. Shapes: (L,)."""
        finite = torch.isfinite(torch.stack(losses)).all(0)
        if last:
            moves = [rate.to(finite.device) != 0 for rate in self.rates]
            for weight, trained in zip(self.trained.values(), moves, strict=True):
                finite = finite & (torch.isfinite(weight.detach()).flatten(1).all(1) | ~trained)
        return finite

    def remove(self, ends: list[bool]) -> None:
        """Write the lanes that end back into their objectives and go on with the others."""
        if not any(ends):
            return
        for place, (lane, over) in enumerate(zip(self.alive, ends, strict=True)):
            if over:
                self._write_back(lane, place)
        kept = [place for place, over in enumerate(ends) if not over]
        self.alive = [self.alive[place] for place in kept]
        if not kept or self.update is None:
            return
        index = torch.tensor(padded(kept, self.extra), device=self.seeds.device)
        self.trained = {n: pick(t.detach(), index).requires_grad_() for n, t in self.trained.items()}
        self.fixed = {n: pick(t, index) for n, t in self.fixed.items()}
        self.buffers = {n: pick(t, index) for n, t in self.buffers.items()}
        self.rates = [rate[index.to(rate.device)] for rate in self.rates]
        self.seeds, self.order = self.seeds[index], self.order.index_select(1, index)
        self.update.keep(list(self.trained.values()), index)

    @torch.no_grad()
    def _write_back(self, lane: Lane, place: int) -> None:
        for name, parameter in lane.objective.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(self.trained[name][place])
        for name, buffer in lane.objective.named_buffers():
            buffer.copy_(self.buffers[name][place])


def _tied(module: nn.Module) -> bool:
    """True if a parameter or buffer has two names: torch then looks for the second one at every call, which is slow."""
    every = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    return len(every) > len({id(tensor) for _, tensor in every})


def padded(items: list[T], extra: int) -> list[T]:
    """The items, the last repeated `extra` times, and until there are FEWEST."""
    return items + items[-1:] * max(extra, FEWEST - len(items))


def stack(lanes: Sequence[Mapping[str, Tensor]], name: str) -> Tensor:
    return torch.stack([mine[name].detach() for mine in lanes])


def _gathered(lanes: list[Lane]) -> tuple[data.Examples, Tensor]:
    """All distinct example sets one after the other, and each lane's order as indices into them."""
    starts: dict[str, int] = {}
    sets: list[data.Examples] = []
    end = 0
    for lane in lanes:
        if lane.source not in starts:
            starts[lane.source] = end
            sets.append(lane.job.examples)
            end += data.size(lane.job.examples)
    order = torch.stack([lane.job.order + starts[lane.source] for lane in lanes], 1)
    return {name: torch.cat([examples[name] for examples in sets]) for name in sets[0]}, order
