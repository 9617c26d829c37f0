"""Where each label of a grid stands among the others: every number that depends on who else is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from results.pivot import BoolArray, Grid
from results.ranking import (
    Friedman,
    compact_letters,
    elo,
    friedman,
    interquartile_mean,
    interquartile_means,
    mean_ranks,
    ranks,
    resampled_means,
    win_matrix,
    win_rates,
)
from results.statistics import ALPHA, FloatArray, round_significant

DRAWS: Final = 1000
BATCH: Final = 2_000_000
"""Scores that the bootstrap holds at once."""
PRIOR_TIES: Final = 1.0
"""Tied games that Elo adds to each pair of methods, so that a method that always wins has a finite rating."""


@dataclass(frozen=True)
class Placing:
    """One label's place. Intervals are 95 %; they and the IQM are None where they are not defined."""

    mean_rank: float | None = None
    rank_low: float | None = None
    rank_high: float | None = None
    tie_group: str | None = None
    win_rate: float | None = None
    iqm: float | None = None
    iqm_low: float | None = None
    iqm_high: float | None = None
    elo: float | None = None
    elo_low: float | None = None
    elo_high: float | None = None


def placings(grid: Grid, apart: BoolArray) -> tuple[list[Placing], Friedman | None]:
    """The place of each label, and Friedman's test. Every label must cover every cell, and there must be two or more.

    ``apart`` (labels, labels) says which pairs are told apart.

    Labels are ranked inside each cell by their mean over seeds, failed ones last; ranks and wins are averaged inside a
    task, then over tasks. Friedman's test ranks those task means again. Intervals: two-level bootstrap, tasks then
    seeds; a task takes all its cells with it, and rivals share the drawn seeds.
    """
    scores = cell_means(grid, grid.scores)
    families, _ = grid.family_index()
    weights = task_weights(grid)
    wins = win_matrix(scores, weights)
    rank = round_significant(mean_ranks(scores, weights))
    rate, rating = round_significant(win_rates(wins)), elo(wins * len(families), PRIOR_TIES)
    ranges = rating_ranges = middle_ranges = np.full((2, len(grid.labels)), np.nan)
    if len(families) > 1:
        resampled, middles = _resampled(grid)
        middle_ranges = _range_of_finite(middles)
        ranges = np.quantile(len(grid.labels) - resampled.sum(axis=-1), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
        rating_ranges = np.quantile(elo(resampled * len(families), PRIOR_TIES), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    letters = compact_letters(apart, [int(i) for i in np.argsort(rank, kind="stable")])
    found = [
        Placing(
            mean_rank=float(rank[i]),
            rank_low=_number(ranges[0, i]),
            rank_high=_number(ranges[1, i]),
            tie_group=letters[i],
            win_rate=float(rate[i]),
            iqm=middle,
            iqm_low=_number(middle_ranges[0, i]),
            iqm_high=_number(middle_ranges[1, i]),
            elo=float(rating[i]),
            elo_low=_number(rating_ranges[0, i]),
            elo_high=_number(rating_ranges[1, i]),
        )
        for i, middle in enumerate(_interquartile_means(grid))
    ]
    return found, friedman(-_task_means(grid, ranks(scores)))


def task_weights(grid: Grid) -> FloatArray:
    """The weight of each cell where every task weighs the same and its cells share that. Shapes: (cells,)."""
    families, family = grid.family_index()
    return np.asarray(1 / (np.bincount(family)[family] * len(families)), np.float64)


def cell_means(grid: Grid, scores: FloatArray) -> FloatArray:
    """Means over seeds, minus infinity where the cell failed. Shapes: (cells, seeds, labels) -> (cells, labels)."""
    present = np.isfinite(scores)
    means = np.where(present, scores, 0.0).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return np.where(grid.failed, -np.inf, means)


def _task_means(grid: Grid, values: FloatArray) -> FloatArray:
    """Means over the cells of each task. Shapes: (cells, labels) -> (tasks, labels)."""
    families, family = grid.family_index()
    return np.stack([values[family == index].mean(axis=0) for index in range(len(families))])


def _interquartile_means(grid: Grid) -> list[float | None]:
    """Each label's IQM of normalised task means; None without anchors or where failures reach the middle half."""
    scores, unit = grid.normalised()
    if unit != "normalised":
        return [None] * len(grid.labels)
    return [_number(interquartile_mean(column)) for column in _task_means(grid, cell_means(grid, scores)).T]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _range_of_finite(values: FloatArray) -> FloatArray:
    """The 95 % interval of each column, NaN where a value is not finite. Shapes: (draws, labels) -> (2, labels)."""
    finite = np.isfinite(values).all(axis=0)
    limits = np.quantile(np.where(finite, values, 0.0), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return np.where(finite, limits, np.nan)


def _resampled(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Win matrices and IQMs of resampled tasks and seeds, IQMs NaN without anchors.

    Shapes: (draws, labels, labels), (draws, labels).
    """
    families, family = grid.family_index()
    slot = np.array([int((family[:cell] == family[cell]).sum()) for cell in range(len(family))])
    shape = len(families), int(slot.max()) + 1, len(grid.labels)
    scores = np.full((shape[0], len(grid.seeds), shape[1], shape[2]), np.nan)
    scores[family, :, slot] = grid.scores
    failed, real = np.zeros(shape, bool), np.zeros(shape[:2], bool)
    failed[family, slot], real[family, slot] = grid.failed, True
    share = real / real.sum(axis=1, keepdims=True)
    anchored = all(fact.anchored for fact in grid.facts)
    zero, one = np.zeros((*shape[:2], 1)), np.ones((*shape[:2], 1))
    for place, end in ((zero, "zero"), (one, "one")):
        if anchored:
            place[family, slot, 0] = [getattr(fact, end) * fact.sign for fact in grid.facts]
    batch = max(1, BATCH // failed.size)
    rng, wins, middles = np.random.default_rng(0), [], []
    for start in range(0, DRAWS, batch):
        means, drawn = resampled_means(scores, min(batch, DRAWS - start), rng)
        means = np.where(failed[drawn], -np.inf, np.where(real[drawn][..., None], means, 0.0))
        flat = len(means), shape[0] * shape[1]
        wins.append(win_matrix(means.reshape(*flat, shape[2]), (share / len(families))[drawn].reshape(flat)))
        if anchored:
            normalised = (means - zero[drawn]) / (one - zero)[drawn]
            middles.append(interquartile_means((normalised * share[drawn][..., None]).sum(axis=2)))
    return np.concatenate(wins), np.concatenate(middles) if anchored else np.full((DRAWS, shape[2]), np.nan)
