"""The dense sub-grid that methods are ranked on, and what each label covers of the whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from results.errors import ResultsError
from results.pivot import BoolArray, Grid, as_grid
from results.statistics import FloatArray


@dataclass(frozen=True)
class Dense:
    """``whole``: every cell that may enter averages, all labels. ``board``: the cells that every ranked label has, all
    labels. ``ranked``: the same cells, ranked labels only, in the same order.

    Shapes: ``has`` (cells of whole, labels): the cell is not missing; ``coverage`` (labels,), the share of those cells.
    """

    whole: Grid
    board: Grid
    ranked: Grid
    has: BoolArray
    coverage: FloatArray


def dense(rows: pa.Table | Grid, target_size: int | None = None, leave_out_failures: bool = False) -> Dense:
    """The sub-grid at one target size or, with None, over all; a label with fewer than half of all cells is not ranked.

    A failed cell counts as there or, with ``leave_out_failures``, as missing. Raises: ResultsError for a target size
    that the rows do not have, or rows that cannot be compared.
    """
    grid = as_grid(rows)
    sizes = sorted({size for size in grid.target_sizes if size is not None})
    if target_size is not None and target_size not in sizes:
        raise ResultsError(f"target size {target_size!r} has no final rows; expected one of {sizes}")
    whole = grid.over_tasks(target_size)
    has = whole.covered & ~whole.failed if leave_out_failures else whole.covered
    coverage = has.mean(axis=0) if len(whole.facts) else np.zeros(len(whole.labels))
    is_ranked = coverage >= 0.5
    everywhere: BoolArray = np.all(has[:, is_ranked], axis=1)
    board = whole.select(everywhere & bool(is_ranked.any()))
    ranked = board.select(np.ones(len(board.facts), bool), is_ranked)
    return Dense(whole, board, ranked, has, coverage)
