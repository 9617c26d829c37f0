"""Everything a report is made of: cells, comparisons and boards of one set of rows, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from results.bayesian import Belief, beliefs
from results.cells import COLUMNS, Cell, cells
from results.compare import Comparison, TaskComparison, compare, compare_per_task
from results.dense import dense
from results.design import Design, designs
from results.display import name
from results.errors import ResultsError
from results.leaderboard import Leaderboard, leaderboard
from results.overall import Overall, over_tasks
from results.pivot import Grid, pivot
from results.profile import Profile, profile
from results.sensitivity import Sensitivity, sensitivity
from results.statistics import FloatArray
from results.table import confirmatory, final_rows, latest, ordered
from results.tuning_curve import TuningCurve, tuning_curves
from results.winning import Wins, wins

FINAL = (
    *("stage", "exploratory", "target_size", "seed", "status", "score_test"),
    *("tuning_configs", "tuning_seeds", "dirty"),
)
"""The columns that are looked at over all final rows."""

EQUIVALENT = 0.05
"""What counts as practically equivalent in the Bayesian display, in normalised score; other units have none."""
BELIEF_DRAWS = 5000
"""Draws of that display: probabilities to within a hundredth."""

A_TENTH = 0.1
"""The difference, in normalised score, for which a report says what would be needed to see it."""


@dataclass(frozen=True)
class Findings:
    """``rows`` are sorted, one for each trial. ``boards`` begin with the one over all target sizes, as do ``overall``'s
    means over tasks; ``profile``, ``wins`` and ``steadiness`` are over all sizes. ``designs`` and ``beliefs`` are those
    against the baseline.

    ``obstacle`` is the sentence that says why nothing is compared with the baseline, or None where something is;
    ``tuning_obstacle`` the same of the tuning curves.
    """

    rows: pa.Table
    baseline: str
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...] = ()
    per_task: tuple[TaskComparison, ...] = ()
    boards: tuple[Leaderboard, ...] = ()
    overall: tuple[Overall, ...] = ()
    profile: Profile | None = None
    wins: Wins | None = None
    steadiness: Sensitivity | None = None
    designs: tuple[Design, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    tuning: tuple[TuningCurve, ...] = ()
    obstacle: str | None = None
    tuning_obstacle: str | None = None

    @property
    def final(self) -> pa.Table:
        """What the rows of final, non-exploratory trials say in the columns ``FINAL``."""
        return final_rows(self.rows.select(list(FINAL)))

    @property
    def labels(self) -> list[str]:
        """The labels with final rows, sorted."""
        return sorted({cell.label for cell in self.cells})

    @property
    def sizes(self) -> list[int]:
        """The target sizes with final rows, sorted."""
        return sorted({cell.target_size for cell in self.cells if cell.target_size is not None})

    def headline(self) -> list[Comparison]:
        """The comparisons over all target sizes that speak about other tasks like these, best mean rank first."""
        place = {standing.method: index for index, standing in enumerate(self.boards[0].methods)} if self.boards else {}
        found = [c for c in self.comparisons if c.target_size is None and c.question == "population"]
        return sorted(found, key=lambda c: place[c.candidate])


def findings(rows: pa.Table, baseline: str, refusal: str | None = None) -> Findings:
    """Judge rows of one or several campaigns. Rows that must not be mixed are counted and listed, never averaged.
    Those of explorations are left out altogether.

    ``refusal``: why these rows must not be mixed, where that is known beforehand.
    """
    rows = confirmatory(rows)
    rows = rows.set_column(rows.column_names.index("label"), "label", pc.coalesce(rows["label"], rows["method"]))
    rows = latest(ordered(rows))
    bare = Findings(rows, baseline, ())
    if not len(bare.final):
        return replace(bare, obstacle="There are no final trials among these rows yet, so nothing is compared.")
    if refusal is not None:
        return replace(bare, obstacle=f"Nothing is averaged or compared: {name(refusal, 2000)}.")
    try:
        grid = pivot(rows)
        found = cells(grid.rows(COLUMNS))
        boards = [leaderboard(grid), *(leaderboard(grid, size) for size in _averaged_sizes(rows))]
    except ResultsError as error:
        return replace(bare, obstacle=f"Nothing is averaged or compared: {name(error, 600)}.")
    bare = replace(_over_tasks(bare, grid), cells=tuple(found), boards=tuple(boards), overall=tuple(over_tasks(grid)))
    if baseline not in bare.labels:
        obstacle = f"The baseline {name(baseline)} has no final rows here, so nothing is compared with it."
    elif len(bare.labels) == 1:
        obstacle = f"There is no other method than {name(baseline)} among these rows, so nothing is compared."
    else:
        unit = boards[0].unit
        return replace(
            bare,
            comparisons=tuple(compare(grid, baseline)),
            per_task=tuple(compare_per_task(grid, baseline)),
            designs=tuple(designs(grid, baseline, A_TENTH if unit == "normalised" else None)),
            beliefs=tuple(beliefs(grid, baseline, EQUIVALENT if unit == "normalised" else 0.0, BELIEF_DRAWS)),
        )
    return replace(bare, obstacle=obstacle)


def _over_tasks(bare: Findings, grid: Grid) -> Findings:
    """With what is said of all methods together over all sizes, and the tuning curves."""
    board = dense(grid)
    steadiness = sensitivity(grid)
    try:
        tuning, obstacle = tuple(tuning_curves(bare.rows)), None
    except ResultsError as error:
        tuning, obstacle = (), name(error, 600)
    return replace(
        bare,
        profile=profile(board.ranked, np.random.default_rng(0), _thresholds(board.ranked)),
        wins=wins(board, [steady.method for steady in steadiness.methods]),
        steadiness=steadiness,
        tuning=tuning,
        tuning_obstacle=obstacle,
    )


def _thresholds(grid: Grid) -> FloatArray | None:
    """Thresholds of the profile: from the score that nineteen of twenty runs reach to the best; None without scores."""
    scores = grid.normalised()[0]
    finite = scores[np.isfinite(scores)]
    return np.linspace(np.quantile(finite, 0.05), finite.max(), 61) if len(finite) else None


def _averaged_sizes(rows: pa.Table) -> list[int]:
    """The target sizes of the final rows, sorted, where there are several."""
    sizes = sorted(
        size
        for size in pc.unique(
            final_rows(rows.select(["stage", "exploratory", "target_size"]))["target_size"]
        ).to_pylist()
        if size is not None
    )
    return sizes if len(sizes) > 1 else []
