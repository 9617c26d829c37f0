"""The figures of single tasks and of differences, and the sentence under each that says how to read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from results import figures, plots
from results.cells import Cell
from results.compare import Comparison, TaskComparison
from results.display import count, name, plural, short
from results.figures import PAGE, Style
from results.forest import Difference, draw_forest
from results.gallery import MOST_TASKS, Gallery, Panel, left_out
from results.listing import axis_words, cost_text, metric_words, size_words, words
from results.overall import Overall
from results.plots import Point


def score_gallery(cells: Sequence[Cell], overall: Sequence[Overall], look: dict[str, Style]) -> Gallery:
    """Score against target size: over tasks where they have a common unit, then a panel for each task."""
    panels = []
    if overall:
        sizes = sorted({mean.target_size for mean in overall if mean.target_size is not None})
        lines: dict[str, list[Point]] = defaultdict(list)
        for mean in overall:
            lines[mean.label].append(plots.overall_point(mean))
        draw = partial(plots.draw_size_lines, lines=lines, sizes=sizes, look=look, theme=PAGE)
        unit = f"{name(overall[0].unit)} score, 95 % intervals over tasks"
        panels.append(
            Panel("score-all", plural(max(m.tasks for m in overall), "task"), unit, figures.panel("all", draw))
        )
    by_task = _by_task(cell for cell in cells if cell.score)
    for index, (task, mine) in enumerate(by_task[:MOST_TASKS]):
        identity = f"score-{index + 1}"
        svg = figures.panel(identity, partial(plots.draw_scores, cells=mine, look=look, theme=PAGE))
        panels.append(Panel(identity, name(task), metric_words(mine[0]), svg))
    return Gallery(
        "score-by-size",
        "Score against target size",
        "Score",
        tuple(panels),
        "Each point is a method's mean test score over its seeds and each bar the 95 % interval of that mean; because "
        "methods share seeds, bars that overlap can still differ: the paired differences below decide.",
        left_out=left_out(len(by_task), "score-table", "Test scores"),
    )


def forest_gallery(comparisons: Sequence[Comparison], look: dict[str, Style], baseline: str) -> Gallery:
    """Paired differences over tasks, a panel for each target size and one for all sizes together."""
    panels = []
    read = (
        "Each line is a method's mean paired difference from the baseline with its 95 % interval for other tasks like "
        "these; right of zero favours the method, and an interval that crosses zero is compatible with no difference."
    )
    if all(c.mean_difference is None for c in comparisons):
        comparisons = ()
        read = "These tasks have no common unit, so there is no mean difference to draw; the table counts tasks won."
    elif all(c.interval_low is None for c in comparisons if c.question == "population"):
        read = (
            "Each point is a method's mean paired difference from the baseline, right of zero in its favour; a single "
            "task has no interval for other tasks, so none is drawn."
        )
    sizes = sorted({c.target_size for c in comparisons}, key=lambda size: (size is not None, size or 0))
    if len(sizes) == 2:
        sizes = sizes[:1]  # a single size is all sizes
    for size in sizes:
        mine = [c for c in comparisons if c.target_size == size and c.question == "population"]
        lines = [Difference(c.candidate, c.candidate, c.mean_difference, c.interval_low, c.interval_high) for c in mine]
        identity = f"difference-{size or 'all'}"
        unit = name(next((c.unit for c in mine), None))
        tasks = plural(max((c.tasks for c in mine), default=0), "task")
        panels.append(Panel(identity, size_words(size), f"{unit}, {tasks}", _forest(identity, lines, look, baseline)))
    return Gallery(
        "difference-over-tasks",
        f"Paired difference from {name(baseline)}, over tasks",
        "Differences",
        tuple(panels),
        read,
        keyed=False,
        stands=True,
    )


def task_forest_gallery(comparisons: Sequence[TaskComparison], look: dict[str, Style], baseline: str) -> Gallery:
    """Paired differences inside each task, in native units."""
    by_task: dict[str, list[TaskComparison]] = defaultdict(list)
    for comparison in comparisons:
        by_task[comparison.task].append(comparison)
    panels = []
    for index, (task, mine) in enumerate(sorted(by_task.items())[:MOST_TASKS]):
        ordered = sorted(mine, key=lambda c: (c.candidate, c.target_size is not None, c.target_size or 0))
        lines = [
            Difference(
                short(c.candidate, 13) + ("" if c.target_size is None else f"  n={c.target_size:,}"),
                c.candidate,
                c.mean_difference,
                c.interval_low,
                c.interval_high,
            )
            for c in ordered
        ]
        identity = f"task-difference-{index + 1}"
        svg = _forest(identity, lines, look, baseline)
        panels.append(Panel(identity, name(task), f"gain in {name(mine[0].metric)}", svg))
    return Gallery(
        "difference-by-task",
        f"Paired difference from {name(baseline)}, inside each task",
        "By task",
        tuple(panels),
        "Each line is the mean over seeds of the paired difference on one task, in the task's own unit and signed so "
        "that right of zero favours the method, with its 95 % interval for other seeds of this task; it says nothing "
        "about other tasks.",
        keyed=False,
        left_out=left_out(len(by_task), "task-comparisons", "The same differences as a table"),
    )


def cost_gallery(cells: Sequence[Cell], look: dict[str, Style]) -> Gallery:
    """Score against time where devices were not shared, else against work, else parameters: a panel for each task."""
    scored = _largest_size([cell for cell in cells if cell.score])
    timed = bool(scored) and all(cell.device_alone for cell in scored)
    order = (*(["adapt_seconds"] if timed else []), "training_flops", "trained_parameters")
    measured = [column for column in order if any(cell.cost(column) is not None for cell in scored)]
    column = measured[0] if measured else order[-1]
    by_task = _by_task(cell for cell in scored if cell.cost(column) is not None)
    panels = []
    for index, (task, mine) in enumerate(by_task[:MOST_TASKS]):
        points = {cell.label: plots.cost_point(cell, column, cost_text(cell.cost(column), column)) for cell in mine}
        draw = partial(plots.draw_cost, points=points, words=axis_words(column), look=look, theme=PAGE)
        identity = f"cost-{index + 1}"
        subtitle = f"{metric_words(mine[0])}, n = {count(mine[0].target_size)}"
        panels.append(Panel(identity, name(task), subtitle, figures.panel(identity, draw)))
    return Gallery(
        "score-by-cost",
        f"Score against {words(column)}",
        words(column).capitalize(),
        tuple(panels),
        f"Each point is a method at the task's largest target size: across, its mean {axis_words(column)}; up, its "
        "mean test score with the 95 % interval over seeds; cheap and good lies to the left, on the better side.",
        left_out=left_out(len(by_task), "cost-table", "Costs"),
    )


def retention_gallery(cells: Sequence[Cell], look: dict[str, Style]) -> Gallery:
    """Source score along the transfer, a panel for each task at its largest target size."""
    panels = []
    by_task = _by_task(_largest_size([cell for cell in cells if cell.retention]))
    for index, (task, mine) in enumerate(by_task[:MOST_TASKS]):
        identity = f"source-{index + 1}"
        svg = figures.panel(identity, partial(plots.draw_retention, cells=mine, look=look))
        subtitle = f"{metric_words(mine[0])}, n = {count(mine[0].target_size)}"
        panels.append(Panel(identity, name(task), subtitle, svg))
    return Gallery(
        "source-retention",
        "What is left of the source ability",
        "Source ability",
        tuple(panels),
        "Each line follows a method's mean score on the source test data, with 95 % intervals over seeds: before the "
        "transfer, after the method's prepare step, after adapting to the target, and after its own way back "
        "where it has one.",
        left_out=left_out(len(by_task), "retention", "All source scores as a table"),
    )


def _forest(identity: str, differences: Sequence[Difference], look: dict[str, Style], baseline: str) -> str:
    """A forest plot as high as it has lines."""
    draw = partial(draw_forest, differences=differences, look=look, theme=PAGE, baseline=baseline)
    return figures.panel(identity, draw, height=62 + 19 * max(1, len(differences)), left=136)


def _by_task(cells: Iterable[Cell]) -> list[tuple[str, list[Cell]]]:
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.task].append(cell)
    return sorted(found.items())


def _largest_size(cells: Sequence[Cell]) -> list[Cell]:
    largest = {task: max(cell.target_size or 0 for cell in mine) for task, mine in _by_task(cells)}
    return [cell for cell in cells if (cell.target_size or 0) == largest[cell.task]]
