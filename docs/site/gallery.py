"""The gallery: every built-in method and task, from its class."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import prose
import torch

from harness.data import size
from harness.errors import UserError
from harness.settings import Choice, Distribution, LogUniform
from harness.task import Task
from methods import METHODS
from tasks import TASKS


def methods() -> str:
    """A table of all methods, then each with equation, paper, hyper-parameters and open points."""
    lines = ["| method | version | paper | what it is |", "| --- | --- | --- | --- |"]
    for name, cls in METHODS.items():
        first = prose.markdown(prose.first_sentence(inspect.getdoc(cls) or ""))
        lines.append(f"| [`{name}`](#{name}) | {cls.version} | {cls.paper} | {first} |")
    for name, cls in METHODS.items():
        lines += ["", f"## `{name}` {{ #{name} }}", "", prose.markdown(inspect.getdoc(cls) or ""), ""]
        facts = [f"Version {cls.version}.", f"Paper: {cls.paper}."]
        facts += [f"A control of [`{cls.control_of}`](#{cls.control_of})."] if cls.control_of else []
        facts += ["Trains on source data before it sees the target."] if cls.needs_source_data else []
        facts += [] if cls.pretrained else ["Starts from an untrained network."]
        lines += [
            " ".join(facts),
            "",
            "| hyper-parameter | default | allowed | tuned over |",
            "| --- | --- | --- | --- |",
        ]
        for field in dataclasses.fields(cls):
            space = cls.space.get(field.name)
            tuned = "" if space is None else _space(space)
            lines.append(f"| `{field.name}` | {prose.cell(field.default)} | {allowed(field)} | {tuned} |")
    return "\n".join(lines)


def tasks() -> str:
    """A table of all tasks, then each with data, shapes, metric, sizes, anchors and parameters."""
    lines = ["| task | what transfers | metric | source, pool, test | network |", "| --- | --- | --- | --- | --- |"]
    for name, cls in TASKS.items():
        sizes = _sizes(cls())
        first = prose.markdown(prose.first_sentence(inspect.getdoc(cls) or "")).partition(": ")
        better = "↑" if cls.higher_is_better else "↓"
        shown = "yours | yours"
        if sizes:
            shown = f"{sizes['source']:,}, {sizes['pool']:,}, {sizes['test']:,} | {sizes['weights']:,}"
        transfers = (first[2] or first[0]).removeprefix("what transfers is ")
        lines.append(f"| [`{name}`](#{name}) | {transfers} | {cls.metric} {better} | {shown} |")
    lines += [
        "",
        "Examples of source training, target pool and target test; weights of the network. ↑: higher is better.",
    ]
    for name, cls in TASKS.items():
        task = cls()
        anchors = task.anchors()
        facts = [
            f"Version {cls.version}.",
            f"Metric: {cls.metric}, {'higher' if cls.higher_is_better else 'lower'} is better.",
        ]
        facts += ["No anchors."] if anchors is None else [f"Anchors: 0 is {anchors[0]:g}, 1 is {anchors[1]:g}."]
        facts += ["A negative control: enters no average."] if cls.negative_control else []
        recipe = task.recipe
        facts += [
            f"Batches of {recipe.batch_size}, {recipe.optimizer} at {recipe.learning_rate:g} ({recipe.schedule})."
        ]
        lines += ["", f"## `{name}` {{ #{name} }}", "", prose.markdown(inspect.getdoc(cls) or ""), "", " ".join(facts)]
        fields = dataclasses.fields(cls)
        lines += ["", "| parameter | default | allowed |", "| --- | --- | --- |"] if fields else []
        for field in fields:
            kind = "a path" if field.metadata.get("place") else allowed(field)
            lines.append(f"| `{field.name}` | {prose.cell(field.default)} | {kind} |")
    return "\n".join(lines)


def _sizes(task: Task) -> dict[str, int] | None:
    """Examples of the splits and weights of the network; None where the data are the user's own."""
    try:
        sets = task.datasets()
    except UserError:
        return None
    torch.manual_seed(0)
    weights = sum(parameter.numel() for parameter in task.network().parameters())
    source = 0 if sets.source_train is None else size(sets.source_train)
    return {"source": source, "pool": size(sets.target_pool), "test": size(sets.target_test), "weights": weights}


def allowed(field: Any) -> str:
    """The legal values of a setting."""
    if field.metadata.get("options"):
        return ", ".join(prose.cell(option) for option in field.metadata["options"])
    bounds = (("at least", field.metadata.get("low")), ("at most", field.metadata.get("high")))
    return ", ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)


def _space(space: Distribution) -> str:
    if isinstance(space, Choice):
        return ", ".join(prose.cell(option) for option in space.options)
    return f"{space.low:g} to {space.high:g}{', log-uniform' if isinstance(space, LogUniform) else ''}"
