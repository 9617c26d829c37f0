"""What the rows of each task agree on: direction, metric, family, anchors; and refusal where they do not agree."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError

ONE_PER_TASK: Final = ("task_version", "data_hash", "budget_steps", "metric", "higher_is_better")
"""What rows of one task must agree on, where they state it, to be compared."""

FACTS: Final = ("protocol", "task", *ONE_PER_TASK, "extra")
"""The columns that facts are read from."""

_EXTRA: Final = ("anchor_zero", "anchor_one", "task_family", "role")


@dataclass(frozen=True)
class TaskFacts:
    """What all rows of one task say. ``None`` means that no row says it.

    ``family`` is the task itself, or, where the task's extra map has an anchor or a family, the text before ``(`` in
    its id: variants of one task are one task wherever tasks are averaged.
    """

    task: str
    family: str
    metric: str | None
    higher_is_better: bool | None
    zero: float | None
    one: float | None
    control: bool

    @property
    def sign(self) -> float:
        """What makes a higher score better."""
        return -1.0 if self.higher_is_better is False else 1.0

    @property
    def anchored(self) -> bool:
        """Whether both anchors are given."""
        return self.zero is not None and self.one is not None

    @property
    def averaged(self) -> bool:
        """Whether the task may enter averages over tasks: no negative control, and anchors, if any, told apart."""
        return not self.control and (self.zero is None or self.one is None or self.sign * (self.one - self.zero) > 0)


def task_facts(rows: pa.Table) -> dict[str, TaskFacts]:
    """The facts of each task, from the distinct combinations of what its rows say.

    Raises: ResultsError if rows were made under different protocols, or do not agree on something in ``ONE_PER_TASK``.
    """
    columns = {name: rows[name] for name in ("protocol", "task", *ONE_PER_TASK)}
    columns |= {name: pc.map_lookup(rows["extra"], pa.scalar(name), "first") for name in _EXTRA}
    said: dict[str, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    protocols = set()
    for combination in pa.table(columns).group_by(list(columns)).aggregate([]).to_pylist():
        protocols.add(combination.pop("protocol"))
        for name, value in combination.items():
            said[combination["task"]][name] |= set() if value is None else {value}
    if len(protocols) > 1:
        raise ResultsError(f"rows of different protocols {sorted(protocols)} cannot be compared; read them apart")
    return {task: _task_facts(task, said[task]) for task in sorted(said)}


def _task_facts(task: str, said: dict[str, set[Any]]) -> TaskFacts:
    for end in ("anchor_zero", "anchor_one"):
        said[end] = {_anchor(task, end, text) for text in said[end]}
    for name in (*ONE_PER_TASK, "anchor_zero", "anchor_one"):
        if len(said[name]) > 1:
            given = ", ".join(repr(value) for value in sorted(said[name]))
            raise ResultsError(f"task {task!r}: rows of different {name} ({given}) cannot be compared; read them apart")
    only = {name: next(iter(values), None) for name, values in said.items()}
    in_family = only["anchor_zero"] is not None or only["task_family"] is not None
    return TaskFacts(
        task=task,
        family=task.split("(")[0] if in_family else task,
        metric=only["metric"],
        higher_is_better=only["higher_is_better"],
        zero=only["anchor_zero"],
        one=only["anchor_one"],
        control="negative_control" in said["role"],
    )


def _anchor(task: str, end: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ResultsError(f"task {task!r}: {end} {text!r}: expected a finite decimal number")
    return value
