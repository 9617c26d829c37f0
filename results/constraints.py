"""Limits that a practitioner sets, and which methods keep them on the tasks at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from results.costs import cost_by_cell, retention_by_cell, task_means
from results.pivot import Grid
from results.statistics import FloatArray, mean_of_sample


@dataclass(frozen=True)
class Limits:
    """The most that a method may cost, as columns of rows, and the least share of the source score that must be left.

    ``None`` is no limit.
    """

    peak_memory_bytes: float | None = None
    trained_parameters: float | None = None
    adapt_seconds: float | None = None
    source_retention: float | None = None


WORDS: Final = {
    "peak_memory_bytes": "memory",
    "trained_parameters": "trained parameters",
    "adapt_seconds": "time to adapt",
    "source_retention": "source kept",
}
"""Limits as a reader calls them."""

COSTS: Final = ("peak_memory_bytes", "trained_parameters", "adapt_seconds")


@dataclass(frozen=True)
class Check:
    """One method against one limit.

    ``value`` of a cost is the mean of the task on which it is largest: it fits where every measured task does, which
    are ``tasks_within`` of ``tasks``. ``value`` of the retention is the mean over tasks, with its 95 % t interval; it
    fits where that mean does. ``fits`` is None where nothing was measured. ``sure`` is False where some task was not
    measured, or the interval holds the limit or there is none.
    """

    limit_on: str
    limit: float
    value: float | None
    low: float | None
    high: float | None
    tasks: int
    tasks_within: int
    fits: bool | None
    sure: bool


def checks(grid: Grid, limits: Limits) -> dict[str, tuple[Check, ...]]:
    """Each label of a grid against each limit that is set."""
    families = len(grid.family_index()[0])
    found: dict[str, list[Check]] = {label: [] for label in grid.labels}
    for column in COSTS:
        limit = getattr(limits, column)
        if limit is not None:
            means = task_means(grid, cost_by_cell(grid, column))
            for label, values in zip(grid.labels, means.T, strict=True):
                found[label].append(_cost(column, limit, values[np.isfinite(values)], families))
    if limits.source_retention is not None:
        means = task_means(grid, retention_by_cell(grid))
        for label, values in zip(grid.labels, means.T, strict=True):
            found[label].append(_retention(limits.source_retention, values[np.isfinite(values)], families))
    return {label: tuple(those) for label, those in found.items()}


def _cost(column: str, limit: float, values: FloatArray, families: int) -> Check:
    within, count = int((values <= limit).sum()), len(values)
    return Check(
        limit_on=column,
        limit=limit,
        value=float(values.max()) if count else None,
        low=None,
        high=None,
        tasks=count,
        tasks_within=within,
        fits=within == count if count else None,
        sure=0 < count == families,
    )


def _retention(limit: float, values: FloatArray, families: int) -> Check:
    count, estimate = len(values), mean_of_sample(values)
    mean = float(values.mean()) if count else None
    low, high = estimate.interval() if estimate else (None, None)
    decided = low is not None and high is not None and not low < limit <= high
    return Check(
        limit_on="source_retention",
        limit=limit,
        value=mean,
        low=low,
        high=high,
        tasks=count,
        tasks_within=int((values >= limit).sum()),
        fits=None if mean is None else mean >= limit,
        sure=decided and count == families,
    )
