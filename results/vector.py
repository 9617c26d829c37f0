"""Matplotlib figures as SVG text, small and the same bytes every time, and as elements that go into a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALLER: Final = tuple(
    (re.compile(pattern, re.DOTALL), instead)
    for pattern, instead in (
        (r"<style.*?</style>|<defs>\s*</defs>", ""),
        (r' xmlns(:xlink)?="[^"]*"| version="1.1"', ""),
        (r' id="[a-z0-9.]+(_[0-9]+)+"', ""),
        (r' id="(method-\d+)"', r' class="\1"'),
        (r" font-family: [^;]*;|; stroke-dashoffset: 0|; stroke-linejoin: miter", ""),
        (r' transform="rotate\(-0 [^"]*"', ""),
        (r"(?<=<svg) width=\"[^\"]*\" height=\"[^\"]*\"", ""),
        (r"xlink:href", "href"),
        (r"(\.\d\d)\d+", r"\1"),
        (r'(?<=[:;]) (?=[^"<>]*"/?>)', ""),
        (r">\s+<", "><"),
        (r"\s+", " "),
        (r' "', '"'),
    )
)
"""What a page does not need of an SVG file, in this order."""

_OFFSET: Final = re.compile(r"(1e[-\u2212]?\d+)?(?:([+\u2212-])(.+))?")
"""Matplotlib's text for what the ticks of an axis leave out."""

_MARKERS: Final = re.compile(r'<g( clip-path="[^"]*")?>((?:<use [^>]*/>)+)</g>')


def furnish(axes: Axes, letters: str, grid: str, size: float) -> None:
    """Draw ticks, grid and axis label as plain lines and text: matplotlib's own take most of its time.

    The look is that of `results.figures.canvas`. ``letters`` and ``grid`` are colours, ``size`` points.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedLocator

    named_rows = isinstance(axes.yaxis.get_major_locator(), FixedLocator)
    shared: dict[bool, str] = {}
    axes.add_artist(Line2D([0, 1], [0, 0], color=grid, lw=0.8, transform=axes.transAxes, zorder=0.5, clip_on=False))
    for axis, vertical in ((axes.xaxis, True), (axes.yaxis, False)):
        low, high = sorted(axis.get_view_interval())
        places = [place for place in axis.get_majorticklocs() if low <= place <= high]
        texts = axis.get_major_formatter().format_ticks(places)
        shared[vertical] = _shared(axis.get_major_formatter().get_offset())
        ends = [0.0, 1.0, float("nan")] * len(places)
        along = [place for place in places for _ in range(3)]
        transform = axes.get_xaxis_transform() if vertical else axes.get_yaxis_transform()
        if vertical or not named_rows:
            x, y = (along, ends) if vertical else (ends, along)
            axes.add_artist(Line2D(x, y, color=grid, lw=0.7, transform=transform, zorder=0.5, clip_on=False))
        for place, text in zip(places, texts, strict=True):
            at = (place, 0) if vertical else (0, place)
            axes.annotate(
                text.replace(r"\$", "$"),
                at,
                (0, -5) if vertical else (-5, 0),
                xycoords=transform,
                textcoords="offset points",
                ha="center" if vertical else "right",
                va="top" if vertical else "center",
                fontsize=size,
                color=letters,
                parse_math=False,
                annotation_clip=False,
            )
    below = f"{axes.get_xlabel()}  {shared[True]}".strip()
    for label, at, offset, side in ((below, (0.5, 0), (0, -20), "center"), (shared[False], (0, 1), (-44, 12), "left")):
        if label:
            axes.annotate(
                label,
                at,
                offset,
                xycoords="axes fraction",
                textcoords="offset points",
                ha=side,
                va="top",
                fontsize=size,
                color=letters,
                parse_math=False,
            )
    axes.set_axis_off()
    axes.figure.patch.set_visible(False)


def _shared(offset: str) -> str:
    """What the ticks of an axis leave out, as in ``× 1e−9 + 5e−1``: the factor first, then what is added."""
    parts = _OFFSET.fullmatch(offset)
    if parts is None:
        return offset
    factor, sign, added = parts.groups()
    return " ".join([*(["×", factor] if factor else []), *([sign, added] if sign else [])])


def element(
    figure: Figure, identity: str, colours: Mapping[str, str], hits: Sequence[tuple[float, float, str]] = ()
) -> str:
    """The figure as an element inside HTML, its colours replaced, with a named spot over each of its values.

    ``hits`` are distances from the left and upper edge, in points, with the text of each.
    """
    svg = text(figure, identity)
    svg = svg[svg.index("<svg") :]
    for pattern, instead in _SMALLER:
        svg = pattern.sub(instead, svg)
    svg = _MARKERS.sub(_one_style, svg)
    svg = re.sub(r"#0000[01][0-9a-f]", lambda found: colours.get(found[0], found[0]), svg).strip()
    spots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}"><title>{escape(said)}</title></circle>' for x, y, said in hits)
    return svg.removesuffix("</svg>") + (f'<g class="hits">{spots}</g></svg>' if spots else "</svg>")


def _one_style(group: re.Match[str]) -> str:
    """Markers of one line with their style said once."""
    styles = set(re.findall(r' style="[^"]*"', group[2]))
    if len(styles) != 1:
        return group[0]
    style = styles.pop()
    return f"<g{group[1] or ''}{style}>{group[2].replace(style, '')}</g>"


def text(figure: Figure, identity: str) -> str:
    """The figure as the text of an SVG file. ``identity`` seeds its internal names."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": identity, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name's letters may be missing from the font that only measures them
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.DOTALL)


def marker_path(marker: str, size: float, at: tuple[float, float]) -> str:
    """The outline of one marker as SVG path data, ``size`` wide around a place."""
    from matplotlib.markers import MarkerStyle
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    style = MarkerStyle(marker)
    shape = style.get_path().transformed(style.get_transform() + Affine2D().scale(size, -size).translate(*at))
    commands = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    parts = []
    for points, code in shape.iter_segments(simplify=False):
        letter = commands[code]
        parts.append(letter if letter == "Z" else letter + " ".join(f"{value:.2f}" for value in points))
    return "".join(parts)
