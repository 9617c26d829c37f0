"""Performance profiles: which share of runs scores above each threshold. Axis order: tasks, seeds, methods.

Scores are NaN where a run is absent and minus infinity where it failed, which is above no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from results.pivot import Grid
from results.statistics import ALPHA, FloatArray

DRAWS: Final = 500
THRESHOLDS: Final = 101
BATCH: Final = 4_000_000
"""Numbers that the bootstrap holds at once."""


@dataclass(frozen=True)
class Profile:
    """Shares of runs above each threshold, with pointwise 95 % bands over other tasks and seeds.

    Shapes: ``thresholds`` (thresholds,); ``shares``, ``low`` and ``high`` (thresholds, labels). The bands are NaN with
    a single task. ``unit`` is that of the thresholds, ``tasks`` and ``cells`` what is averaged over.
    """

    labels: tuple[str, ...]
    unit: str
    thresholds: FloatArray
    shares: FloatArray
    low: FloatArray
    high: FloatArray
    tasks: int
    cells: int


def performance_profile(scores: FloatArray, thresholds: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """The share of runs that score above each threshold, averaged over tasks; NaN for a method without a run somewhere.

    Shapes: (tasks, seeds, methods), (thresholds,), weights (tasks,) that sum to 1, equal by default -> (thresholds,
    methods).
    Source: Agarwal et al., 2021, arXiv 2108.13264, section 4.2 (run-score distribution).
    """
    weights = np.full(len(scores), 1 / len(scores)) if weights is None else weights
    shares = np.stack([_task_shares(scores[:, :, m], thresholds) for m in range(scores.shape[2])], axis=-1)
    return np.asarray(np.einsum("tcm,t->cm", shares, weights), np.float64)


def _task_shares(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """One method's share of runs above each threshold in each task. Shapes: (tasks, seeds) -> (tasks, thresholds)."""
    bins = len(thresholds) + 1
    present = ~np.isnan(scores)
    order = np.argsort(thresholds, kind="stable")
    below = np.searchsorted(thresholds[order], np.where(present, scores, 0.0))
    place = np.arange(len(scores))[:, None] * bins + below
    counts = np.bincount(place[present], minlength=len(scores) * bins).reshape(len(scores), bins)
    shares = np.empty((len(scores), len(thresholds)))
    with np.errstate(invalid="ignore"):
        shares[:, order] = counts[:, ::-1].cumsum(axis=1)[:, -2::-1] / present.sum(axis=1, keepdims=True)
    return shares


def profile_band(
    scores: FloatArray,
    thresholds: FloatArray,
    rng: np.random.Generator,
    draws: int = DRAWS,
    confidence: float = 1 - ALPHA,
    task_of: npt.NDArray[np.int64] | None = None,
) -> FloatArray:
    """Pointwise band of the profile: the two-level bootstrap, tasks then seeds. NaN with a single task.

    Rivals and the rows of one task share the drawn tasks and seeds; a run that is absent stands for the mean of its
    row. ``task_of`` (rows,) numbers the task of each row from 0 where several rows (sizes, variants) belong to one.

    Shapes: (rows, seeds, methods), (thresholds,) -> (2, thresholds, methods), low and high.
    """
    rows, seeds, methods = scores.shape
    task_of = np.arange(rows) if task_of is None else task_of
    tasks = int(task_of.max(initial=-1)) + 1
    if tasks < 2:
        return np.full((2, len(thresholds), methods), np.nan)
    usable = np.zeros((tasks, seeds), bool)
    np.logical_or.at(usable, task_of, ~np.isnan(scores).all(axis=2))
    number = usable.sum(axis=1)
    drawn = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=draws)
    # A task drawn twice has its seeds drawn twice: both draws together are one draw of twice as many seeds.
    chosen = rng.multinomial(drawn * number, usable / number[:, None]) / (number[:, None] * tasks)
    rows_of_task = np.bincount(task_of, minlength=tasks)
    weights = (chosen / rows_of_task[:, None])[:, task_of].reshape(draws, rows * seeds)
    shares = np.empty((draws, len(thresholds), methods))
    batch = max(1, BATCH // max(1, rows * seeds))
    for m in range(methods):
        present = ~np.isnan(scores[:, :, m])
        means = _task_shares(scores[:, :, m], thresholds)
        for start in range(0, len(thresholds), batch):
            part = slice(start, start + batch)
            above = scores[:, :, m, None] > thresholds[part]
            filled = np.where(present[..., None], above, means[:, None, part])
            shares[:, part, m] = weights @ filled.reshape(rows * seeds, -1)
    tail = (1 - confidence) / 2
    return np.asarray(np.quantile(shares, [tail, 1 - tail], axis=0), np.float64)


def profile(grid: Grid, rng: np.random.Generator, thresholds: FloatArray | None = None) -> Profile | None:
    """The profile of all labels of a grid, over the cells that all of them have; None where there is none, or no common
    unit.

    Variants and target sizes count inside their task; in a failed cell every run counts as failed, as on the
    leaderboard. By default the thresholds span the finite scores evenly.
    """
    grid = grid.select(np.all(grid.covered, axis=1))
    scores, unit = grid.normalised()
    if unit is None or not len(grid.facts):
        return None
    scores = np.where(grid.failed[:, None], -np.inf, scores)
    finite = scores[np.isfinite(scores)]
    if thresholds is None:
        if not len(finite):
            return None
        thresholds = np.linspace(finite.min(), finite.max(), THRESHOLDS)
    families, family = grid.family_index()
    weights = 1 / (np.bincount(family)[family] * len(families))
    low, high = profile_band(scores, thresholds, rng, task_of=family)
    shares = performance_profile(scores, thresholds, weights)
    return Profile(grid.labels, unit, thresholds, shares, low, high, len(families), len(grid.facts))
