"""What the report's figures show, drawn into axes that ``results.figures`` makes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from results.cells import RETENTION, Cell, Estimate
from results.display import name, number
from results.figures import LETTERS, Style, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHORT_NAME: Final = 18


@dataclass(frozen=True)
class Difference:
    """One line of a forest plot: a paired difference with its interval."""

    text: str
    label: str
    mean: float | None
    low: float | None
    high: float | None


def draw_scores(axes: Axes, cells: Sequence[Cell], look: dict[str, Style], theme: Theme) -> None:
    """Score against target size, one line for each label, with 95 % intervals over seeds."""
    sizes = sorted({cell.target_size for cell in cells if cell.target_size})
    gap = min((math.log2(b / a) for a, b in itertools.pairwise(sizes)), default=2.0)
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    for cell in cells:
        if cell.score is not None:
            lines.setdefault(cell.label, []).append((math.log2(cell.target_size or 1), cell.score))
    _draw_lines(axes, lines, look, spread=min(0.5, gap * 0.3))
    _focus(axes, [(label, estimate) for label, points in lines.items() for _, estimate in points], theme)
    axes.set_xticks([math.log2(size) for size in sizes] or [0], [f"{size:,}" for size in sizes] or ["not stated"])
    axes.set_xlabel("target examples")


def draw_retention(axes: Axes, cells: Sequence[Cell], look: dict[str, Style]) -> None:
    """Source score before, after prepare, after adapt and after the method's own way back."""
    stages = [stage for stage in RETENTION if any(stage in cell.retention for cell in cells)]
    lines = {
        cell.label: [(float(stages.index(stage)), estimate) for stage, estimate in cell.retention.items()]
        for cell in cells
        if cell.retention
    }
    _draw_lines(axes, lines, look, spread=0.45)
    axes.set_xticks(range(len(stages)), stages)
    axes.set_xlim(-0.5, max(len(stages) - 0.5, 0.5))


def _draw_lines(
    axes: Axes,
    lines: dict[str, list[tuple[float, Estimate]]],
    look: dict[str, Style],
    spread: float,
) -> None:
    """Lines with error bars, side by side around each position so that intervals do not cover each other."""
    shown = [label for label in look if label in lines]
    for index, label in enumerate(shown):
        shift = 0.0 if len(shown) < 2 else (index / (len(shown) - 1) - 0.5) * spread
        _draw_points(axes, [(x + shift, estimate) for x, estimate in lines[label]], look[label])


def draw_cost(axes: Axes, cells: Sequence[Cell], column: str, words: str, look: dict[str, Style], theme: Theme) -> None:
    """Score against one cost, a point for each label; the cost axis is logarithmic."""
    points = [(cell.label, cell.cost(column), cell.score) for cell in cells]
    known = [(label, cost, score) for label, cost, score in points if cost is not None and score is not None]
    costs = [cost for _, cost, _ in known]
    logarithmic = max(costs) > 4 * max(min(costs), 0)
    if logarithmic and min(costs) > 0:
        axes.set_xscale("log")
    elif logarithmic:
        axes.set_xscale("symlog", linthresh=min((cost for cost in costs if cost > 0), default=1.0))
    for label, cost, score in known:
        _draw_points(axes, [(cost, score)], look[label])
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(lambda value, position: _short_number(value))
    axes.xaxis.set_minor_formatter(lambda value, position: "")
    if not logarithmic:
        axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"{words}, logarithmic" if logarithmic else words)
    _focus(axes, [(label, score) for label, _, score in known], theme)


def draw_forest(
    axes: Axes, differences: Sequence[Difference], look: dict[str, Style], theme: Theme, baseline: str
) -> None:
    """Paired differences against the baseline with intervals, one line each; right of zero favours the candidate."""
    axes.axvline(0, color=theme.ink, lw=1)
    sizes = [max(abs(v) for v in (d.mean, d.low, d.high) if v is not None) for d in differences if d.mean is not None]
    reach = max((size for size in sizes if size <= 6 * _median(sizes)), default=0.0) * 1.1 or 1.0
    axes.set_xlim(-reach, reach)
    for row, difference in enumerate(differences):
        _draw_difference(axes, row, difference, look, theme, reach)
    axes.set_ylim(len(differences) - 0.5, -0.5)
    axes.set_yticks(range(len(differences)), [name(d.text, _SHORT_NAME + 6) for d in differences], parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    side: dict[str, Any] = {
        "va": "top",
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": LETTERS,
        "color": theme.muted,
    }
    axes.annotate(f"← {name(baseline, _SHORT_NAME)}", (0, 0), (0, -20), ha="left", parse_math=False, **side)
    axes.annotate("method →", (1, 0), (0, -20), ha="right", **side)


def _draw_difference(
    axes: Axes, row: int, difference: Difference, look: dict[str, Style], theme: Theme, reach: float
) -> None:
    """One line of a forest plot; a mean beyond the axis is written at its end."""
    mean, small = difference.mean, LETTERS - 1
    if mean is None:
        axes.text(0, row, "no difference measured", ha="center", va="center", fontsize=small, color=theme.muted)
        return
    style = look[difference.label]
    if abs(mean) > reach:
        text, side = (f"{number(mean)} ▸", "right") if mean > 0 else (f"◂ {number(mean)}", "left")
        axes.text(math.copysign(reach, mean), row, text, ha=side, va="center", fontsize=small, color=style.colour)
        return
    if difference.low is not None and difference.high is not None:
        axes.hlines(row, difference.low, difference.high, color=style.colour, lw=1.6)
    axes.plot([mean], [row], style.marker, color=style.colour, ms=5)


def _draw_points(axes: Axes, points: Sequence[tuple[float, Estimate]], style: Style) -> None:
    """The means of one label, joined by a line, and their intervals where they have one."""
    x, means = [x for x, _ in points], [estimate.mean for _, estimate in points]
    bars = [(x, e.low, e.high) for x, e in points if e.low is not None and e.high is not None]
    if bars:
        axes.vlines(*zip(*bars, strict=True), color=style.colour, lw=1.6)
    axes.plot(x, means, style.line, marker=style.marker, color=style.colour, lw=1, ms=5)


def _focus(axes: Axes, points: Sequence[tuple[str, Estimate]], theme: Theme) -> None:
    """Limit the score axis to where the methods are; what lies far outside is named in the corner, not drawn."""
    if not points:
        return
    middle = _median([estimate.mean for _, estimate in points])
    width = _median([0.0 if e.low is None or e.high is None else (e.high - e.low) / 2 for _, e in points])
    scale = max(_median([abs(e.mean - middle) for _, e in points]), width) or abs(middle) or 1.0
    near = [e for _, e in points if abs(e.mean - middle) <= 6 * scale]
    low = min(max(e.mean - 4 * scale, e.mean if e.low is None else e.low) for e in near)
    high = max(min(e.mean + 4 * scale, e.mean if e.high is None else e.high) for e in near)
    margin = 0.07 * (high - low) or 0.5 * scale
    axes.set_ylim(low - margin, high + margin)
    outside = sorted({name(label, _SHORT_NAME) for label, e in points if not low - margin <= e.mean <= high + margin})
    if outside:
        text = "off the scale: " + ", ".join(outside)
        axes.set_title(text, loc="right", y=1.02, fontsize=LETTERS - 1, color=theme.muted, parse_math=False)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _short_number(value: float) -> str:
    for size, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
