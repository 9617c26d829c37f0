"""The tables that hold claims: verdicts, differences and standings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

import pyarrow as pa

from results import display
from results.compare import Comparison, TaskComparison
from results.display import name, number
from results.findings import Findings
from results.leaderboard import COSTS, Leaderboard, Standing
from results.listing import Item, Listing, cost_text, listing, named, size_of, valued, words


def verdict_listing(found: Findings) -> Listing:
    """Each method against the baseline over all tasks and sizes: the word, and the interval behind it."""
    comparisons = found.headline()
    united = any(c.mean_difference is not None for c in comparisons)
    standings = {standing.method: standing for standing in found.boards[0].methods}
    lines = []
    for c in sorted(comparisons, key=lambda c: (standings[c.candidate].mean_rank or 1e9, c.candidate)):
        standing = standings[c.candidate]
        rank = (standing.mean_rank, f"{number(standing.mean_rank)} {display.interval(standing.rank_low, standing.rank_high)}")
        lines.append(
            [
                named(c.candidate),
                Item(c.verdict, kind=f"verdict {c.verdict}"),
                difference(c) if united else valued(*rank),
                valued(c.wins - c.losses, f"{c.wins} – {c.ties} – {c.losses}"),
                valued(c.p_holm, display.p_value(c.p_holm)),
            ]
        )
    unit = next((c.unit for c in comparisons if c.unit), None)
    shown = f"difference, {name(unit)} [95 %]" if united else "mean rank [95 %]"
    columns = {"method": False, f"against {name(found.baseline, 24)}": False, shown: True}
    return listing("verdicts", columns | {"tasks won – tied – lost": True, "Holm p": True}, lines)


def difference(comparison: Comparison) -> Item:
    """A mean difference with its interval."""
    text = display.signed(comparison.mean_difference)
    limits = display.interval(comparison.interval_low, comparison.interval_high)
    return valued(comparison.mean_difference, text if limits == display.DASH else f"{text} {limits}")


def comparison_listing(comparisons: Sequence[Comparison]) -> Listing:
    """Every comparison over tasks: both questions, all sizes together and each alone."""
    columns = {"question": False, "target examples": True, "method": False, "verdict": False, "unit": False}
    columns |= {"difference [95 %]": True, "Hodges-Lehmann": True, "P(better)": True, "won – tied – lost": True}
    columns |= {"p": True, "Holm p": True, "smallest detectable": True, "tasks": True, "seeds": True, "note": False}
    lines = [
        [
            Item({"population": "other tasks like these", "fixed": "these tasks, other seeds"}.get(c.question, c.question)),
            size_of(c.target_size, "all"),
            named(c.candidate),
            Item(c.verdict, kind=f"verdict {c.verdict}"),
            named(c.unit),
            difference(c),
            valued(c.hodges_lehmann, display.signed(c.hodges_lehmann)),
            valued(c.probability_better, number(c.probability_better, 2)),
            valued(c.wins - c.losses, f"{c.wins} – {c.ties} – {c.losses}"),
            valued(c.p_value, display.p_value(c.p_value)),
            valued(c.p_holm, display.p_value(c.p_holm)),
            valued(c.smallest_detectable, number(c.smallest_detectable)),
            valued(c.tasks, display.count(c.tasks)),
            valued(c.seeds, display.count(c.seeds)),
            Item(c.note),
        ]
        for c in sorted(comparisons, key=lambda c: c.question != "population")
    ]
    return listing("comparisons", columns, lines)


def task_comparison_listing(comparisons: Sequence[TaskComparison]) -> Listing:
    """Every paired difference inside one task, in native units."""
    columns = {"task": False, "target examples": True, "method": False, "metric": False, "difference [95 %]": True}
    lines = [
        [
            named(c.task),
            size_of(c.target_size),
            named(c.candidate),
            named(c.metric),
            difference(c),
            valued(c.p_value, display.p_value(c.p_value)),
            valued(c.p_holm, display.p_value(c.p_holm)),
            valued(c.seeds, display.count(c.seeds)),
            valued(c.candidate_failures, display.count(c.candidate_failures), "lacking" if c.candidate_failures else ""),
            valued(c.baseline_failures, display.count(c.baseline_failures), "lacking" if c.baseline_failures else ""),
        ]
        for c in comparisons
    ]
    columns |= {"p": True, "Holm p": True, "paired seeds": True, "failed": True, "baseline failed": True}
    return listing("task-comparisons", columns, lines)


def board_listing(board: Leaderboard) -> Listing:
    """The standings of one board, best mean rank first."""
    columns = {"method": False, "ties": False, "mean rank [95 %]": True, "win rate": True, "IQM": True, "Elo [95 %]": True}
    columns |= {"source kept": True} | {words(column): True for column in COSTS}
    columns |= {"coverage": True, "tasks": True, "seeds": True, "failed": True, "declined": True, "tuned": True}
    identity = "board" if board.target_size is None else f"board-{board.target_size}"
    return listing(identity, columns, [_standing(standing) for standing in board.methods])


def _standing(s: Standing) -> list[Item]:
    return [
        named(s.method),
        Item(s.tie_group or display.DASH),
        _with_interval(s.mean_rank, s.rank_low, s.rank_high, 3),
        valued(s.win_rate, display.percent(s.win_rate)),
        valued(s.iqm, number(s.iqm)),
        _with_interval(s.elo, s.elo_low, s.elo_high, 4),
        valued(s.source_retention, display.percent(s.source_retention)),
        *(valued(getattr(s, column), cost_text(getattr(s, column), column)) for column in COSTS),
        valued(s.coverage, display.percent(s.coverage)),
        *(valued(n, display.count(n)) for n in (s.tasks, s.seeds)),
        *(valued(n, display.count(n), "lacking" if n else "") for n in (s.failures, s.declined)),
        valued(s.tuning_configs, display.count(s.tuning_configs)),
    ]


def _with_interval(value: float | None, low: float | None, high: float | None, digits: int) -> Item:
    limits = display.interval(low, high)
    return valued(value, number(value, digits) + ("" if limits == display.DASH else f" {limits}"))


def board_words(board: Leaderboard) -> str:
    """What the board's test says, with its numbers."""
    said = [f"{display.plural(board.tasks, 'task')}, {display.plural(board.cells, 'cell')} that all ranked methods have."]
    if board.friedman_p is not None:
        test = f"Friedman chi² {number(board.friedman_chi2)}, p {display.p_value(board.friedman_p)}"
        if board.iman_davenport_p is not None:
            test += f"; Iman-Davenport F {number(board.iman_davenport_f)}, p {display.p_value(board.iman_davenport_p)}"
        said.append(f"{test} (both corrected for ties).")
    if board.critical_difference is not None:
        said.append(f"Nemenyi critical difference of mean ranks {number(board.critical_difference)}, for display only.")
    return " ".join(said)


def board_table(boards: Sequence[Leaderboard]) -> pa.Table:
    """All standings as one table with a ``target_size`` column, null over all sizes."""
    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema(
        [("target_size", pa.int64())]
        + [(field.name, kinds[str(field.type).removesuffix(" | None")]) for field in fields(Standing)]
    )
    standings = [{"target_size": board.target_size} | asdict(s) for board in boards for s in board.methods]
    return pa.Table.from_pylist(standings, schema=schema)
