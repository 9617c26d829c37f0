"""Who beats whom: the share of tasks on which each method scores above each other."""

from __future__ import annotations

from dataclasses import dataclass

from results.dense import Dense
from results.placing import cell_means, task_weights
from results.ranking import win_matrix


@dataclass(frozen=True)
class Wins:
    """``shares[i][j]`` is the share of tasks on which ``labels[i]`` beats ``labels[j]``, ties half, failures lost.

    Variants and target sizes share their task's weight. ``tasks`` is what the shares are of.
    """

    labels: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]
    tasks: int


def wins(board: Dense, order: list[str]) -> Wins | None:
    """The wins of the board's ranked methods, in this order of labels; None with fewer than two or without a task."""
    grid = board.ranked
    if len(grid.labels) < 2 or not grid.facts:
        return None
    shares = win_matrix(cell_means(grid, grid.scores), task_weights(grid))
    places = [grid.labels.index(label) for label in order if label in grid.labels]
    table = tuple(tuple(float(shares[i, j]) for j in places) for i in places)
    return Wins(tuple(grid.labels[i] for i in places), table, len(grid.family_index()[0]))
