"""What one label left behind on one task at one target size: scores, costs and retention, averaged over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from results.statistics import LARGEST, t_quantile
from results.table import ordered

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
    "energy_joules",
    "price",
)
"""Cost columns in the order in which a table shows them."""

NEEDS_DEVICE_ALONE: Final = ("prepare_seconds", "adapt_seconds", "inference_seconds", "peak_memory_bytes")
"""Costs that say little where a trial shared its device."""

_AVERAGED: Final = ("score_test", *(f"score_source_{stage}" for stage in RETENTION), *COSTS)
_LISTED: Final = ("status", "key", "seed", "method", "config", "metric", "higher_is_better", "exclusive_device")

COLUMNS: Final = (*CELL, *_LISTED, *_AVERAGED)
"""What cells are made of."""


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
    if not len(rows):
        return []
    rows = ordered(rows.select(COLUMNS), (*CELL, "seed", "key"))
    done = pc.equal(pc.coalesce(rows["status"], pa.scalar("done")), "done")
    status = pc.coalesce(rows["status"], pa.scalar("not stated"))
    rows = rows.set_column(rows.column_names.index("status"), "status", status)
    starts = _starts(rows)
    codes = pa.array(np.repeat(np.arange(len(starts)), np.diff(starts, append=len(rows))))
    measured = [name for name in _AVERAGED if rows[name].null_count < len(rows)]
    found = {name: _estimates(codes, _finite(rows[name], done)) for name in measured}
    said = {name: _distinct(codes, rows[name], len(starts)) for name in _LISTED if name != "key"}
    places = rows.select(list(CELL)).take(pa.array(starts)).to_pylist()
    keys = rows["key"].to_pylist()
    ends = [*starts[1:].tolist(), len(rows)]
    return [
        Cell(
            task=str(places[i]["task"]),
            target_size=places[i]["target_size"],
            label=str(places[i]["label"]),
            method=next(iter(said["method"][i]), None),
            metric=next(iter(said["metric"][i]), None),
            higher_is_better=next(iter(said["higher_is_better"][i]), None),
            configs=tuple(sorted(said["config"][i])),
            keys=tuple(keys[start:end]),
            seeds=len(said["seed"][i]),
            statuses=dict(sorted(said["status"][i].items())),
            device_alone=set(said["exclusive_device"][i]) == {True},
            estimates={name: estimates[i] for name, estimates in found.items() if i in estimates},
        )
        for i, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True))
    ]


def _starts(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Where each cell begins among rows that are sorted by cell."""
    codes = np.stack([np.asarray(pc.rank(rows[name], tiebreaker="dense"), np.int64) for name in CELL])
    return np.flatnonzero(np.any(np.diff(codes, prepend=-1), axis=0))


def _distinct(codes: pa.Array, column: pa.ChunkedArray, count: int) -> list[dict[Any, int]]:
    """For each cell its values, first come first, with how often each is there; null is none."""
    found: list[dict[Any, int]] = [{} for _ in range(count)]
    kept = pc.is_valid(column)
    table = pa.table({"cell": codes, "value": column}).filter(kept)
    counted = table.group_by(["cell", "value"], use_threads=False).aggregate([([], "count_all")])
    for cell, value, number in zip(
        *(counted[name].to_pylist() for name in ("cell", "value", "count_all")), strict=True
    ):
        found[cell][value] = number
    return found


def _estimates(codes: pa.Array, column: pa.ChunkedArray) -> dict[int, Estimate]:
    """The mean of each cell that has one, with its interval."""
    spread = pc.VarianceOptions(ddof=1)
    kinds = [("value", "mean"), ("value", "stddev", spread), ("value", "count")]
    grouped = pa.table({"cell": codes, "value": column}).group_by("cell", use_threads=False).aggregate(kinds)
    lines = zip(*(grouped[name].to_pylist() for name in ("cell", *(f"value_{kind[1]}" for kind in kinds))), strict=True)
    made = {cell: _estimate(*line) for cell, *line in lines}
    return {cell: estimate for cell, estimate in made.items() if estimate is not None}


def _finite(column: pa.ChunkedArray, done: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as floats, null where the trial is not done or the value is not finite or too large to count."""
    values = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.and_(done, pc.fill_null(pc.less_equal(pc.abs(values), LARGEST), False)), values, None)


def _estimate(mean: float | None, deviation: float | None, count: int) -> Estimate | None:
    if mean is None or not math.isfinite(mean):
        return None
    if deviation is None or count < 2:
        return Estimate(mean, None, None, count)
    half = t_quantile(count - 1) * deviation / math.sqrt(count)
    if not math.isfinite(half):
        return Estimate(mean, None, None, count)
    return Estimate(mean, mean - half, mean + half, count)
