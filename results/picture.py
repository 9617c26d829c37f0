"""The main result as one picture, for a README or a talk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from results import figures, forest, plots
from results.cells import Cell
from results.compare import TaskComparison
from results.display import name
from results.errors import ResultsError
from results.figures import PAPER, Style
from results.findings import Findings, findings
from results.forest import Difference
from results.listing import metric_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TASKS = 4
WIDTH, HEIGHT = 270, 250
SUFFIXES = (".png", ".svg")


def write_main_figure(rows: pa.Table, path: str | Path, baseline: str = "fine_tuning") -> None:
    """Of up to four tasks: score against target size, below it the paired differences at the smallest. Of more: the
    mean differences over tasks, a column for each target size.

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
    look = figures.styles(found.labels, baseline, PAPER)
    figure = _of_tasks(found, by_task, look) if len(by_task) <= MOST_TASKS else _over_tasks(found, look)
    figure.patch.set(visible=True, facecolor="white")
    staged = path.with_name(f".tmp-{path.name}")
    figures.save(figure, staged)
    staged.replace(path)


def _of_tasks(found: Findings, by_task: dict[str, list[Cell]], look: dict[str, Style]) -> Figure:
    tasks = sorted(by_task)
    figure, axes = figures.canvas(WIDTH * len(tasks) + 40, 2 * HEIGHT, PAPER, columns=len(tasks), rows=2)
    rivals = [label for label in found.labels if label != found.baseline]
    for column, task in enumerate(tasks):
        upper, lower = axes[column], axes[len(tasks) + column]
        upper.set_title(
            f"{name(task, 30)}\n{metric_words(by_task[task][0])}", loc="left", y=1.09, fontsize=11, parse_math=False
        )
        plots.draw_scores(upper, by_task[task], look, PAPER)
        size = min(cell.target_size or 0 for cell in by_task[task])
        lines = [_difference(found.per_task, task, size, label) for label in rivals]
        forest.draw_forest(lower, lines, look, PAPER, found.baseline)
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
    return figure


def _over_tasks(found: Findings, look: dict[str, Style]) -> Figure:
    """The headline's question, other tasks like these, at each target size."""
    sizes: list[int | None] = [*found.sizes] or [None]
    rivals = [c.candidate for c in found.headline()]
    height = 26 * len(rivals) + 110
    figure, axes = figures.canvas(WIDTH * len(sizes) + 130, height, PAPER, columns=len(sizes), rows=1)
    asked = {(c.candidate, c.target_size): c for c in found.comparisons if c.question == "population"}
    for column, (size, plot) in enumerate(zip(sizes, axes, strict=True)):
        these = [asked[label, size] for label in rivals]
        lines = [
            Difference(c.candidate, c.candidate, c.mean_difference, c.interval_low, c.interval_high) for c in these
        ]
        forest.draw_forest(plot, lines, look, PAPER, found.baseline)
        plot.grid(axis="y", visible=False)
        plot.set_title("all sizes" if size is None else f"n = {size:,}", loc="left", fontsize=11)
        if column:
            plot.yaxis.set_major_formatter(lambda value, position: "")
    figure.subplots_adjust(170 / (WIDTH * len(sizes) + 130), 55 / height, 0.985, 1 - 30 / height, wspace=0.1)
    return figure


def _difference(comparisons: tuple[TaskComparison, ...], task: str, size: int, label: str) -> Difference:
    for c in comparisons:
        if (c.task, c.target_size or 0, c.candidate) == (task, size, label):
            return Difference(label, label, c.mean_difference, c.interval_low, c.interval_high)
    return Difference(label, label, None, None, None)
