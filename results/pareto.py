"""Which methods are worth their cost: those that no method at most as costly is better than, told apart or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.costs import COSTS, cost_by_cell, task_means
from results.dense import Dense
from results.pivot import BoolArray
from results.placing import Placing

GROUPS = ("front", "open", "behind")


@dataclass(frozen=True)
class Worth:
    """One method's place between cost and rank.

    ``group``: "front", where no method that costs at most as much has a better mean rank; "behind", where one that
    costs at most as much is told apart as better; "open", where the means say so but these rows do not tell them apart;
    None where the cost was not measured. ``better`` names the methods told apart, ``ahead`` those that only the means
    put before it, each at most as costly. ``rank_low`` to ``rank_high`` is the board's interval.
    """

    method: str
    cost: float | None
    mean_rank: float
    rank_low: float | None
    rank_high: float | None
    group: str | None
    better: tuple[str, ...]
    ahead: tuple[str, ...]


@dataclass(frozen=True)
class Front:
    """Rank against one cost (a column's name), cheapest method first and unmeasured ones last.

    A cost is the mean over ``tasks`` tasks of the ``cells`` of the board on which every listed cost was measured, so
    that all are of the same work. Times and memory are those of trials that had their device alone.
    """

    cost: str
    tasks: int
    cells: int
    methods: tuple[Worth, ...]


def fronts(board: Dense, places: Sequence[Placing], apart: BoolArray) -> tuple[Front, ...]:
    """The fronts against each of ``costs.COSTS`` that was measured for a ranked method.

    Shapes: ``places`` (ranked labels,), ``apart`` (ranked labels, ranked labels): the pair is told apart.
    """
    found = (_front(board, places, apart, column) for column in COSTS)
    return tuple(front for front in found if any(worth.cost is not None for worth in front.methods))


def _front(board: Dense, places: Sequence[Placing], apart: BoolArray, column: str) -> Front:
    grid = board.ranked
    costs = cost_by_cell(grid, column)
    measured = np.isfinite(costs)
    known = measured.any(axis=0)
    common: BoolArray = np.all(measured[:, known], axis=1)
    common &= bool(known.any())
    here = grid.select(common)
    means = task_means(here, costs[common])
    cost = np.where(known, means.mean(axis=0), np.nan) if common.any() else np.full(len(grid.labels), np.nan)
    rank = np.array([place.mean_rank for place in places], np.float64)
    with np.errstate(invalid="ignore"):
        cheap = (cost[:, None] <= cost) & ~np.eye(len(cost), dtype=bool)
        higher = rank[:, None] < rank
        level = (rank[:, None] == rank) & (cost[:, None] < cost)
    worths = []
    for i, (label, place) in enumerate(zip(grid.labels, places, strict=True)):
        better = cheap[:, i] & higher[:, i] & apart[:, i]
        ahead = cheap[:, i] & (higher[:, i] | level[:, i]) & ~better
        group = "behind" if better.any() else "open" if ahead.any() else "front"
        is_known = bool(np.isfinite(cost[i]))
        worths.append(
            Worth(
                method=label,
                cost=float(cost[i]) if is_known else None,
                mean_rank=float(rank[i]),
                rank_low=place.rank_low,
                rank_high=place.rank_high,
                group=group if is_known else None,
                better=tuple(np.array(grid.labels)[better].tolist()),
                ahead=tuple(np.array(grid.labels)[ahead].tolist()),
            )
        )
    worths.sort(key=lambda worth: (worth.cost is None, worth.cost or 0.0, worth.mean_rank, worth.method))
    return Front(column, len(here.family_index()[0]), int(common.sum()), tuple(worths))
