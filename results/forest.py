"""Forest plots: paired differences with their intervals, one line each, around a line at zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.display import name, number, short, spanned
from results.figures import LETTERS, Hit, Style, Theme, place_ticks
from results.plots import SHORT_NAME, median

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Difference:
    """One line of a forest plot: a paired difference with its interval."""

    text: str
    label: str
    mean: float | None
    low: float | None
    high: float | None


def draw_forest(
    axes: Axes, differences: Sequence[Difference], look: dict[str, Style], theme: Theme, baseline: str
) -> list[Hit]:
    """Paired differences against the baseline with intervals, one line each; right of zero favours the candidate."""
    axes.axvline(0, color=theme.ink, lw=1)
    sizes = [max(abs(v) for v in (d.mean, d.low, d.high) if v is not None) for d in differences if d.mean is not None]
    reach = max((size for size in sizes if size <= 6 * median(sizes)), default=0.0) * 1.1 or 1.0
    axes.set_xlim(-reach, reach)
    rows = list(enumerate(differences))
    for label in dict.fromkeys(d.label for d in differences):
        _draw_inside(axes, [(row, d) for row, d in rows if d.label == label], look[label], reach)
    hits = [_draw_outside(axes, row, d, look, theme, reach) for row, d in rows]
    axes.set_ylim(len(differences) - 0.5, -0.5)
    place_ticks(axes.yaxis, range(len(differences)), [short(d.text, SHORT_NAME + 3) for d in differences])
    axes.locator_params(axis="x", nbins=4)
    side: dict[str, Any] = {
        "va": "top",
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": LETTERS,
        "color": theme.muted,
    }
    axes.annotate(f"← {short(baseline, SHORT_NAME)}", (0, 0), (0, -20), ha="left", parse_math=False, **side)
    axes.annotate("method →", (1, 0), (0, -20), ha="right", **side)
    return hits


def _draw_inside(axes: Axes, rows: Sequence[tuple[int, Difference]], style: Style, reach: float) -> None:
    """The means of one label that lie on the axis, with their intervals."""
    from matplotlib.lines import Line2D

    inside = [(row, d, d.mean) for row, d in rows if d.mean is not None and abs(d.mean) <= reach]
    bars = [(row, d.low, d.high) for row, d, _ in inside if d.low is not None and d.high is not None]
    if bars:
        x = [value for _, low, high in bars for value in (low, high, math.nan)]
        y = [value for row, _, _ in bars for value in (row, row, math.nan)]
        axes.add_line(Line2D(x, y, color=style.colour, lw=1.6, gid=style.group))
    if inside:
        at = {"ls": "", "marker": style.marker, "color": style.colour, "ms": 5, "gid": style.group}
        axes.add_line(Line2D([mean for *_, mean in inside], [row for row, *_ in inside], **at))  # type: ignore[arg-type]


def _draw_outside(
    axes: Axes, row: int, difference: Difference, look: dict[str, Style], theme: Theme, reach: float
) -> Hit:
    """What stands on a line whose mean is absent or beyond the axis; and what a reader is told of any line."""
    mean, text = difference.mean, name(difference.text)
    small: dict[str, Any] = {"va": "center", "fontsize": LETTERS - 1}
    if mean is None:
        axes.text(0, row, "no difference measured", ha="center", color=theme.muted, **small)
        return Hit(0, row, f"{text}: no difference measured")
    if abs(mean) > reach:
        written, side = (f"{number(mean)} ▸", "right") if mean > 0 else (f"◂ {number(mean)}", "left")
        axes.text(math.copysign(reach, mean), row, written, ha=side, color=look[difference.label].colour, **small)
    told = f"{text}: {spanned(mean, difference.low, difference.high, sign=True)}"
    return Hit(math.copysign(min(abs(mean), reach), mean), row, told)
