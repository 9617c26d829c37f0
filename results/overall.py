"""Each label's mean over tasks in one unit, at each target size: what the score curve over tasks shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from results.pivot import BoolArray, Grid
from results.placing import cell_means
from results.statistics import mean_of_sample


@dataclass(frozen=True)
class Overall:
    """A label's mean over tasks at one target size, with its 95 % t interval for other tasks like these."""

    label: str
    target_size: int | None
    unit: str
    mean: float
    low: float | None
    high: float | None
    tasks: int


def over_tasks(grid: Grid) -> list[Overall]:
    """The means of all labels that scored on every task of a size on which all usual labels have a score or a failure.

    Usual labels cover at least half of a size's tasks. A label that failed on one of the tasks has no mean, nor has any
    label where tasks have no common unit or there is only one. Scores are those of `Grid.normalised`, higher better
    with anchors, else in the metric's own direction.
    """
    found = []
    averaged = grid.over_tasks(None)
    for size in sorted(set(averaged.target_sizes), key=lambda size: (size is not None, size or 0)):
        here = averaged.select(np.array([other == size for other in averaged.target_sizes], bool))
        usual = here.covered.mean(axis=0) >= 0.5 if len(here.facts) else np.zeros(len(here.labels), bool)
        complete: BoolArray = np.all(here.covered[:, usual], axis=1)
        dense = here.select(complete, usual) if usual.any() else here
        scores, unit = dense.normalised()
        families, family = dense.family_index()
        if unit is None or len(families) < 2:
            continue
        sign = 1.0 if unit == "normalised" else dense.facts[0].sign
        cells = cell_means(dense, scores)
        means = np.stack([cells[family == index].mean(axis=0) for index in range(len(families))])
        for label, column in zip(dense.labels, means.T, strict=True):
            estimate = mean_of_sample(sign * column) if np.isfinite(column).all() else None
            if estimate is not None:
                low, high = estimate.interval()
                found.append(Overall(label, size, unit, estimate.mean, low, high, len(column)))
    return found
