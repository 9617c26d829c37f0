"""What the report's figures show, drawn into axes that ``results.figures`` makes; each returns what can be told."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from results.cells import RETENTION, Cell, Estimate
from results.display import count, estimate, name, plural, short, spanned
from results.figures import LETTERS, Hit, Style, Theme, place_ticks
from results.overall import Overall

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHORT_NAME: Final = 18


@dataclass(frozen=True)
class Point:
    """One value of one label with its interval, where it stands on the other axis, and what a reader is told of it."""

    x: float
    y: float
    low: float | None
    high: float | None
    text: str


def draw_scores(axes: Axes, cells: Sequence[Cell], look: dict[str, Style], theme: Theme) -> list[Hit]:
    """Score against target size, one line for each label, with 95 % intervals over seeds."""
    sizes = sorted({cell.target_size for cell in cells if cell.target_size is not None})
    lines: dict[str, list[Point]] = {}
    for cell in cells:
        if cell.score is not None:
            size = "" if cell.target_size is None else f", n = {count(cell.target_size)}"
            text = f"{name(cell.label)}{size}: {told(cell.score)}"
            lines.setdefault(cell.label, []).append(_point(size_place(cell.target_size), cell.score, text))
    return draw_size_lines(axes, lines, sizes, look, theme)


def draw_size_lines(
    axes: Axes, lines: dict[str, list[Point]], sizes: Sequence[int], look: dict[str, Style], theme: Theme
) -> list[Hit]:
    """Lines over target sizes, which are placed by their logarithm to base 2."""
    gap = min((size_place(b) - size_place(a) for a, b in itertools.pairwise(sizes)), default=2.0)
    hits = _draw_lines(axes, lines, look, spread=min(0.5, gap * 0.3))
    _focus(axes, [(label, point) for label, points in lines.items() for point in points], theme)
    place_ticks(axes.xaxis, [size_place(n) for n in sizes] or [0], [f"{n:,}" for n in sizes] or ["not stated"])
    axes.set_xlabel("target examples")
    return hits


def draw_retention(axes: Axes, cells: Sequence[Cell], look: dict[str, Style]) -> list[Hit]:
    """Source score before, after prepare, after adapt and after the method's own way back."""
    stages = [stage for stage in RETENTION if any(stage in cell.retention for cell in cells)]
    lines = {
        cell.label: [
            _point(float(stages.index(stage)), found, f"{name(cell.label)}, {stage}: {told(found)}")
            for stage, found in cell.retention.items()
        ]
        for cell in cells
        if cell.retention
    }
    hits = _draw_lines(axes, lines, look, spread=0.45)
    place_ticks(axes.xaxis, range(len(stages)), stages)
    axes.set_xlim(-0.5, max(len(stages) - 0.5, 0.5))
    return hits


def draw_cost(
    axes: Axes,
    points: dict[str, Point],
    words: str,
    look: dict[str, Style],
    theme: Theme,
    front: Sequence[str] = (),
    ranks: bool = False,
) -> list[Hit]:
    """A score against one cost, a point for each label; the cost axis is logarithmic where costs span enough.

    ``front`` names the labels that no other beats in both, cheapest first: a line joins them. ``ranks``: the values are
    negative ranks, shown without their sign.
    """
    from matplotlib.ticker import LogLocator

    costs = [point.x for point in points.values()]
    logarithmic = max(costs) > 4 * max(min(costs), 0)
    if logarithmic and min(costs) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if max(costs) > 100 * min(costs) else (1.0, 2.0, 5.0)))
    elif logarithmic:
        axes.set_xscale("symlog", linthresh=min((cost for cost in costs if cost > 0), default=1.0))
    if len(front) > 1:
        corners = [points[label] for label in front]
        x, y = [p.x for p in corners], [p.y for p in corners]
        axes.plot(x, y, color=theme.muted, lw=1, ls=":", drawstyle="steps-post", zorder=1)
    hits = [hit for label, point in points.items() for hit in draw_points(axes, [point], look[label])]
    axes.margins(x=0.12)
    if logarithmic or max(costs) - min(costs) > 1e-3 * max(costs):  # else six digits do not tell ticks apart
        axes.xaxis.set_major_formatter(lambda value, position: _short_number(value))
    axes.xaxis.set_minor_formatter(lambda value, position: "")
    if not logarithmic:
        axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"{words}, logarithmic" if logarithmic else words)
    if ranks:
        axes.yaxis.set_major_formatter(lambda value, position: f"{-value:g}")
        return hits
    _focus(axes, list(points.items()), theme)
    return hits


def told(found: Estimate) -> str:
    """A mean over seeds as a reader is told it: with its interval, or that there is none, and how many seeds."""
    lacking = "" if found.low is not None else ", no interval"
    return f"{estimate(found)} ({plural(found.count, 'seed')}{lacking})"


def draw_points(axes: Axes, points: Sequence[Point], style: Style) -> list[Hit]:
    """The values of one label, joined by a line, and their intervals where they have one."""
    from matplotlib.lines import Line2D

    bars = [(p.x, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    if bars:
        x = [value for x, _, _ in bars for value in (x, x, math.nan)]
        y = [value for _, low, high in bars for value in (low, high, math.nan)]
        axes.add_line(Line2D(x, y, color=style.colour, lw=1.6, gid=style.group))
    line = {"ls": style.line, "marker": style.marker, "color": style.colour, "lw": 1, "ms": 5}
    axes.add_line(Line2D([p.x for p in points], [p.y for p in points], gid=style.group, **line))  # type: ignore[arg-type]
    return [Hit(p.x, p.y, p.text) for p in points]


def size_place(size: int | None) -> float:
    """Where a target size stands on its axis: its logarithm to base 2."""
    return math.log2(max(size or 1, 1))


def overall_point(mean: Overall) -> Point:
    """A mean over tasks as a point over its target size."""
    size = "" if mean.target_size is None else f", n = {count(mean.target_size)}"
    text = f"{name(mean.label)}{size}: {spanned(mean.mean, mean.low, mean.high)} ({plural(mean.tasks, 'task')})"
    return Point(size_place(mean.target_size), mean.mean, mean.low, mean.high, text)


def cost_point(cell: Cell, column: str, written: str) -> Point:
    """A cell's score over one of its costs, which is ``written`` as a reader sees it."""
    cost, score = cell.cost(column), cell.score
    assert cost is not None
    assert score is not None
    return _point(cost, score, f"{name(cell.label)}, {written}: {told(score)}")


def _point(x: float, found: Estimate, text: str) -> Point:
    return Point(x, found.mean, found.low, found.high, text)


def _draw_lines(axes: Axes, lines: dict[str, list[Point]], look: dict[str, Style], spread: float) -> list[Hit]:
    """Lines with error bars, side by side around each position so that intervals do not cover each other."""
    shown = [label for label in look if label in lines]
    hits = []
    for index, label in enumerate(shown):
        shift = 0.0 if len(shown) < 2 else (index / (len(shown) - 1) - 0.5) * spread
        hits += draw_points(axes, [replace(point, x=point.x + shift) for point in lines[label]], look[label])
    return hits


def _focus(axes: Axes, points: Sequence[tuple[str, Point]], theme: Theme) -> None:
    """Limit the score axis to where the methods are; what lies far outside is named in the corner, not drawn."""
    if not points:
        return
    middle = median([point.y for _, point in points])
    width = median([0.0 if p.low is None or p.high is None else (p.high - p.low) / 2 for _, p in points])
    scale = max(median([abs(p.y - middle) for _, p in points]), width) or abs(middle) or 1.0
    near = [p for _, p in points if abs(p.y - middle) <= 6 * scale]
    low = min(max(p.y - 4 * scale, p.y if p.low is None else p.low) for p in near)
    high = max(min(p.y + 4 * scale, p.y if p.high is None else p.high) for p in near)
    margin = 0.07 * (high - low) or 0.5 * scale
    if not math.isfinite(high - low + 2 * margin):
        return  # scores so large that their differences overflow
    axes.set_ylim(low - margin, high + margin)
    outside = sorted({label for label, p in points if not low - margin <= p.y <= high + margin})
    if outside:
        text = "off the scale: " + short(", ".join(name(label, SHORT_NAME) for label in outside), 26)
        axes.set_title(text, loc="right", y=1.02, fontsize=LETTERS - 1, color=theme.muted, parse_math=False)


def median(values: Sequence[float]) -> float:
    """The upper of the two middle values where there are two."""
    return sorted(values)[len(values) // 2]


def _short_number(value: float) -> str:
    for size, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
