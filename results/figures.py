"""Empty figures, the look of methods, and picture files. Matplotlib is imported here and in ``results.vector`` only,
and only when something is drawn.

On the page colours are CSS variables, so that one drawing suits light and dark; in a picture file they are fixed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from results import vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#b5488d", "#b37400", "#3d9bd9", "#7a5195", "#8c6d31")
"""Colours on a light ground that colour-blind readers can tell apart; the marker tells them apart a second time."""

SERIES_DARK: Final = ("#4ba3e0", "#ff8a4c", "#35cfa2", "#ee9ccb", "#f5bc42", "#9bd3f7", "#bb96dc", "#cbae65")
MARKERS: Final = ("o", "s", "D", "^", "v", "P", "X", "p", "h", "<", ">")
BASELINE_MARKER: Final = "o"
LETTERS: Final = 11


@dataclass(frozen=True)
class Theme:
    """The colours of one drawing."""

    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]


PAPER: Final = Theme(ink="#1d2330", muted="#667085", grid="#dfe3ea", series=SERIES)

PAGE: Final = Theme("#000001", "#000002", "#000003", tuple(f"#0000{16 + i:02x}" for i in range(len(SERIES))))
"""Stand-ins: the page has a CSS variable in the place of each."""

VARIABLES: Final = {"#000001": "var(--ink)", "#000002": "var(--muted)", "#000003": "var(--grid)"} | {
    stand_in: f"var(--s{index})" for index, stand_in in enumerate(PAGE.series)
}


@dataclass(frozen=True)
class Style:
    """How one label looks in every figure of a report. ``group`` names all that is drawn for it."""

    colour: str
    marker: str
    line: str
    group: str


@dataclass(frozen=True)
class Hit:
    """A place in a figure, in its axes' units, and what a reader is told who points at it."""

    x: float
    y: float
    text: str


def styles(labels: Iterable[str], baseline: str | None, theme: Theme) -> dict[str, Style]:
    """A style for each label, by sorted name; the baseline is plain ink with a dashed line."""
    others = sorted(set(labels) - {baseline})
    chosen = {
        label: Style(theme.series[i % len(theme.series)], MARKERS[i % len(MARKERS)], "-", f"method-{i + 1}")
        for i, label in enumerate(others)
    }
    plain = Style(theme.ink, BASELINE_MARKER, "--", "method-0")
    return chosen if baseline is None else {baseline: plain} | chosen


def canvas(width: float, height: float, theme: Theme, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` by ``height`` points and its axes, row by row, without any global state."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_settings(theme)):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        grid = figure.subplots(rows, columns, squeeze=False)
    every = [axes for line in grid for axes in line]
    for axes in every:
        axes.set_title("", y=1.02)  # a fixed place: to look for one costs a third of the drawing
    return figure, every


def panel(
    identity: str, draw: Callable[[Axes], Sequence[Hit]], height: float = 220, left: float = 48, width: float = 310
) -> str:
    """One small figure for the page. ``identity`` keeps its internal names apart from those of other figures."""
    figure, (axes,) = canvas(width, height, PAGE)
    figure.subplots_adjust(left / width, 40 / height, 1 - 10 / width, 1 - 18 / height)
    said = draw(axes)
    axes.autoscale_view()
    hits = [(*axes.transData.transform((hit.x, hit.y)), hit.text) for hit in said]
    box = axes.bbox.padded(6)
    inside = [(x, height - y, text) for x, y, text in hits if box.contains(x, y)]
    vector.furnish(axes, PAGE.muted, PAGE.grid, LETTERS)
    return vector.element(figure, identity, VARIABLES, inside)


def mark(style: Style) -> str:
    """The key of one label: a short line with its marker, as an SVG element."""
    colour = VARIABLES.get(style.colour, style.colour)
    dashes = ' stroke-dasharray="4 2.5"' if style.line == "--" else ""
    return (
        f'<svg viewBox="0 0 26 12" aria-hidden="true"><path d="M1 6H25" fill="none" stroke="{colour}"{dashes}/>'
        f'<path d="{vector.marker_path(style.marker, 6, (13, 6))}" fill="{colour}"/></svg>'
    )


def place_ticks(axis: Axis, places: Sequence[float], texts: Sequence[str]) -> None:
    """Name these places of an axis and no other."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter([text.replace("$", r"\$") for text in texts]))
    axis.set_minor_locator(NullLocator())


def legend_line(text: str, style: Style) -> Line2D:
    """What a picture's legend shows for one label."""
    from matplotlib.lines import Line2D

    shape: dict[str, Any] = {"linestyle": style.line, "marker": style.marker}
    line = Line2D([], [], color=style.colour, lw=1, ms=6, **shape)
    line.set_label(text.replace("$", r"\$"))
    return line


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG or SVG file, by the suffix; the same bytes every time."""
    if path.suffix == ".svg":
        path.write_text(vector.text(figure, path.name), "utf-8")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(path, dpi=160, metadata={"Software": None})


def _settings(theme: Theme) -> Any:
    """Matplotlib's settings for axes in this theme: set beforehand, as each change afterwards costs time."""
    look: dict[str, Any] = {f"axes.spines.{side}": False for side in ("top", "right", "left")}
    look |= {f"{axis}tick.color": theme.muted for axis in "xy"} | {f"{axis}tick.labelsize": LETTERS for axis in "xy"}
    look |= {"xtick.major.size": 3, "xtick.minor.size": 3, "ytick.major.size": 0, "ytick.minor.size": 0}
    look |= {"axes.edgecolor": theme.grid, "axes.facecolor": "none", "figure.facecolor": "none"}
    look |= {"axes.labelcolor": theme.muted, "axes.labelsize": LETTERS, "axes.axisbelow": True}
    return look | {"axes.grid": True, "grid.color": theme.grid, "grid.linewidth": 0.7}
