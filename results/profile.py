"""Performance profiles: which share of runs scores above each threshold. Axis order: tasks, seeds, methods.

Scores are NaN where a run is absent and minus infinity where it failed, which is above no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

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
    counts = _bin_counts(scores, thresholds)
    with np.errstate(invalid="ignore"):
        return np.asarray(_above(counts, thresholds) / counts.sum(axis=1, keepdims=True), np.float64)


def _bins(scores: FloatArray, thresholds: FloatArray) -> npt.NDArray[np.int64]:
    """How many thresholds each score is above; any number where it is NaN. Shapes: those of the scores."""
    return np.asarray(np.searchsorted(np.sort(thresholds), scores), np.int64)


def _bin_counts(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Shapes: (rows, seeds) -> (rows, thresholds + 1)."""
    size, present = len(thresholds) + 1, ~np.isnan(scores)
    place = np.arange(len(scores))[:, None] * size + _bins(scores, thresholds)
    return np.bincount(place[present], minlength=len(scores) * size).reshape(len(scores), size).astype(np.float64)


def _above(bins: FloatArray, thresholds: FloatArray) -> FloatArray:
    """What lies above each threshold, in their given order. Shapes: (..., thresholds + 1) -> (..., thresholds)."""
    found = np.empty((*bins.shape[:-1], len(thresholds)))
    found[..., np.argsort(thresholds, kind="stable")] = bins[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    return found


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
    share_of_row = 1 / (np.bincount(task_of) * tasks)[task_of]
    parts = [_binned(scores[:, :, m], thresholds, task_of, share_of_row) for m in range(methods)]
    shares = np.empty((draws, len(thresholds), methods))
    batch = max(1, BATCH // (tasks * seeds))
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        # A task drawn twice has its seeds drawn twice: both draws together are one draw of twice as many seeds.
        drawn = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=size)
        chosen = rng.multinomial(drawn * number, usable / number[:, None]) / number[:, None]
        columns = chosen.reshape(size, -1).T
        for m, (seen, absent, means) in enumerate(parts):
            bins = seen @ columns + means.T @ (absent @ columns)
            shares[start : start + size, :, m] = np.clip(_above(bins.T, thresholds), 0, 1)
    tail = (1 - confidence) / 2
    return np.asarray(np.quantile(shares, [tail, 1 - tail], axis=0), np.float64)


def _binned(
    scores: FloatArray, thresholds: FloatArray, task_of: npt.NDArray[np.int64], share_of_row: FloatArray
) -> tuple[Any, Any, FloatArray]:
    """What drawing a seed of a task once adds between thresholds: by its runs, and by those absent in each row.

    Shapes: sparse (bins, tasks x seeds), sparse (rows, tasks x seeds), and each row's shares in bins (rows, bins).
    """
    rows, seeds = scores.shape
    columns = (int(task_of.max()) + 1) * seeds
    place, share = task_of[:, None] * seeds + np.arange(seeds), np.repeat(share_of_row[:, None], seeds, axis=1)
    present = ~np.isnan(scores)
    below = _bins(scores, thresholds)
    counts = _bin_counts(scores, thresholds)
    means = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    seen = sparse.coo_array((share[present], (below[present], place[present])), (counts.shape[1], columns))
    row = np.nonzero(~present)[0]
    absent = sparse.coo_array((share[~present], (row, place[~present])), (rows, columns))
    return seen.tocsr(), absent.tocsr(), means


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
