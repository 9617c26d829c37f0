"""Forest plots: paired differences with their intervals, one line each, around a line at zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.display import name, number, spanned
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
    hits = [_draw_difference(axes, row, difference, look, theme, reach) for row, difference in enumerate(differences)]
    axes.set_ylim(len(differences) - 0.5, -0.5)
    place_ticks(axes.yaxis, range(len(differences)), [name(d.text, SHORT_NAME + 6) for d in differences])
    axes.locator_params(axis="x", nbins=5)
    side: dict[str, Any] = {
        "va": "top",
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "fontsize": LETTERS,
        "color": theme.muted,
    }
    axes.annotate(f"← {name(baseline, SHORT_NAME)}", (0, 0), (0, -20), ha="left", parse_math=False, **side)
    axes.annotate("method →", (1, 0), (0, -20), ha="right", **side)
    return hits


def _draw_difference(
    axes: Axes, row: int, difference: Difference, look: dict[str, Style], theme: Theme, reach: float
) -> Hit:
    """One line of a forest plot; a mean beyond the axis is written at its end."""
    mean, small = difference.mean, LETTERS - 1
    told = f"{name(difference.text)}: {spanned(mean, difference.low, difference.high, sign=True)}"
    if mean is None:
        axes.text(0, row, "no difference measured", ha="center", va="center", fontsize=small, color=theme.muted)
        return Hit(0, row, f"{name(difference.text)}: no difference measured")
    style = look[difference.label]
    if abs(mean) > reach:
        text, side = (f"{number(mean)} ▸", "right") if mean > 0 else (f"◂ {number(mean)}", "left")
        axes.text(math.copysign(reach, mean), row, text, ha=side, va="center", fontsize=small, color=style.colour)
        return Hit(math.copysign(reach, mean), row, told)
    if difference.low is not None and difference.high is not None:
        axes.plot([difference.low, difference.high], [row, row], color=style.colour, lw=1.6, gid=style.group)
    axes.plot([mean], [row], style.marker, color=style.colour, ms=5, gid=style.group)
    return Hit(mean, row, told)
