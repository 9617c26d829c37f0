"""Empty figures, the look of methods, and SVG text. The only module that imports matplotlib, and only when it draws.

On the page colours are CSS variables, so that one drawing suits light and dark; in a picture file they are fixed.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#b5488d", "#e69f00", "#3d9bd9", "#7a5195", "#8c6d31")
"""Colours on a light ground that colour-blind readers can tell apart; the marker tells them apart a second time."""

SERIES_DARK: Final = ("#4ba3e0", "#ff8a4c", "#35cfa2", "#ee9ccb", "#f5bc42", "#9bd3f7", "#bb96dc", "#cbae65")
MARKERS: Final = ("o", "s", "D", "^", "v", "P", "X", "p", "h", "<", ">")
BASELINE_MARKER: Final = "o"
PANEL_WIDTH: Final = 310
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
        axes.tick_params(colors=theme.muted, labelsize=LETTERS, length=3, which="both")
        axes.tick_params(axis="y", length=0)
        axes.grid(color=theme.grid, lw=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.label.set(color=theme.muted, fontsize=LETTERS)
        axes.set_title("", y=1.02)  # a fixed place: to look for one costs a third of the drawing
    figure.patch.set_visible(False)
    return figure, every


def panel(identity: str, draw: Callable[[Axes], None], height: float = 220, left: float = 48) -> str:
    """One small figure for the page. ``identity`` keeps its internal names apart from those of other figures."""
    figure, (axes,) = canvas(PANEL_WIDTH, height, PAGE)
    figure.subplots_adjust(left / PANEL_WIDTH, 40 / height, 1 - 10 / PANEL_WIDTH, 1 - 18 / height)
    draw(axes)
    return svg(figure, identity)


def mark(identity: str, style: Style) -> str:
    """The key of one label: a short line with its marker."""
    figure, (axes,) = canvas(26, 12, PAGE)
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set_axis_off()
    axes.set(xlim=(0, 26), ylim=(0, 12))
    axes.plot([1, 25], [6, 6], style.line, color=style.colour, lw=1)
    axes.plot([13], [6], style.marker, color=style.colour, ms=6)
    return svg(figure, identity)


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
        path.write_text(svg(figure, path.name, page=False), "utf-8")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(path, dpi=160, metadata={"Software": None})


def svg(figure: Figure, identity: str, page: bool = True) -> str:
    """The figure as SVG text, the same bytes every time; for the page as an element that goes into HTML."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": identity, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name's letters may be missing from the font that only measures them
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
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
