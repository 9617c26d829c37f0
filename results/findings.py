"""Everything a report is made of: cells, comparisons and boards of one set of rows, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from results.cells import Cell, cells
from results.compare import Comparison, TaskComparison, compare, compare_per_task
from results.display import name
from results.errors import ResultsError
from results.leaderboard import Leaderboard, leaderboard
from results.overall import Overall, over_tasks
from results.pivot import pivot
from results.table import ORDER, final_rows, latest


@dataclass(frozen=True)
class Findings:
    """``rows`` are sorted, one for each trial. ``boards`` begin with the one over all target sizes.

    ``obstacle`` is the sentence that says why nothing is compared with the baseline, or None where something is.
    """

    rows: pa.Table
    baseline: str
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...] = ()
    per_task: tuple[TaskComparison, ...] = ()
    boards: tuple[Leaderboard, ...] = ()
    overall: tuple[Overall, ...] = ()
    obstacle: str | None = None

    @property
    def final(self) -> pa.Table:
        """The rows of final, non-exploratory trials."""
        return final_rows(self.rows)

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


def findings(rows: pa.Table, baseline: str) -> Findings:
    """Judge rows of one or several campaigns. Rows that must not be mixed are counted and listed, never averaged."""
    rows = rows.set_column(rows.column_names.index("label"), "label", pc.coalesce(rows["label"], rows["method"]))
    rows = latest(rows.sort_by([(column, "ascending") for column in ORDER]))
    bare = Findings(rows, baseline, ())
    if not len(bare.final):
        return replace(bare, obstacle="There are no final trials among these rows yet, so nothing is compared.")
    try:
        grid = pivot(rows)
        found = cells(grid.rows)
        boards = [leaderboard(grid), *(leaderboard(grid, size) for size in _averaged_sizes(rows))]
    except ResultsError as error:
        return replace(bare, obstacle=f"Nothing is averaged or compared: {name(error, 600)}.")
    bare = replace(bare, cells=tuple(found), boards=tuple(boards), overall=tuple(over_tasks(grid)))
    if baseline not in bare.labels:
        obstacle = f"The baseline {name(baseline)} has no final rows here, so nothing is compared with it."
    elif len(bare.labels) == 1:
        obstacle = f"There is no other method than {name(baseline)} among these rows, so nothing is compared."
    else:
        return replace(
            bare, comparisons=tuple(compare(grid, baseline)), per_task=tuple(compare_per_task(grid, baseline))
        )
    return replace(bare, obstacle=obstacle)


def _averaged_sizes(rows: pa.Table) -> list[int]:
    """The target sizes of the final rows, sorted, where there are several."""
    sizes = sorted(size for size in pc.unique(final_rows(rows)["target_size"]).to_pylist() if size is not None)
    return sizes if len(sizes) > 1 else []
