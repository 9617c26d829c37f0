"""Checks of a task's data: the same everywhere and always, and no example in two splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from harness import seeds, settings
from harness.contract import fresh, leaks
from harness.contract.check import Fault, values_of
from harness.contract.task_under_test import SPLITS, TaskUnderTest
from harness.contract.watch import GENERATORS, random_states
from harness.data import SMALLEST_TARGET, Datasets, Examples, content_hash, size
from harness.errors import UserError
from harness.task import Task

STANDARD_SIZE = 400
"""The largest target size of the suite `standard`."""

SLOW_SECONDS = 20.0
"""Making data that takes longer is worth a word: every worker does it."""


def data(under_test: TaskUnderTest) -> str:
    """The data are the same at every call, in memory of their own, and making them touches no global random state."""
    first = content_hash(vars(under_test.sets))
    with seeds.seeded("contract", "another global random state"):
        before = random_states()
        again = under_test.task.datasets()
        for name, one, other in zip(GENERATORS, before, random_states(), strict=True):
            if one != other:
                seen = f"datasets() seeds or draws from the global generator of {name}"
                raise Fault(seen, "use generators of its own, seeded with constants: np.random.RandomState(SEED)")
    if content_hash(vars(again)) != first:
        mend = "draw from generators of its own, seeded with constants: np.random.RandomState(SEED)"
        raise Fault("another call gives other data", mend)
    for name in SPLITS:
        for tensor in (getattr(again, name) or {}).values():
            tensor.zero_()
    if content_hash(vars(under_test.sets)) != first or content_hash(vars(under_test.task.datasets())) != first:
        raise Fault("calls share memory: who changes the data of one changes another's", "give copies (tensor.clone())")
    made = f"{values_of(f'{name} {size(examples)}' for name, examples in under_test.splits().items())}"
    return f"{made}; made in {under_test.seconds:.2f} s"


def splits(under_test: TaskUnderTest) -> str | None:
    """Every split is a dictionary of finite tensors with one entry an example; the two of a problem are alike."""
    held = under_test.splits()
    for name, examples in held.items():
        if not examples or not all(isinstance(tensor, Tensor) and tensor.dim() for tensor in examples.values()):
            raise Fault(f"{name} is no dictionary of tensors", 'give {"inputs": ..., "targets": ...}')
        if len({len(tensor) for tensor in examples.values()}) != 1 or not size(examples):
            raise Fault(f"{name}: fields of several lengths, or empty", "give each field one entry an example")
        if broken := [field for field, tensor in examples.items() if not torch.isfinite(tensor).all()]:
            raise Fault(f"{name}: {values_of(broken)} has entries that are not finite", "leave these examples out")
    for one, other in (("target_pool", "target_test"), ("source_train", "source_test")):
        if one in held and other in held and _kinds(held[one]) != _kinds(held[other]):
            seen = f"{one} has {_kinds(held[one])}, {other} {_kinds(held[other])}"
            raise Fault(seen, "give both the same fields and types, and inputs of one shape")
    if "source_train" not in held and under_test.task.checkpoint() is None:
        raise Fault(
            "there are neither source data nor a checkpoint", "give source_train, or source_model and checkpoint"
        )
    pool = size(held["target_pool"])
    if pool < SMALLEST_TARGET:
        raise Fault(
            f"the pool has {pool} examples", f"give {SMALLEST_TARGET} at least: that is the smallest target size"
        )
    return (
        None
        if pool >= STANDARD_SIZE
        else f"a pool of {pool}: target sizes end there; `standard` goes to {STANDARD_SIZE}"
    )


def _kinds(examples: Examples) -> dict[str, tuple[Any, ...]]:
    """Type of each field, and the inputs' shape: targets of a test may reach further than those trained on."""
    shapes = {name: tuple(tensor.shape[1:]) if name == "inputs" else () for name, tensor in examples.items()}
    return {name: (*shapes[name], str(tensor.dtype)) for name, tensor in sorted(examples.items())}


def disjoint(under_test: TaskUnderTest) -> None:
    """No example is in two splits, but for equal ones that any split of the same data would share."""
    held = under_test.splits()
    for one, other in (("target_pool", "target_test"), ("source_train", "source_test")):
        if one in held and other in held and (shared := leaks.overlap(held[one], held[other])):
            raise Fault(f"{other} shares examples with {one}: {shared}", "split before anything is drawn or repeated")


def distribution(under_test: TaskUnderTest) -> None:
    """Pool and test are drawn alike: their mean targets are within five standard errors."""
    sets = under_test.sets
    for name, pool in sets.target_pool.items():
        if name == "targets" and size(sets.target_pool) > 1 < size(sets.target_test):
            one, other = pool.double().flatten(1) if pool.dim() > 1 else pool.double()[:, None], sets.target_test[name]
            one, other = one.mean(1), other.double().reshape(len(other), -1).mean(1)
            error = (one.var() / len(one) + other.var() / len(other)).sqrt()
            if abs(one.mean() - other.mean()) > 5 * error:
                seen = f"the mean target is {one.mean():.4g} in the pool and {other.mean():.4g} in the test split"
                raise Fault(seen, "shuffle before you split")


def variants(task: Task, names: list[str]) -> Iterator[Task]:
    """The task with one parameter at a time changed, where that is legal."""
    for field in dataclasses.fields(task):
        now = getattr(task, field.name)
        others = [option for option in field.metadata.get("options", ()) if option != now]
        if not others and isinstance(now, bool):
            others = [not now]
        elif not others and isinstance(now, int | float):
            others = [type(now)(now * 2 + 1), type(now)(now / 2)]
        if field.name in names and not field.metadata.get("place"):
            for other in others:
                try:
                    yield settings.build(type(task), dataclasses.asdict(task) | {field.name: other}, "here")
                except UserError:
                    continue
                break


def source_part(under_test: TaskUnderTest) -> str | None:
    """Parameters outside source_fields change neither source data nor network: variants share their source models."""
    task = under_test.task
    if task.source_fields is None:
        return "source_fields is None: no two variants share a source model" if _fields(task) else None
    rest = [name for name in _fields(task) if name not in task.source_fields]
    expected = _source(under_test.sets), {n: t.shape for n, t in under_test.network().state_dict().items()}
    for variant in variants(task, rest):
        other = TaskUnderTest(variant)
        try:
            found = _source(other.sets), {n: t.shape for n, t in other.network().state_dict().items()}
        except UserError:
            continue
        if found != expected:
            raise Fault(f"{variant.id} has another source problem", "name the parameter in source_fields")
    return None


def _fields(task: Task) -> list[str]:
    return [field.name for field in dataclasses.fields(task) if not field.metadata.get("place")]


def _source(sets: Datasets) -> str:
    return content_hash({"train": sets.source_train, "test": sets.source_test})


def fresh_process(under_test: TaskUnderTest) -> None:
    """A process of its own makes the same data, to the last bit."""
    from harness.plan import Facts, facts

    mine: Facts = facts(under_test.task)
    try:
        (there,) = fresh.results([under_test.task], "task")
    except fresh.NotThere as error:
        mend = "define the class at the top of an importable module; workers import it by that name"
        raise Fault(str(error), mend) from error
    if there != {"data_hash": mine.data_hash, "source_hash": mine.source_hash}:
        seen = f"data hash {mine.data_hash[:8]} here, {there['data_hash'][:8]} in a process of its own"
        raise Fault(
            seen, "let nothing depend on the order of sets or dictionaries of hashes, on time or on the machine"
        )


def equation_test(under_test: TaskUnderTest) -> str:
    """A test of what the docstring says of the data: the checks above cannot know it."""
    if under_test.seconds > SLOW_SECONDS:
        return f"making the data takes {under_test.seconds:.0f} s, in every worker: store what is slow in a file"
    return "write a test of what defines the data (its equation, its counts), and pin the data hash"
