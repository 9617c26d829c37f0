"""Checks of a task's class and network: its facts, docstring and parameters, weights, head and blocks."""

from __future__ import annotations

import copy
import dataclasses

import torch

from harness import seeds, settings
from harness.contract import fresh
from harness.contract.check import Fault, said, values_of
from harness.contract.rehearsal import same, state
from harness.contract.task_under_test import TaskUnderTest
from harness.contract.watch import foreign, own_modules, random_states, reset, seedings
from harness.errors import UserError
from harness.objective import within
from harness.task import check_task_class

DRAW = "draw from torch's global generator, which the caller has seeded, and seed none yourself"


def class_facts(under_test: TaskUnderTest) -> None:
    """A task is a frozen dataclass with its facts; loss, predict and score are static functions."""
    task = under_test.task
    try:
        check_task_class(type(task), "class")
    except UserError as error:
        raise Fault(str(error), "complete the class; `tasks/friedman1.py` is an example") from error
    if not task.name.isidentifier() or not task.version or not isinstance(task.higher_is_better, bool):
        raise Fault("name, version or higher_is_better is none", "give an identifier, a text, and True or False")
    unknown = sorted(set(task.source_fields or ()) - {field.name for field in dataclasses.fields(task)})
    if unknown:
        raise Fault(f"source_fields names {values_of(unknown)}, which is no field", "name fields of the dataclass")


def docstring(under_test: TaskUnderTest) -> None:
    """The docstring says what transfers, where the data come from, and their shapes."""
    text = type(under_test.task).__doc__ or ""
    missing = [] if "Shapes:" in text else ["Shapes:"]
    missing += [] if "Source:" in text or "Data:" in text else ["Source: or Data:"]
    if missing or not text.strip():
        raise Fault(f"the docstring lacks {values_of(missing)}", "write these sections; `tasks/friedman1.py` has them")


def parameters(under_test: TaskUnderTest) -> None:
    """Its parameters are values that a suite can give, and the default ones are legal."""
    task = under_test.task
    try:
        hash(task)
        seeds.canonical(task.parameters())
        settings.build(type(task), dataclasses.asdict(task), "the parameters")
    except (TypeError, ValueError, UserError) as error:
        raise Fault(str(error), "use numbers, texts or tuples of them, within the range of `setting(...)`") from error


def pickling(under_test: TaskUnderTest) -> None:
    """A task can be sent to another process and is the same there."""
    task = under_test.task
    try:
        again = fresh.sent(task)
    except (Exception, SystemExit) as error:
        mend = "keep what cannot be pickled (functions, generators, open files, locks) out of the instance"
        raise Fault(f"it cannot be pickled ({said(error)})", mend) from error
    if again != task:
        raise Fault("after pickling it is not equal to what it was", "keep all of its state in the dataclass's fields")


def network(under_test: TaskUnderTest) -> None:
    """Network and new head draw their weights from the generator that the caller seeds, and from nothing else."""
    task = under_test.task
    for what, make in (("network", task.network), ("new_head", task.new_head)):
        runs = []
        for key in ("a key", "another key", "a key"):
            with seeds.seeded(key, what), seedings(own_modules(type(task))) as found:
                made = make()
                runs.append((state(made) if made is not None else {}, random_states(), found))
        if not runs[0][0]:
            continue
        if not same(runs[0][0], runs[2][0]):
            raise Fault(f"{what}(): one seed gives two sets of weights", DRAW)
        if same(runs[0][0], runs[1][0]):
            raise Fault(f"{what}(): two seeds give the same weights", DRAW)
        if generator := reset(runs[0][1], runs[1][1]):
            raise Fault(f"{what}() seeds the global generator of {generator}", DRAW)
        if (seeding := foreign(runs[0][2], runs[1][2])) is not None:
            given = f"with {seeding.seed}" if seeding.seed else "without a seed"
            raise Fault(f"{what}(): {seeding.what} {given} at {seeding.place}, whatever the seed", DRAW)


def head_and_blocks(under_test: TaskUnderTest) -> str | None:
    """The head and the blocks that the task names are there, each once."""
    task, made = under_test.task, under_test.network()
    names = dict(made.named_modules())
    if task.head not in names or not list(names[task.head].parameters()):
        raise Fault(
            f"head = {task.head!r}: no module of that name with weights", f"name one of {values_of(names)[:200]}"
        )
    blocks = task.blocks(made)
    for block in blocks:
        if block not in names or within(block, task.head) or within(task.head, block):
            raise Fault(f"block {block!r} is not there, or holds the head", "name modules of the backbone")
    if len(set(blocks)) != len(blocks) or any(within(a, b) for a in blocks for b in blocks if a != b):
        raise Fault(f"blocks {values_of(blocks)} overlap", "name each part of the backbone once")
    if not blocks:
        return "no blocks: methods that choose among them decline"
    left = [n for n, _ in made.named_parameters() if not any(within(n, part) for part in (*blocks, task.head))]
    return f"in no block: {values_of(left[:3])}{' ...' if len(left) > 3 else ''}" if left else None


def retarget(under_test: TaskUnderTest) -> str:
    """A new head fits where the source's was, nothing else changes, and the old one can be put back."""
    task = under_test.task
    with seeds.seeded("a key", "new head"):
        head = task.new_head()
    if head is None:
        return "the source's head serves"
    made = under_test.network()
    old, before = copy.deepcopy(made.get_submodule(task.head)), state(made)
    task.retarget(made, head)
    others = {name: tensor for name, tensor in state(made).items() if not within(name, task.head)}
    if made.get_submodule(task.head) is not head and not same(state(made.get_submodule(task.head)), state(head)):
        raise Fault("retarget() does not put the head where `head` says", "set the submodule named by `head`")
    if not all(name in before and torch.equal(before[name], tensor) for name, tensor in others.items()):
        raise Fault("retarget() changes other weights than the head's", "change the head only")
    made.set_submodule(task.head, old)
    if not same(before, state(made)):
        raise Fault("with the old head put back it is another network", "change nothing but the head")
    return "the target has a head of its own"
