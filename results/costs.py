"""What trials cost and what they left of the source, per cell and over tasks. What was not measured is NaN or None."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from results.pivot import Grid
from results.statistics import FloatArray

COSTS: Final = ("trained_parameters", "adapt_seconds", "training_flops", "peak_memory_bytes")
"""The costs that methods are held against."""

SHOWN: Final = (*COSTS, "price")
"""The costs that a board shows; the price only where somebody gave one."""

NEEDS_DEVICE_ALONE: Final = ("adapt_seconds", "peak_memory_bytes")
"""Costs that count only where the trial had its device alone."""


def cost_by_cell(grid: Grid, column: str) -> FloatArray:
    """The mean cost of a done trial, NaN where none was measured. Shapes: (cells, labels).

    Times and memory leave out trials that shared a device.
    """
    usable = grid.row_done
    if column in NEEDS_DEVICE_ALONE:
        shared = pc.fill_null(pc.invert(grid.table["exclusive_device"]), False).to_numpy()
        usable = usable & ~shared[grid.row]
    return grid.mean_of(np.where(usable, _floats(grid, column), np.nan))


def retention_by_cell(grid: Grid) -> FloatArray:
    """The source score after transfer over that before, inverted where lower is better: 1 = all kept; NaN unmeasured.

    Defined for positive scores. Shapes: (cells, labels).
    """
    sign = np.array([fact.sign for fact in grid.facts])[grid.row_cell]
    before, after = _floats(grid, "score_source_before"), _floats(grid, "score_source_after")
    usable = grid.row_done & (before > 0) & (after > 0)
    kept = np.where(sign > 0, after, before) / np.where(usable, np.where(sign > 0, before, after), np.nan)
    return grid.mean_of(kept)


def task_means(grid: Grid, values: FloatArray) -> FloatArray:
    """The mean of what is measured inside each task, NaN without any. Shapes: (cells, labels) -> (tasks, labels)."""
    families, family = grid.family_index()
    measured = np.isfinite(values)
    means = np.full((len(families), values.shape[1]), np.nan)
    for index in range(len(families)):
        inside = measured & (family == index)[:, None]
        counts = inside.sum(axis=0)
        sums = np.where(inside, values, 0.0).sum(axis=0)
        means[index] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def over_tasks(grid: Grid, values: FloatArray) -> list[float | None]:
    """Each label's mean over tasks of its mean inside each task; None if unmeasured. Shapes: (cells, labels)."""
    means = task_means(grid, values)
    columns = (column[np.isfinite(column)] for column in means.T)
    return [float(column.mean()) if len(column) else None for column in columns]


def _floats(grid: Grid, column: str) -> FloatArray:
    """A column of the grid's trials as floats, NaN where it is null. Shapes: (trials,)."""
    values = pc.fill_null(grid.table[column].cast(pa.float64(), safe=False), np.nan)
    return np.asarray(values.to_numpy(), np.float64)[grid.row]
