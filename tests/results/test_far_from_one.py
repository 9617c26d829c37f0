"""Scores far from 1, or close together: what a reader sees of them, in words, tables and on axes, is what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from results import schema
from results.display import interval, percent, short, spanned
from results.figures import PAGE, panel, styles
from results.plots import Point, draw_cost
from results.report import write_report
from tests.results.campaigns import Row, campaign

SCALES = {"tiny": (1e-9, 0.0), "huge": (1e12, 0.0), "close": (1e-6, 0.5), "far": (1.0, 1e9), "immense": (-1e90, 0.0)}
FIGURES = ("score-1", "task-difference-1", "difference-all", "source-1", "cost-1", "profile-all", "tuning-1")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1.2e-9, -3e-10, 2.7e-9), "1.2e−09 [−3e−10, 2.7e−09]"),
        ((1e12, 9e11, 1.1e12), "1.00e+12 [9.0e+11, 1.10e+12]"),
        ((0.3, 0.29, 0.31), "0.300 [0.290, 0.310]"),
        ((0.3, 0.3, 0.3), "0.3000 [0.3000, 0.3000]"),
        ((5e-10, 5e-10, 5e-10), "5.000e−10 [5.000e−10, 5.000e−10]"),
        ((123456789.0, 123455789.0, 123457789.0), "123,456,789 [123,455,789, 123,457,789]"),
        ((0.0, -1e-12, 1e-12), "0 [−1.0e−12, 1.0e−12]"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
        ((5e-324, 0.0, 5e-324), "4.9e−324 [0, 4.9e−324]"),
        ((0.0, -1e308, 1e308), "0 [−1.000e+308, 1.000e+308]"),
    ],
)
def test_intervals_keep_their_digits(values: tuple[float, float, float], text: str) -> None:
    """A mean and its limits end at the same digit, with powers of ten where fixed places would show zeros."""
    assert spanned(*values).replace("\u00a0", " ") == text
    assert interval(*values[1:]).replace("\u00a0", " ") == text[text.index("[") :]


def test_shares_close_to_the_ends_are_not_the_ends() -> None:
    """Nearly nothing is not nothing, and nearly all is not all."""
    shares = [0.0, 0.004, 0.006, 0.5, 0.994, 0.997, 1.0]
    assert [percent(share).replace("\u00a0", " ") for share in shares] == [
        "0 %",
        "< 1 %",
        "1 %",
        "50 %",
        "99 %",
        "> 99 %",
        "100 %",
    ]


def test_short_names_fit() -> None:
    """Wide letters count for more, so that a name fits the place that it gets."""
    assert short("fine_tuning", 11) == "fine_tuning"
    assert short("fine_tuning", 8) == "fine_tu…"
    assert len(short("深" * 40, 20)) <= 11
    assert len(short("W" * 40, 14)) <= 11


def ticks(svg: str) -> dict[str, list[float]]:
    """What the numbers on each axis stand for, with the factor and the term that its ticks share."""
    found: dict[str, list[float]] = {}
    words = re.findall(r"<text([^>]*)>([^<]*)</text>", svg)
    shared = {"middle": "", "end": ""}
    for style, text in words:
        if said := re.search(r"(?:^|  | )((?:× )?1e−?\d+(?: [+−] [\de.−]+)?|[+−] [\de.−]+)$", text):
            shared["middle" if "middle" in style else "end"] = said[1]
    for style, text in words:
        if re.fullmatch(r"−?[\d,.]+(e[−-]?\d+)?[kMGTP]?", text):
            side = "middle" if "middle" in style else "end"
            found.setdefault(side, []).append(stands_for(text, shared[side]))
    return found


def stands_for(text: str, shared: str) -> float:
    value = float(text.replace(",", "").replace("−", "-").rstrip("kMGTP"))
    value *= {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    if factor := re.search(r"1e(−?\d+)", shared if shared.startswith("×") else ""):
        value *= 10.0 ** int(factor[1].replace("−", "-"))
    if term := re.search(r"(?:^| )([+−]) ([\de.−]+)$", shared):
        value += (1 if term[1] == "+" else -1) * float(term[2].replace("−", "-"))
    return value


@pytest.mark.parametrize("scale", SCALES)
def test_axes_say_what_they_show(scale: str, tmp_path: Path) -> None:
    """On every figure the ticks of the score axis, read with what they share, lie where the scores do, each once."""
    factor, shift = SCALES[scale]

    def moved(row: Row) -> None:
        for column in ("score_test", "score_validation", "score_source_before", "score_source_after"):
            if row[column] is not None:
                row[column] = float(str(row[column])) * factor + shift

    rows = campaign(tasks={f"t{place}": ("accuracy", True) for place in range(3)}, change=moved)
    paths = write_report(schema.table(rows), tmp_path)
    html = paths["report.html"].read_text("utf-8")
    for identity in FIGURES:
        drawn = re.search(rf'id="{identity}".*?</figure>', html, re.DOTALL)
        assert drawn, identity
        across = identity in {"task-difference-1", "difference-all", "profile-all"}
        shown = ticks(drawn[0])["middle" if across else "end"]
        assert len(shown) == len(set(shown)) >= 2, (identity, shown)
        middle = 0.0 if "difference" in identity else shift + 0.6 * factor
        largest = max(abs(value - middle) for value in shown)
        assert 0.05 * abs(factor) < largest < 2 * abs(factor), (identity, shown)
    lead = re.search(r'class="lead">(.*?)</p>', html)
    assert lead
    assert " 0 [" not in lead[1]
    assert "0.000000" not in lead[1]


def test_costs_close_together_have_their_own_ticks() -> None:
    """Costs that differ in the seventh digit are not shown as one number many times."""
    points = {label: Point(1e6 + x, 0.5 + x / 10, None, None, label) for x, label in enumerate("ab")}
    look = styles(points, None, PAGE)
    svg = panel("close", lambda axes: draw_cost(axes, points, "parameters", look, PAGE))
    shown = ticks(svg)["middle"]
    assert len(shown) == len(set(shown)) >= 3
    assert all(abs(value - 1e6) < 3 for value in shown)
