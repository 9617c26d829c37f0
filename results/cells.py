"""What one label left behind on one task at one target size: scores, costs and retention, averaged over seeds."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from results.statistics import t_quantile

CELL: Final = ("task", "target_size", "label")

RETENTION: Final = ("before", "prepared", "after", "recovered")

COSTS: Final = (
    "trained_parameters",
    "total_parameters",
    "target_steps",
    "search_steps",
    "source_steps",
    "prepare_seconds",
    "adapt_seconds",
    "inference_seconds",
    "peak_memory_bytes",
    "artifact_bytes",
    "training_flops",
)
"""Cost columns in the order in which a table shows them."""

NEEDS_DEVICE_ALONE: Final = ("prepare_seconds", "adapt_seconds", "inference_seconds", "peak_memory_bytes")
"""Costs that say little where a trial shared its device."""

_AVERAGED: Final = ("score_test", *(f"score_source_{stage}" for stage in RETENTION), *COSTS)
_LISTED: Final = ("status", "key", "seed", "method", "config", "metric", "higher_is_better", "exclusive_device")


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % t interval; fewer than two seeds have no interval."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Cell:
    """One (task, target size, label). ``None`` means not measured or not defined, never 0."""

    task: str
    target_size: int | None
    label: str
    method: str | None
    metric: str | None
    higher_is_better: bool | None
    configs: tuple[str, ...]
    keys: tuple[str, ...]
    seeds: int
    statuses: dict[str, int]
    device_alone: bool
    estimates: dict[str, Estimate]

    @property
    def score(self) -> Estimate | None:
        """The test score over the seeds that are done and finite, in native units."""
        return self.estimates.get("score_test")

    @property
    def retention(self) -> dict[str, Estimate]:
        """The source score by stage, where it was measured, in the order of the stages."""
        found = {stage: self.estimates.get(f"score_source_{stage}") for stage in RETENTION}
        return {stage: estimate for stage, estimate in found.items() if estimate is not None}

    def cost(self, column: str) -> float | None:
        """The mean cost of a done trial."""
        estimate = self.estimates.get(column)
        return None if estimate is None else estimate.mean


def cells(rows: pa.Table) -> list[Cell]:
    """The cells of the given rows, sorted by task, target size and label.

    Scores and costs are those of rows that are done, or do not say, where finite; ``statuses`` counts all rows.
    """
    done = pc.equal(pc.coalesce(rows["status"], pa.scalar("done")), "done")
    wanted = {name: rows[name] for name in (*CELL, *_LISTED)}
    wanted["status"] = pc.coalesce(rows["status"], pa.scalar("not stated"))
    wanted |= {name: _finite(rows[name], done) for name in _AVERAGED}
    ordered = pa.table(wanted).sort_by([(name, "ascending") for name in (*CELL, "seed", "key")])
    spread = pc.VarianceOptions(ddof=1)
    grouped = ordered.group_by(list(CELL), use_threads=False).aggregate(
        [(name, "list") for name in _LISTED]
        + [(name, kind) for name in _AVERAGED for kind in ("mean", "count")]
        + [(name, "stddev", spread) for name in _AVERAGED]
    )
    return [_cell(group) for group in grouped.to_pylist()]


def _finite(column: pa.ChunkedArray, done: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as floats, null where the trial is not done or the value is not finite."""
    values = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.and_(done, pc.fill_null(pc.is_finite(values), False)), values, None)


def _cell(group: dict[str, Any]) -> Cell:
    lists = {name: [value for value in group[f"{name}_list"] if value is not None] for name in _LISTED}
    found = {name: _estimate(*(group[f"{name}_{kind}"] for kind in ("mean", "stddev", "count"))) for name in _AVERAGED}
    return Cell(
        task=str(group["task"]),
        target_size=group["target_size"],
        label=str(group["label"]),
        method=next(iter(lists["method"]), None),
        metric=next(iter(lists["metric"]), None),
        higher_is_better=next(iter(lists["higher_is_better"]), None),
        configs=tuple(sorted(set(lists["config"]))),
        keys=tuple(lists["key"]),
        seeds=len(set(lists["seed"])),
        statuses=dict(sorted(Counter(lists["status"]).items())),
        device_alone=bool(lists["exclusive_device"]) and all(lists["exclusive_device"]),
        estimates={name: estimate for name, estimate in found.items() if estimate is not None},
    )


def _estimate(mean: float | None, deviation: float | None, count: int) -> Estimate | None:
    if mean is None or not math.isfinite(mean):
        return None
    if deviation is None or count < 2:
        return Estimate(mean, None, None, count)
    half = t_quantile(count - 1) * deviation / math.sqrt(count)
    if not math.isfinite(half):
        return Estimate(mean, None, None, count)
    return Estimate(mean, mean - half, mean + half, count)
