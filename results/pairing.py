"""Labels of a grid two by two, task by task: the one place where a difference between two methods is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from results.pivot import BoolArray, Grid, IntArray
from results.statistics import (
    ALPHA,
    FloatArray,
    holm,
    probability_better,
    round_significant,
    sign_test,
    signed_rank,
)


@dataclass(frozen=True)
class Pairing:
    """Differences first minus second, signed so that positive means the first is better, one per task that both have.

    ``places`` (tasks,) says which of the grid's families each one is.
    ``differences`` (tasks,) are averaged over common seeds, then over a task's variants and target sizes. Where one
    method failed in more cells of a task than the other, the difference is infinite: the task is lost, whatever the
    other cells say; where both failed in as many, the cells that both finished decide, and without any it is a tie.
    ``seed_differences`` (tasks, seeds) hold the same before seeds are averaged, NaN where a seed lacks a cell; a task
    that a failure decides is left out. ``seeds`` is the smallest number of common seeds in any cell;
    ``unpaired_cells`` have scores of both but no common seed and are left out. ``one_unit`` is False where cells have
    no common unit: then each cell only says who won it, as +1, 0 or -1.
    """

    differences: FloatArray
    places: IntArray
    seed_differences: FloatArray
    seeds: int
    unpaired_cells: int
    one_unit: bool

    @property
    def fewest_seeds(self) -> int:
        """The smallest number of seeds that a task has in all its cells."""
        return int(np.isfinite(self.seed_differences).sum(axis=1).min(initial=np.iinfo(np.int64).max))

    @property
    def wins(self) -> int:
        """Tasks on which the first method is better."""
        return int((self.differences > 0).sum())

    @property
    def losses(self) -> int:
        """Tasks on which the first method is worse."""
        return int((self.differences < 0).sum())

    @property
    def decided_by_failure(self) -> int:
        """Tasks that only a failure decides."""
        return int(np.isinf(self.differences).sum())

    def test(self) -> tuple[float | None, int]:
        """The two-sided p value over tasks and the side it favours: signed ranks, or signs without a common unit."""
        if len(self.differences) == 0:
            return None, 0
        if not self.one_unit:
            return sign_test(self.wins, self.losses), int(np.sign(self.wins - self.losses))
        result = signed_rank(self.differences)
        return result.p_value, result.direction

    def without(self, place: int) -> Pairing:
        """The same without one family. The seeds, chance and cells of the whole stay as they are."""
        kept = self.places != place
        return replace(self, differences=self.differences[kept], places=self.places[kept])


def pair(grid: Grid, scores: FloatArray, one_unit: bool, first: int, second: int) -> Pairing:
    """Pair two labels of a grid, given by their places. Shapes: ``scores`` (cells, seeds, labels)."""
    a, b = (np.ascontiguousarray(scores[:, :, label]) for label in (first, second))
    common = np.isfinite(a) & np.isfinite(b)
    size = np.where(common, np.maximum(np.abs(a), np.abs(b)), 0.0)
    gaps = np.where(common, a - b, 0.0)
    counts = common.sum(axis=1)

    both = grid.covered[:, first] & grid.covered[:, second]
    failed_a, failed_b = both & grid.failed[:, first], both & grid.failed[:, second]
    finished = both & ~failed_a & ~failed_b & (counts > 0)
    means = round_significant(gaps.sum(axis=1) / np.maximum(counts, 1), size.max(axis=1, initial=0.0))
    means = means if one_unit else np.sign(means)

    families, family = grid.family_index()

    def over_cells(values: FloatArray | BoolArray) -> FloatArray:
        return sums_of_tasks(np.asarray(values, np.float64), family, len(families))

    # From here on, cells to tasks.
    cells = over_cells(finished)
    net = over_cells(failed_b.astype(np.float64) - failed_a)
    size_of_task = np.zeros(len(families))
    np.maximum.at(size_of_task, family, size.max(axis=1, initial=0.0) if one_unit else 1.0)
    mean = round_significant(over_cells(np.where(finished, means, 0.0)) / np.maximum(cells, 1), size_of_task)
    differences = np.where(net == 0, mean, np.copysign(np.inf, net))
    compared = (cells > 0) | (over_cells(failed_a | failed_b) > 0)

    whole = over_cells(common & finished[:, None]) == cells[:, None]
    by_seed = over_cells(np.where(finished[:, None], gaps, 0.0)) / np.maximum(cells, 1)[:, None]
    by_seed = round_significant(by_seed, np.broadcast_to(size_of_task[:, None], by_seed.shape))
    by_seed = np.where(whole & (cells > 0)[:, None], by_seed, np.nan)

    return Pairing(
        differences=differences[compared],
        places=np.flatnonzero(compared),
        seed_differences=by_seed[compared & (net == 0) & (cells > 0)],
        seeds=int(counts[finished].min()) if finished.any() else 0,
        unpaired_cells=int((both & ~(finished | failed_a | failed_b)).sum()),
        one_unit=one_unit,
    )


def sums_of_tasks(values: FloatArray, family: IntArray, tasks: int) -> FloatArray:
    """Sums over the cells of each task, always in the same order. Shapes: (cells, ...), (cells,) -> (tasks, ...)."""
    order = np.argsort(family, kind="stable")
    starts = np.searchsorted(family[order], np.arange(tasks))
    return np.add.reduceat(values[order], starts, axis=0) if tasks else np.zeros((0, *values.shape[1:]))


def chance_better(grid: Grid, scores: FloatArray, first: int, second: int) -> float | None:
    """The mean over tasks of the chance that a run of the first label beats a run of the second, over a task's cells.

    None without a cell that both have. Shapes: ``scores`` (cells, seeds, labels).
    """
    a, b = scores[:, :, first], scores[:, :, second]
    both = grid.covered[:, first] & grid.covered[:, second]
    failed_a, failed_b = both & grid.failed[:, first], both & grid.failed[:, second]
    common = np.any(np.isfinite(a) & np.isfinite(b), axis=1)
    judged = failed_a | failed_b | (both & common)
    if not judged.any():
        return None
    chance = probability_better(np.where(failed_a[:, None], -np.inf, a), np.where(failed_b[:, None], -np.inf, b))
    families, family = grid.family_index()
    cells = np.bincount(family[judged], minlength=len(families))
    sums = np.bincount(family[judged], chance[judged], minlength=len(families))
    return float((sums[cells > 0] / cells[cells > 0]).mean())


def pair_all(grid: Grid) -> list[tuple[int, int, Pairing]]:
    """Each two labels of a grid, by their places, in one unit where the grid has one."""
    scores, unit = grid.normalised()
    pairs = combinations(range(len(grid.labels)), 2)
    return [(i, j, pair(grid, scores, unit is not None, i, j)) for i, j in pairs]


def told_apart(pairs: Sequence[tuple[int, int, Pairing]], labels: int) -> BoolArray:
    """Which pairs differ over tasks, Holm-adjusted over the pairs given. Shapes: (labels, labels), symmetric."""
    adjusted = holm([pairing.test()[0] for _, _, pairing in pairs])
    different = np.zeros((labels, labels), bool)
    for (i, j, _), p_holm in zip(pairs, adjusted, strict=True):
        different[i, j] = different[j, i] = p_holm is not None and p_holm < ALPHA
    return different
