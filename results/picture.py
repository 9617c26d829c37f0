"""The main result as one picture, for a README or a talk."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from results import figures, forest, plots
from results.cells import Cell
from results.compare import TaskComparison
from results.display import name
from results.errors import ResultsError
from results.figures import PAPER
from results.findings import findings
from results.forest import Difference
from results.listing import metric_words

MOST_TASKS = 4
WIDTH, HEIGHT = 270, 250
SUFFIXES = (".png", ".svg")


def write_main_figure(rows: pa.Table, path: str | Path, baseline: str = "fine_tuning") -> None:
    """Score against target size, and below it the paired differences at the smallest size, for up to four tasks.

    Raises: ResultsError for another suffix than .png or .svg, or rows that hold no comparison to draw.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ResultsError(
            f"{path}: cannot draw {path.suffix or 'a file without suffix'}; one of {', '.join(SUFFIXES)}"
        )
    found = findings(rows, baseline)
    by_task: dict[str, list[Cell]] = {}
    for cell in found.cells:
        if cell.score:
            by_task.setdefault(cell.task, []).append(cell)
    if found.obstacle or not by_task:
        raise ResultsError(f"nothing to draw: {found.obstacle or 'no final score'}")
    tasks = sorted(by_task)[:MOST_TASKS]
    look = figures.styles(found.labels, baseline, PAPER)
    figure, axes = figures.canvas(WIDTH * len(tasks) + 40, 2 * HEIGHT, PAPER, columns=len(tasks), rows=2)
    figure.patch.set(visible=True, facecolor="white")
    rivals = [label for label in found.labels if label != baseline]
    for column, task in enumerate(tasks):
        upper, lower = axes[column], axes[len(tasks) + column]
        upper.set_title(
            f"{name(task, 30)}\n{metric_words(by_task[task][0])}", loc="left", y=1.09, fontsize=11, parse_math=False
        )
        plots.draw_scores(upper, by_task[task], look, PAPER)
        size = min(cell.target_size or 0 for cell in by_task[task])
        lines = [_difference(found.per_task, task, size, label) for label in rivals]
        forest.draw_forest(lower, lines, look, PAPER, baseline)
        lower.grid(axis="y", visible=False)
        lower.set_title(f"paired difference, n = {size:,}" if size else "paired difference", loc="left", fontsize=11)
        if column:
            lower.yaxis.set_major_formatter(lambda value, position: "")
    figure.legend(
        handles=[figures.legend_line(name(label, 24), style) for label, style in look.items()],
        loc="lower center",
        ncols=min(8, len(look)),
        frameon=False,
        fontsize=10,
    )
    figure.subplots_adjust(0.1 if len(tasks) > 1 else 0.3, 0.17, 0.985, 0.89, wspace=0.22, hspace=0.5)
    staged = path.with_name(f".tmp-{path.name}")
    figures.save(figure, staged)
    staged.replace(path)


def _difference(comparisons: tuple[TaskComparison, ...], task: str, size: int, label: str) -> Difference:
    for c in comparisons:
        if (c.task, c.target_size or 0, c.candidate) == (task, size, label):
            return Difference(label, label, c.mean_difference, c.interval_low, c.interval_high)
    return Difference(label, label, None, None, None)
