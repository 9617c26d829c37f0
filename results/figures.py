"""The report's figures as SVG text. The only module that imports matplotlib, and only when it draws.

On the page colours are CSS variables, so that one drawing suits light and dark; in a picture file they are fixed.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from results.cells import RETENTION, Cell, Estimate
from results.display import name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#b5488d", "#e69f00", "#3d9bd9", "#7a5195", "#8c6d31")
"""Colours on a light ground that colour-blind readers can tell apart; the marker tells them apart a second time."""

SERIES_DARK: Final = ("#4ba3e0", "#ff8a4c", "#35cfa2", "#ee9ccb", "#f5bc42", "#9bd3f7", "#bb96dc", "#cbae65")
MARKERS: Final = ("o", "s", "D", "^", "v", "P", "X", "p", "h", "<", ">")
BASELINE_MARKER: Final = "o"
PANEL_WIDTH: Final = 340
_SHORT_NAME: Final = 20


@dataclass(frozen=True)
class Theme:
    """The colours of one drawing."""

    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]


PAPER: Final = Theme(ink="#1d2330", muted="#667085", grid="#dfe3ea", series=SERIES)

PAGE: Final = Theme("#000001", "#000002", "#000003", tuple(f"#0000{16 + i:02x}" for i in range(len(SERIES))))
"""Stand-ins: ``svg`` puts a CSS variable in the place of each."""

_STAND_INS: Final = {"#000001": "var(--ink)", "#000002": "var(--muted)", "#000003": "var(--grid)"} | {
    stand_in: f"var(--series-{index})" for index, stand_in in enumerate(PAGE.series)
}


@dataclass(frozen=True)
class Style:
    """How one label looks in every figure of a report."""

    colour: str
    marker: str
    line: str


def styles(labels: Iterable[str], baseline: str | None, theme: Theme) -> dict[str, Style]:
    """A style for each label, by sorted name; the baseline is plain ink with a dashed line."""
    others = sorted(set(labels) - {baseline})
    chosen = {
        label: Style(theme.series[i % len(theme.series)], MARKERS[i % len(MARKERS)], "-")
        for i, label in enumerate(others)
    }
    return chosen if baseline is None else {baseline: Style(theme.ink, BASELINE_MARKER, "--")} | chosen


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
    gap = min((math.log2(b / a) for a, b in zip(sizes, sizes[1:], strict=False)), default=2.0)
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    for cell in cells:
        if cell.score is not None:
            lines.setdefault(cell.label, []).append((math.log2(cell.target_size or 1), cell.score))
    _draw_lines(axes, lines, look, theme, spread=min(0.5, gap * 0.3))
    axes.set_xticks([math.log2(size) for size in sizes] or [0], [f"{size:,}" for size in sizes] or ["not stated"])
    axes.set_xlabel("target examples")


def draw_retention(axes: Axes, cells: Sequence[Cell], look: dict[str, Style], theme: Theme) -> None:
    """Source score before, after prepare, after adapt and after the method's own way back."""
    stages = [stage for stage in RETENTION if any(stage in cell.retention for cell in cells)]
    lines = {
        cell.label: [(stages.index(stage), estimate) for stage, estimate in cell.retention.items()]
        for cell in cells
        if cell.retention
    }
    _draw_lines(axes, lines, look, theme, spread=0.45)
    axes.set_xticks(range(len(stages)), stages)
    axes.set_xlim(-0.5, max(len(stages) - 0.5, 0.5))


def _draw_lines(
    axes: Axes,
    lines: dict[str, list[tuple[float, Estimate]]],
    look: dict[str, Style],
    theme: Theme,
    spread: float,
) -> None:
    """Lines with error bars, side by side around each position so that intervals do not cover each other."""
    shown = [label for label in look if label in lines]
    for index, label in enumerate(shown):
        shift = 0.0 if len(shown) < 2 else (index / (len(shown) - 1) - 0.5) * spread
        _draw_points(axes, [(x + shift, estimate) for x, estimate in lines[label]], look[label])
    _focus(axes, [(label, e) for label in shown for _, e in lines[label]], theme)


def draw_cost(
    axes: Axes, cells: Sequence[Cell], column: str, words: str, look: dict[str, Style], theme: Theme
) -> None:
    """Score against one cost, a point for each label; the cost axis is logarithmic."""
    points = [(cell.label, cell.cost(column), cell.score) for cell in cells]
    known = [(label, cost, score) for label, cost, score in points if cost is not None and score is not None]
    if any(cost <= 0 for _, cost, _ in known):
        axes.set_xscale("symlog", linthresh=1)
    else:
        axes.set_xscale("log")
    for label, cost, score in known:
        _draw_points(axes, [(cost, score)], look[label])
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(_short_number)
    axes.xaxis.set_minor_formatter(lambda value, position: "")
    axes.set_xlabel(f"{words}, logarithmic")
    _focus(axes, [(label, score) for label, _, score in known], theme)


def draw_forest(
    axes: Axes, differences: Sequence[Difference], look: dict[str, Style], theme: Theme, baseline: str
) -> None:
    """Paired differences against the baseline with intervals, one line each; right of zero favours the candidate."""
    axes.axvline(0, color=theme.ink, lw=1)
    for row, difference in enumerate(differences):
        if difference.mean is not None:
            style = look[difference.label]
            if difference.low is not None and difference.high is not None:
                axes.plot([difference.low, difference.high], [row, row], color=style.colour, lw=1.6)
            axes.plot([difference.mean], [row], style.marker, color=style.colour, ms=5)
        else:
            axes.text(0, row, "no difference measured", ha="center", va="center", fontsize=9, color=theme.muted)
    reach = max((abs(v) for d in differences for v in (d.mean, d.low, d.high) if v is not None), default=1.0) or 1.0
    axes.set_xlim(-reach * 1.1, reach * 1.1)
    axes.set_ylim(len(differences) - 0.5, -0.5)
    axes.set_yticks(range(len(differences)), [name(d.text, _SHORT_NAME + 8) for d in differences], parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    side = {"va": "top", "xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 10, "color": theme.muted}
    axes.annotate(f"← {name(baseline, _SHORT_NAME)}", (0, 0), (0, -20), ha="left", parse_math=False, **side)
    axes.annotate("method →", (1, 0), (0, -20), ha="right", **side)


def _draw_points(axes: Axes, points: Sequence[tuple[float, Estimate]], style: Style) -> None:
    """The means of one label, joined by a line, and their intervals where they have one."""
    x, means = [x for x, _ in points], [estimate.mean for _, estimate in points]
    bars = [(x, e.low, e.high) for x, e in points if e.low is not None and e.high is not None]
    if bars:
        axes.vlines(*zip(*bars, strict=True), color=style.colour, lw=1.6)
    axes.plot(x, means, style.line, marker=style.marker, color=style.colour, lw=1, ms=5)


def _focus(axes: Axes, points: Sequence[tuple[str, Estimate]], theme: Theme) -> None:
    """Limit the score axis to where the methods are; what lies far outside is named in the corner, not drawn."""
    means = sorted(estimate.mean for _, estimate in points)
    if not means:
        return
    middle = means[len(means) // 2]
    scale = sorted(abs(mean - middle) for mean in means)[len(means) // 2]
    near = [e for _, e in points if scale == 0 or abs(e.mean - middle) <= 8 * scale]
    low, high = (min(e.mean for e in near), max(e.mean for e in near))
    room = max(high - low, scale, abs(middle) * 1e-6, 1e-12)
    low = max(low - room, min(e.mean if e.low is None else e.low for e in near))
    high = min(high + room, max(e.mean if e.high is None else e.high for e in near))
    margin = 0.06 * (high - low or room)
    axes.set_ylim(low - margin, high + margin)
    outside = sorted({name(label, _SHORT_NAME) for label, e in points if not low - margin <= e.mean <= high + margin})
    if outside:
        text = "off the scale: " + ", ".join(outside)
        axes.set_title(text, loc="right", y=1.02, fontsize=9, color=theme.muted, parse_math=False)


def _short_number(value: float, position: int | None = None) -> str:
    for size, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def canvas(width: float, height: float, theme: Theme, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` by ``height`` points and its axes, row by row, without any global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    grid = figure.subplots(rows, columns, squeeze=False)
    every = [axes for line in grid for axes in line]
    for axes in every:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(theme.grid)
        axes.patch.set_visible(False)
        axes.tick_params(colors=theme.muted, labelsize=10, length=3, which="both")
        axes.tick_params(axis="y", length=0)
        axes.grid(color=theme.grid, lw=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.label.set(color=theme.muted, fontsize=10)
        axes.set_title("", y=1.02)  # a fixed place: to look for one costs a third of the drawing
    figure.patch.set_visible(False)
    return figure, every


def panel(identity: str, draw: Callable[[Axes], None], height: float = 230, left: float = 52) -> str:
    """One small figure for the page. ``identity`` keeps its internal names apart from those of other figures."""
    figure, (axes,) = canvas(PANEL_WIDTH, height, PAGE)
    figure.subplots_adjust(left / PANEL_WIDTH, 40 / height, 1 - 10 / PANEL_WIDTH, 1 - 18 / height)
    draw(axes)
    return svg(figure, identity)


def forest_panel(identity: str, differences: Sequence[Difference], look: dict[str, Style], baseline: str) -> str:
    """A forest plot for the page, as high as it has lines."""
    return panel(
        identity,
        lambda axes: draw_forest(axes, differences, look, PAGE, baseline),
        height=62 + 19 * max(1, len(differences)),
        left=128,
    )


def mark(identity: str, style: Style) -> str:
    """The key of one label: a short line with its marker."""
    figure, (axes,) = canvas(26, 12, PAGE)
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set_axis_off()
    axes.set(xlim=(0, 26), ylim=(0, 12))
    axes.plot([1, 25], [6, 6], style.line, color=style.colour, lw=1)
    axes.plot([13], [6], style.marker, color=style.colour, ms=6)
    return svg(figure, identity)


def svg(figure: Figure, identity: str, page: bool = True) -> str:
    """The figure as SVG text, the same bytes every time; for the page as an element that goes into HTML."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": identity, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name's letters may be missing from the font that only measures them
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)
    return _for_page(text) if page else text


def _for_page(text: str) -> str:
    """An SVG file's text as an element inside HTML: colours and letters come from the page's style sheet."""
    text = text[text.index("<svg") :]
    for needless in (
        r"<style.*?</style>",
        r' xmlns(:xlink)?="[^"]*"',
        r' id="[a-z0-9.]+(_[0-9]+)+"',
        r" font-family: [^;]*;",
        r' transform="rotate\(-0 [^"]*"',
        r"(?<=<svg) width=\"[^\"]*\" height=\"[^\"]*\"",
    ):
        text = re.sub(needless, "", text, flags=re.DOTALL)
    text = re.sub(r"#0000[01][0-9a-f]", lambda found: _STAND_INS.get(found[0], found[0]), text)
    return re.sub(r"\s+", " ", re.sub(r">\s+<", "><", text)).strip()
