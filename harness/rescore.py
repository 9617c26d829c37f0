"""Stored predictions are scored again, by the task's own score as it is now or by another function; nothing trains."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from harness.data import Examples
from harness.plan import facts
from harness.predictions import restored
from harness.source import datasets
from harness.task import Task
from results.place import Place
from results.predictions import scan
from results.schema import SCHEMA

Score = Callable[[Tensor, Examples], float]

VALIDATED: Final = tuple(name for name in SCHEMA.names if name.startswith("score_") and name != "score_test")
"""Scores of which no predictions are stored: with another metric they are not known."""


@dataclass(frozen=True)
class Metric:
    """A score with its name and direction; score None: the task's own of each, as it is now."""

    score: Score | None = None
    name: str = ""
    higher_is_better: bool = True
    source: str = "the task's own score"

    def of(self, task: Task) -> tuple[Score, str, bool]:
        """The function, name and direction for one task."""
        if self.score is None:
            return task.score, task.metric, task.higher_is_better
        return self.score, self.name, self.higher_is_better


@dataclass
class Rescored:
    """rows: what the new campaign holds. changed: how many scores are other ones; left_out: rows by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    done: int = 0
    changed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, row: Mapping[str, Any], reason: str) -> None:
        """Note a row that has no new score."""
        self.left_out[reason] += 1
        places = self.places.setdefault(reason, [])
        places.append(f"{row['task']}, {row['label']}, n={row['target_size']}, seed {row['seed']} (key {row['key']})")


def rescore(folder: Place, rows: pa.Table, tasks: Mapping[str, Task | str], metric: Metric) -> Rescored:
    """The final rows of a campaign with new test scores.

    rows: as `results.table.read` gives them; tasks: each task by its id, or why there is none. Rows keep their keys;
    those that are not done stay as they are, in the new metric's name and direction; those without predictions, and
    those whose test data are other ones now, are left out. Tuning rows have no test predictions and stay behind.
    """
    found = Rescored()
    final = rows.filter((pc.field("stage") == "final") & ~pc.field("exploratory"))
    waiting: dict[str, dict[str, Any]] = {}
    for row in final.to_pylist(maps_as_pydicts="lossy"):
        task = tasks.get(row["task"], "the campaign does not say what it is")
        if isinstance(task, str):
            found.leave_out(row, f"task {row['task']!r}: {task}")
        elif row["data_hash"] not in (None, facts(task).data_hash):
            found.leave_out(row, f"task {row['task']!r}: its data have changed since (data_hash)")
        elif row["status"] == "done":
            waiting[row["key"]] = row
        else:
            found.rows.append(_renamed(row, task, metric))
    tried: set[str] = set()
    found.rows += _scored(folder, waiting, tasks, metric, found, tried)
    for row in (row for key, row in waiting.items() if key not in tried):
        kept = (row["extra"] or {}).get("predictions")
        found.leave_out(row, f"no predictions are stored{f' ({kept})' if kept else ''}")
    return found


def _scored(
    folder: Place,
    waiting: Mapping[str, dict[str, Any]],
    tasks: Mapping[str, Any],
    metric: Metric,
    found: Rescored,
    tried: set[str],
) -> Iterator[dict[str, Any]]:
    for predicted in scan(folder, set(waiting)):
        old = waiting[predicted.key]
        task = tasks[old["task"]]
        score, name, _ = metric.of(task)
        examples = {part: tensor.clone() for part, tensor in datasets(task).target_test.items()}
        try:
            value = float(score(restored(predicted), examples))
        except Exception as error:  # noqa: BLE001 - a metric is anybody's code
            shape = "predictions" + str(predicted.values.shape)
            found.leave_out(old, f"task {old['task']!r}: {name}({shape}, examples): {type(error).__name__}: {error}")
            tried.add(predicted.key)
            continue
        row = _renamed(old, task, metric)
        found.done += 1
        if math.isfinite(value):
            row["score_test"] = value
            found.changed += repr(value) != repr(old["score_test"])
        else:
            row |= {"status": "diverged", "reason": f"the test score is {value}"}
        tried.add(predicted.key)
        yield row


def _renamed(old: dict[str, Any], task: Task, metric: Metric) -> dict[str, Any]:
    """The row without scores, in the new metric's name and direction; `extra` says what it was before, and by what."""
    _, name, higher = metric.of(task)
    extra = {key: text for key, text in (old["extra"] or {}).items() if key not in ("anchor_zero", "anchor_one")}
    anchors = task.anchors() if metric.score is None else None
    if anchors is not None:
        extra |= {"anchor_zero": repr(anchors[0]), "anchor_one": repr(anchors[1])}
    extra |= {"rescored_by": metric.source, "metric_before": str(old["metric"])}
    if old["score_test"] is not None:
        extra["score_test_before"] = repr(old["score_test"])
    scores = dict.fromkeys((*VALIDATED, "score_test"))
    return {**old, **scores, "metric": name, "higher_is_better": higher, "extra": extra}
