"""Diagrams of all methods together: ranks with tie groups, performance profiles, tuning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from results.display import name, number, percent, plural, short, spanned
from results.figures import LETTERS, Hit, Style, Theme, place_ticks
from results.leaderboard import Leaderboard
from results.plots import SHORT_NAME, Point, draw_points
from results.profile import Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BANDS: Final = 4
"""Bands of more methods than these hide each other."""


def draw_ranks(axes: Axes, board: Leaderboard, look: dict[str, Style], theme: Theme) -> list[Hit]:
    """A critical-difference diagram: mean ranks, one line each, and bars that join what is not told apart.

    The bars are the board's tie groups; the length of Nemenyi's critical difference stands above, for display only.
    """
    ranked = [standing for standing in board.methods if standing.mean_rank is not None]
    groups = sorted({letter for standing in ranked for letter in standing.tie_group or ""})
    worst, hits = len(ranked), []
    step = 0.055 * (worst - 1)
    for row, s in enumerate(ranked):
        assert s.mean_rank is not None
        style = look[s.method]
        if s.rank_low is not None and s.rank_high is not None:
            axes.plot([s.rank_low, s.rank_high], [row, row], color=style.colour, lw=1.6, gid=style.group)
        axes.plot([s.mean_rank], [row], style.marker, color=style.colour, ms=5, gid=style.group)
        rank = spanned(s.mean_rank, s.rank_low, s.rank_high)
        hits.append(Hit(s.mean_rank, row, f"{name(s.method)}: mean rank {rank}, tie group {s.tie_group}"))
    for place, letter in enumerate(groups):
        rows = [row for row, standing in enumerate(ranked) if letter in (standing.tie_group or "")]
        at = worst + step * (1.5 + place)
        axes.plot([at] * len(rows), rows, color=theme.ink, lw=2, marker="o", ms=3)
        hits += [Hit(at, row, f"group {letter}: {plural(len(rows), 'method')} not told apart") for row in rows]
    top = -0.7
    if board.critical_difference is not None and board.critical_difference < worst - 1:
        top = -2.2
        axes.plot([1, 1 + board.critical_difference], [-1, -1], color=theme.muted, lw=1.5, marker="|", ms=6)
        text = f"Nemenyi's difference {number(board.critical_difference, 2)}"
        axes.text(1, -1.25, text, va="bottom", fontsize=LETTERS - 1, color=theme.muted)
    axes.set_xlim(1 - step, worst + step * (1 + len(groups)))
    axes.set_ylim(worst - 0.4, top)
    place_ticks(axes.yaxis, range(worst), [short(s.method, SHORT_NAME) for s in ranked])
    every = 1 if worst <= 8 else 2
    places = range(1, worst + 1, every)
    place_ticks(axes.xaxis, places, [str(rank) for rank in places])
    axes.set_xlabel("mean rank, 1 is best")
    return hits


def draw_profile(axes: Axes, profile: Profile, look: dict[str, Style]) -> list[Hit]:
    """The share of runs above each threshold, a falling line for each method, with bands where they are few."""
    hits = []
    every = max(1, len(profile.thresholds) // 10)
    for index, label in enumerate(profile.labels):
        style, shares = look[label], profile.shares[:, index]
        low, high = profile.low[:, index], profile.high[:, index]
        banded = not bool((low != low).any())
        if banded and len(profile.labels) <= MOST_BANDS:
            axes.fill_between(
                profile.thresholds, low, high, color=style.colour, alpha=0.12, lw=0, gid=style.group, step="post"
            )
        axes.plot(
            profile.thresholds,
            shares,
            style.line,
            color=style.colour,
            lw=1.3,
            marker=style.marker,
            ms=4,
            markevery=(index % every, every),
            drawstyle="steps-post",
            gid=style.group,
        )
        for place in range(index % every, len(profile.thresholds), every):
            band = f" [{percent(low[place])}, {percent(high[place])}]" if banded else ""
            text = f"{name(label)}: {percent(shares[place])}{band} of runs above {number(profile.thresholds[place])}"
            hits.append(Hit(float(profile.thresholds[place]), float(shares[place]), text))
    axes.set_ylim(-0.02, 1.02)
    place_ticks(axes.yaxis, [0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel(f"{name(profile.unit)} score")
    return hits


def draw_tuning(
    axes: Axes, curves: Mapping[str, Sequence[float | None]], look: dict[str, Style], theme: Theme
) -> list[Hit]:
    """The expected best validation score against the number of configurations tried, a line for each method."""
    hits, most = [], 1
    for label in (label for label in look if label in curves):
        points = [
            Point(
                tried, value, None, None, f"{name(label)}, {plural(tried, 'configuration')}: {number(value)} expected"
            )
            for tried, value in enumerate(curves[label], start=1)
            if value is not None
        ]
        most = max(most, len(curves[label]))
        if points:
            hits += draw_points(axes, points, look[label])
    every = max(1, most // 8)
    places = range(1, most + 1, every)
    place_ticks(axes.xaxis, places, [str(place) for place in places])
    axes.margins(x=0.06)
    axes.set_xlabel("configurations tried")
    return hits
