"""Checks of a task's functions: loss, predictions and score, what they may read, and whether they train a network."""

from __future__ import annotations

import copy
import dataclasses
import math

import torch
from torch import Tensor, nn

from harness import seeds
from harness.contract import leaks
from harness.contract.check import Fault, values_of
from harness.contract.reach import reachable
from harness.contract.task_data import variants
from harness.contract.task_under_test import FEW, TaskUnderTest, few
from harness.contract.watch import random_states, reset
from harness.data import Datasets, Examples, content_hash, size
from harness.data import copy as copied
from harness.engines.lanes import Lanes
from harness.engines.plain import Plain
from harness.engines.rule import choose
from harness.evaluate import native_score, predictions
from harness.fit import Fit
from harness.objective import Objective
from harness.recipe import Recipe
from harness.task import Task

ROUNDS = 10
"""Of 40 steps each, at most, until a few examples are learned by heart."""


def loss(under_test: TaskUnderTest) -> None:
    """The loss is one finite number with a gradient for every weight, the same whenever asked; it changes nothing."""
    task = under_test.task
    for where, made, batch in under_test.batches():
        kept = copied(batch)
        values, states = [], []
        for key in ("a key", "another key"):
            with seeds.seeded(key, "loss"):
                made.zero_grad()
                value = task.loss(made, batch)
                states.append(random_states())
            values.append(value)
        if not isinstance(value, Tensor) or value.shape != () or not value.isfinite():
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise Fault(f"{where}: the loss is {shape}, or not finite", "give the mean over the batch, a scalar tensor")
        if generator := reset(*states):
            raise Fault(
                f"{where}: the loss seeds the global generator of {generator}", "draw without seeding, or not at all"
            )
        if not value.requires_grad:
            raise Fault(
                f"{where}: the loss has no gradient", "compute it by torch's operations, without detach or numpy"
            )
        value.backward()  # type: ignore[no-untyped-call]
        without = [name for name, parameter in made.named_parameters() if parameter.grad is None]
        if without:
            raise Fault(f"{where}: no gradient for {values_of(without[:3])}", "use these weights, or leave them out")
        if content_hash({"": kept}) != content_hash({"": batch}):
            raise Fault(f"{where}: the loss changes the batch in place", "copy what you change (tensor.clone())")


def test_split(under_test: TaskUnderTest) -> str | None:
    """Loss, predictions and score read no test example but those they are handed."""
    task, test = under_test.task, leaks.TestRows(under_test.sets)
    mend = "let the static functions read the network and the batch alone; constants of the task may be numbers"
    if found := leaks.within_reach([task.loss, task.predict, task.score], test):
        raise Fault(f"loss, predict or score can read {found}", mend)
    for where, made, batch in under_test.batches():
        made.eval()
        for function in (task.loss, task.predict):
            with torch.no_grad(), seeds.seeded("a key", "look"):
                count = leaks.seen_by(function, made, batch, test=test)
            if count:
                raise Fault(f"{where}: {function.__name__} reads {count} rows of the test split", mend)
        before = _values(task, made, batch)
        with leaks.other_test_split(task):
            if before != _values(task, made, batch):
                raise Fault(f"{where}: with another test split the same batch has another loss or score", mend)
    return None if len(test) else "no test example can be told from those of other splits"


def _values(task: Task, network: nn.Module, batch: Examples) -> list[str]:
    with seeds.seeded("a key", "look"):
        loss = float(task.loss(network, batch).detach())
        return [repr(loss), repr(native_score(task.predict, task.score, network, batch))]


def handles(under_test: TaskUnderTest) -> None:
    """Nothing that a method is handed leads to the task, its data sets or a test example."""
    from harness.source import problem  # it imports much that a task's test does not need

    task, test = under_test.task, leaks.TestRows(under_test.sets)
    made = under_test.network(retargeted=True)
    view = problem(task, made, few(under_test.sets.target_pool, FEW), new_head=False, steps=1)
    for item in reachable([made, view]):
        if isinstance(item, Task | Datasets):
            raise Fault(
                f"what a method gets leads to {type(item).__name__}", "keep the task out of network and functions"
            )
        if isinstance(item, Tensor) and (count := test.within(item.detach())):
            raise Fault(f"what a method gets holds {count} rows of the test split", "keep data out of the network")


def predicting(under_test: TaskUnderTest) -> None:
    """A prediction per example, which does not depend on the other examples."""
    task, examples = under_test.task, few(under_test.sets.target_test, 40)
    made = under_test.network(retargeted=True)
    whole = predictions(task.predict, made, examples)
    half = predictions(task.predict, made, few(examples, size(examples) // 2 or 1))
    if len(whole) != size(examples):
        seen = f"{len(whole)} predictions for {size(examples)} examples"
        raise Fault(seen, "give a tensor whose first dimension is the batch's")
    if not torch.allclose(whole[: len(half)].double(), half.double(), rtol=1e-3, atol=1e-5):
        raise Fault("predictions depend on the other examples of a batch", "normalise per example, or by constants")


def scoring(under_test: TaskUnderTest) -> None:
    """The score is one finite number, on the smallest validation split too, reads predictions and changes nothing."""
    task, made = under_test.task, under_test.network(retargeted=True)
    for name in ("target_pool", "target_test"):
        for count in (1, 5, size(getattr(under_test.sets, name))):
            examples = few(getattr(under_test.sets, name), count)
            before = content_hash({"": examples})
            value = native_score(task.predict, task.score, made, examples)
            if not math.isfinite(value):
                seen = f"{name}: the score of {count} example{'s' * (count > 1)} is {value}"
                raise Fault(seen, "choose a metric that is defined on one example: n = 5 validates on one")
            if content_hash({"": examples}) != before:
                raise Fault(f"{name}: score() changes the examples", "copy what you change (tensor.clone())")
        if size(examples) >= FEW and not _reads_predictions(under_test, made, examples):
            seen = (
                f"{name}: the score is {value:.4g} for these predictions, exchanged ones, noise and another network's"
            )
            raise Fault(seen, "compute it from the predictions that score() is handed")
    if (sets := under_test.sets).source_test is not None:
        native_score(task.predict, task.score, under_test.network(), few(sets.source_test, FEW))


def _reads_predictions(under_test: TaskUnderTest, made: nn.Module, examples: Examples) -> bool:
    """Whether other predictions have another score: exchanged among the examples, noise, or of other weights.

    Classes can be balanced, and an untrained network sees one of them everywhere: so one change alone says little.
    """
    task = under_test.task
    predicted = predictions(task.predict, made, examples)
    value = float(task.score(predicted.clone(), examples))
    with seeds.seeded("a key", "other predictions"):
        others = [predicted[torch.randperm(len(predicted))], predicted.flip(0)]
        if predicted.is_floating_point():
            others += [predicted.mean() + (predicted.std() + 1) * torch.randn_like(predicted) for _ in range(2)]
    for other in others:
        try:
            if float(task.score(other, examples)) != value:
                return True
        except (
            ArithmeticError,
            IndexError,
            RuntimeError,
            ValueError,
        ):  # noise may be no prediction, and it was looked at
            return True
    networks = (under_test.network(key, retargeted=True) for key in ("another key", "a third key"))
    return any(native_score(task.predict, task.score, network, examples) != value for network in networks)


def anchors(under_test: TaskUnderTest) -> str | None:
    """Anchors are two finite scores, the better one second, for this variant only."""
    task = under_test.task
    pinned = task.anchors()
    if task.negative_control and pinned is not None:
        raise Fault("a negative control has anchors", "give None: it enters no average")
    if pinned is None:
        return "no anchors: counted by ranks and win rates only" if not task.negative_control else None
    zero, one = pinned
    if not all(map(math.isfinite, pinned)) or (one > zero) is not task.higher_is_better or one == zero:
        raise Fault(f"anchors {pinned!r} with higher_is_better = {task.higher_is_better}", "give (scratch, reference)")
    untrained = native_score(task.predict, task.score, under_test.network(retargeted=True), under_test.sets.target_test)
    if (untrained > one) is task.higher_is_better:
        raise Fault(
            f"an untrained network scores {untrained:.4g}, better than the anchor {one!r}", "measure the anchors"
        )
    for variant in variants(task, [field.name for field in dataclasses.fields(task)]):
        if variant.anchors() == pinned:
            raise Fault(
                f"{variant.id} has the anchors of {task.id}", "pin them for the parameters they were measured at"
            )
    return None


def training(under_test: TaskUnderTest) -> str:
    """A few steps with the task's recipe lower the loss and do not spoil the score, on the engine that is chosen."""
    task, notes = under_test.task, set()
    recipe = dataclasses.replace(task.recipe, warmup_steps=0)
    chosen = choose(task, min(recipe.batch_size, size(under_test.sets.target_pool)), "cpu", "auto")
    for where, made, batch in under_test.batches():
        losses = {}
        if where == "target":
            _score_follows(task, recipe, copy.deepcopy(made), batch)
        for engine in (Plain(), Lanes()) if chosen.name == "lanes" else (Plain(),):
            objective = Objective(copy.deepcopy(made), task.loss)
            with seeds.seeded("a key", "training"):
                before = _loss(objective, batch)
                (fitted,) = Fit(engine, recipe, 7, 40)([objective], batch)
            losses[engine.name] = after = _loss(objective, batch)
            if not after < before:
                seen = f"{where}: the loss is {before:.5g} before 40 steps on {size(batch)} examples, {after:.5g} after"
                raise Fault(seen, "look at the recipe's learning rate, and at the sign of the loss")
            notes |= {fitted.note} if fitted.note else set()
        if "lanes" in losses and not math.isclose(losses["lanes"], losses["plain"], rel_tol=0.05, abs_tol=1e-3):
            seen = f"{where}: after 40 steps the loss is {losses['lanes']:.6g} in lanes, {losses['plain']:.6g} alone"
            raise Fault(seen, "keep the loss pure: it may read the network and the batch, nothing else")
    alone = f"; but trains alone: {'; '.join(sorted(notes))}" if notes else ""
    return f"engine {chosen.name}{alone}"


def _score_follows(task: Task, recipe: Recipe, made: nn.Module, batch: Examples) -> None:
    """Raises: Fault if the score on these examples is worse once the loss is less than half of what it was.

    Trains on, where the score is worse and the loss has not fallen so far: a few examples are learned by heart.
    """
    objective, sign = Objective(made, task.loss), 1 if task.higher_is_better else -1
    with seeds.seeded("a key", "training"):
        first, before = _loss(objective, batch), native_score(task.predict, task.score, made, batch)
        for _ in range(ROUNDS):
            Fit(Plain(), recipe, 7, 40)([objective], batch)
            now = native_score(task.predict, task.score, made, batch)
            fallen = first > 0 and _loss(objective, batch) < first / 2
            if not sign * (now - before) < 0 or fallen:
                break
    if fallen and sign * (now - before) < -0.01 * abs(before):
        seen = f"target: training halves the loss and takes the score on the same examples from {before:.4g}"
        mend = f"is higher_is_better = {task.higher_is_better} right, and does score() tell good predictions from bad?"
        raise Fault(f"{seen} to {now:.4g}, which is worse", mend)


def _loss(objective: Objective, batch: Examples) -> float:
    objective.eval()
    with seeds.seeded("a key", "look"):
        return float(objective(batch).detach())
