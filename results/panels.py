"""Which figures a report shows, and the sentence under each that says how to read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from results import figures, plots
from results.cells import Cell
from results.compare import Comparison, TaskComparison
from results.display import count, name, plural
from results.figures import PAGE, Style
from results.listing import metric_words, words
from results.plots import Difference


@dataclass(frozen=True)
class Panel:
    """One small figure: its title, what its axis shows, and its SVG text."""

    title: str
    subtitle: str
    svg: str


@dataclass(frozen=True)
class Gallery:
    """Panels of one kind side by side, with the sentence that says how to read them."""

    identity: str
    title: str
    short: str
    panels: tuple[Panel, ...]
    how_to_read: str
    keyed: bool = True


def score_gallery(cells: Sequence[Cell], look: dict[str, Style]) -> Gallery:
    """Score against target size, a panel for each task."""
    panels = []
    for index, (task, mine) in enumerate(_by_task(cell for cell in cells if cell.score)):
        svg = figures.panel(f"score-{index}", partial(plots.draw_scores, cells=mine, look=look, theme=PAGE))
        panels.append(Panel(name(task), metric_words(mine[0]), svg))
    return Gallery(
        "score-by-size",
        "Score against target size",
        "Score",
        tuple(panels),
        "Each point is a method's mean test score over its seeds and each bar the 95 % interval of that mean; because "
        "methods share seeds, bars that overlap can still differ: the paired differences below decide.",
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
    sizes = sorted({c.target_size for c in comparisons}, key=lambda size: (size is not None, size or 0))
    for index, size in enumerate(sizes):
        mine = [c for c in comparisons if c.target_size == size and c.question == "population"]
        lines = [Difference(c.candidate, c.candidate, c.mean_difference, c.interval_low, c.interval_high) for c in mine]
        svg = _forest(f"forest-{index}", lines, look, baseline)
        unit = name(next((c.unit for c in mine), None))
        tasks = plural(max((c.tasks for c in mine), default=0), "task")
        panels.append(Panel(size_words(size), f"{unit}, {tasks}", svg))
    return Gallery(
        "difference-over-tasks",
        f"Paired difference from {name(baseline)}, over tasks",
        "Differences",
        tuple(panels),
        read,
        keyed=False,
    )


def task_forest_gallery(comparisons: Sequence[TaskComparison], look: dict[str, Style], baseline: str) -> Gallery:
    """Paired differences inside each task, in native units."""
    by_task: dict[str, list[TaskComparison]] = defaultdict(list)
    for comparison in comparisons:
        by_task[comparison.task].append(comparison)
    panels = []
    for index, (task, mine) in enumerate(sorted(by_task.items())):
        ordered = sorted(mine, key=lambda c: (c.candidate, c.target_size is not None, c.target_size or 0))
        lines = [
            Difference(
                name(c.candidate, 15) + ("" if c.target_size is None else f"  n={c.target_size:,}"),
                c.candidate,
                c.mean_difference,
                c.interval_low,
                c.interval_high,
            )
            for c in ordered
        ]
        svg = _forest(f"task-forest-{index}", lines, look, baseline)
        panels.append(Panel(name(task), f"gain in {name(mine[0].metric)}", svg))
    return Gallery(
        "difference-by-task",
        f"Paired difference from {name(baseline)}, inside each task",
        "By task",
        tuple(panels),
        "Each line is the mean over seeds of the paired difference on one task, in the task's own unit and signed so "
        "that right of zero favours the method, with its 95 % interval for other seeds of this task; it says nothing "
        "about other tasks.",
        keyed=False,
    )


def cost_galleries(cells: Sequence[Cell], look: dict[str, Style]) -> list[Gallery]:
    """Score against trained parameters, and against time where devices were not shared, else against work."""
    scored = _largest_size([cell for cell in cells if cell.score])
    timed = bool(scored) and all(cell.device_alone for cell in scored)
    galleries = []
    for column in ("trained_parameters", "adapt_seconds" if timed else "training_flops"):
        panels = []
        for index, (task, mine) in enumerate(_by_task(cell for cell in scored if cell.cost(column) is not None)):
            draw = partial(plots.draw_cost, cells=mine, column=column, words=_axis_words(column), look=look, theme=PAGE)
            svg = figures.panel(f"{column}-{index}", draw)
            panels.append(Panel(name(task), f"{metric_words(mine[0])}, n = {count(mine[0].target_size)}", svg))
        galleries.append(
            Gallery(
                f"score-by-{column.replace('_', '-')}",
                f"Score against {words(column)}",
                words(column).capitalize(),
                tuple(panels),
                f"Each point is a method at the task's largest target size: across, its mean {_axis_words(column)}; "
                "up, its mean test score with the 95 % interval over seeds; cheap and good lies to the left, on the "
                "better side.",
            )
        )
    return [gallery for gallery in galleries if gallery.panels]


def retention_gallery(cells: Sequence[Cell], look: dict[str, Style]) -> Gallery:
    """Source score along the transfer, a panel for each task at its largest target size."""
    panels = []
    for index, (task, mine) in enumerate(_by_task(_largest_size([cell for cell in cells if cell.retention]))):
        svg = figures.panel(f"source-{index}", partial(plots.draw_retention, cells=mine, look=look))
        panels.append(Panel(name(task), f"{metric_words(mine[0])}, n = {count(mine[0].target_size)}", svg))
    return Gallery(
        "source-retention",
        "What is left of the source ability",
        "Source ability",
        tuple(panels),
        "Each line follows a method's mean score on the source test data, with 95 % intervals over seeds: before the "
        "transfer, after the method's prepare step, after adapting to the target, and after its own way back "
        "where it has one.",
    )


def _forest(identity: str, differences: Sequence[Difference], look: dict[str, Style], baseline: str) -> str:
    """A forest plot as high as it has lines."""
    draw = partial(plots.draw_forest, differences=differences, look=look, theme=PAGE, baseline=baseline)
    return figures.panel(identity, draw, height=62 + 19 * max(1, len(differences)), left=136)


def size_words(size: int | None) -> str:
    """A target size as a title."""
    return "all target sizes" if size is None else f"{plural(size, 'target example')}"


def _axis_words(column: str) -> str:
    units = {"adapt_seconds": "adapt time (seconds)", "training_flops": "training work (FLOP)"}
    return units.get(column, words(column))


def _by_task(cells: Iterable[Cell]) -> list[tuple[str, list[Cell]]]:
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.task].append(cell)
    return sorted(found.items())


def _largest_size(cells: Sequence[Cell]) -> list[Cell]:
    largest = {task: max(cell.target_size or 0 for cell in mine) for task, mine in _by_task(cells)}
    return [cell for cell in cells if (cell.target_size or 0) == largest[cell.task]]
