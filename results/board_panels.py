"""The figures of all methods over all tasks, and the sentence under each that says how to read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from results import figures, plots
from results.diagrams import draw_profile, draw_ranks, draw_tuning
from results.display import name, plural, spanned
from results.figures import PAGE, Style
from results.gallery import MOST_TASKS, Gallery, Panel, left_out
from results.leaderboard import Leaderboard
from results.listing import axis_words, cost_text, size_words, words
from results.pareto import Front
from results.plots import Point
from results.profile import Profile
from results.tuning_curve import TuningCurve, mean_curves


def rank_gallery(boards: Sequence[Leaderboard], look: dict[str, Style]) -> Gallery:
    """Critical-difference diagrams: over all target sizes, then at each."""
    panels = []
    for board in boards:
        lines = sum(standing.mean_rank is not None for standing in board.methods)
        if lines < 2:
            continue
        identity = f"ranks-{board.target_size or 'all'}"
        draw = partial(draw_ranks, board=board, look=look, theme=PAGE)
        svg = figures.panel(identity, draw, height=62 + 19 * (lines + 2), left=120)
        panels.append(Panel(identity, size_words(board.target_size), plural(board.tasks, "task"), svg))
    return Gallery(
        "critical-difference",
        "Critical-difference diagram",
        "Ranks",
        tuple(panels),
        "Each point is a method's mean rank over tasks with its 95 % interval, better to the left; methods on one bar "
        "at the right are not told apart by signed-rank tests of all pairs (Holm), and the short line above, where it "
        "fits, shows how far apart mean ranks would have to be by Nemenyi's test, which depends on who else is there.",
        keyed=False,
    )


def profile_gallery(profile: Profile | None, look: dict[str, Style]) -> Gallery:
    """The performance profile of all methods, where tasks have a common unit."""
    panels = []
    if profile is not None:
        svg = figures.panel("profile-all", partial(draw_profile, profile=profile, look=look), height=300, width=640)
        cells = f"{plural(profile.tasks, 'task')}, {plural(profile.cells, 'task-size cell')}"
        panels.append(Panel("profile-all", "Share of runs above a score", cells, svg, wide=True))
    return Gallery(
        "performance-profile",
        "Performance profile",
        "Profile",
        tuple(panels),
        "Each line says what share of a method's runs score above the value below it, every task weighing the same; a "
        "line above another everywhere is better at every level, and lines that cross are each better somewhere. "
        "Pointing at a marker tells its 95 % band over other tasks and seeds.",
    )


def pareto_gallery(fronts: Sequence[Front], look: dict[str, Style]) -> Gallery:
    """Mean rank against each cost that was measured."""
    panels = []
    for front in fronts:
        points = {
            worth.method: Point(
                worth.cost,
                -worth.mean_rank,
                None if worth.rank_high is None else -worth.rank_high,
                None if worth.rank_low is None else -worth.rank_low,
                f"{name(worth.method)}, {cost_text(worth.cost, front.cost)}: "
                f"mean rank {spanned(worth.mean_rank, worth.rank_low, worth.rank_high)}",
            )
            for worth in front.methods
            if worth.cost is not None
        }
        if len(points) < 2:
            continue
        corners = [worth.method for worth in front.methods if worth.group == "front"]
        title = axis_words(front.cost)
        draw = partial(plots.draw_cost, points=points, words=title, look=look, theme=PAGE, front=corners, ranks=True)
        identity = f"pareto-{front.cost.replace('_', '-')}"
        cells = f"mean rank, {plural(front.tasks, 'task')}, {plural(front.cells, 'task-size cell')}"
        panels.append(Panel(identity, words(front.cost).capitalize(), cells, figures.panel(identity, draw)))
    return Gallery(
        "pareto",
        "Rank against cost",
        "Pareto",
        tuple(panels),
        "Each point is a method: across, its mean cost over tasks; up, its mean rank with the 95 % interval, 1 at the "
        "top. The dotted line joins the methods that no cheaper one outranks; what lies below it costs more than a "
        "method with a better mean rank, though where intervals overlap these rows may not tell the two apart.",
    )


def tuning_gallery(curves: Sequence[TuningCurve], obstacle: str | None, look: dict[str, Style]) -> Gallery:
    """The tuning curve: over tasks where they have anchors, then a panel for each task at its largest target size."""
    panels = []
    tuned = [curve for curve in curves if len(curve.expected) > 1 and curve.label in look]
    averaged = {label: line for label, line in mean_curves(tuned).items() if len(line) > 1}
    by_task: dict[str, list[TuningCurve]] = defaultdict(list)
    for curve in tuned:
        by_task[curve.task].append(curve)
    if averaged and len({curve.family for curve in tuned}) > 1:
        svg = figures.panel("tuning-all", partial(draw_tuning, curves=averaged, look=look, theme=PAGE))
        tasks = plural(len({curve.family for curve in tuned}), "task")
        panels.append(Panel("tuning-all", tasks, "normalised validation score, all target sizes", svg))
    for index, (task, mine) in enumerate(sorted(by_task.items())[:MOST_TASKS]):
        largest = max(curve.target_size or 0 for curve in mine)
        shown = {curve.label: curve.expected for curve in mine if (curve.target_size or 0) == largest}
        svg = figures.panel(f"tuning-{index + 1}", partial(draw_tuning, curves=shown, look=look, theme=PAGE))
        metric = f"{name(mine[0].metric)}, {'higher' if mine[0].higher_is_better else 'lower'} is better"
        size = f", n = {largest:,}" if largest else ""
        panels.append(Panel(f"tuning-{index + 1}", name(task), f"validation {metric}{size}", svg))
    read = (
        "Each line is the best validation score to be expected after trying so many of a method's configurations in "
        "random order (unbiased, over the tuning seeds): where it still rises, more tuning would help, and lines that "
        "cross mean that the answer depends on the tuning budget. It says nothing about test scores."
    )
    return Gallery(
        "tuning-curve",
        "What tuning buys",
        "Tuning",
        tuple(panels),
        f"No curve is drawn: {obstacle}." if obstacle else read,
        left_out=left_out(len(by_task), "configuration-table", "Selected configurations"),
        stands=obstacle is not None,
    )
