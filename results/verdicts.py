"""The tables that hold claims: verdicts, differences and standings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, fields

import pyarrow as pa
import pyarrow.compute as pc

from results import display
from results.compare import Comparison, TaskComparison
from results.costs import COSTS, SHOWN
from results.display import name, number
from results.findings import Findings
from results.leaderboard import Leaderboard, Standing
from results.listing import Item, Listing, cost_text, listing, named, size_of, valued, words
from results.power import cannot_decide
from results.statistics import ALPHA


def verdict_listing(found: Findings) -> Listing:
    """Each method against the baseline over all tasks and sizes: the word, and the interval behind it."""
    comparisons = found.headline()
    united = any(c.mean_difference is not None for c in comparisons)
    standings = {standing.method: standing for standing in found.boards[0].methods}
    lines = []
    for c in comparisons:
        standing = standings[c.candidate]
        rank = display.spanned(standing.mean_rank, standing.rank_low, standing.rank_high)
        lines.append(
            [
                named(c.candidate),
                Item(c.verdict, kind=f"verdict {c.verdict}"),
                difference(c) if united else valued(standing.mean_rank, rank),
                valued(c.wins - c.losses, _record(c)),
                valued(c.p_holm, display.p_value(c.p_holm)),
                _single_cells([task for task in found.per_task if task.candidate == c.candidate]),
            ]
        )
    unit = next((c.unit for c in comparisons if c.unit), None)
    shown = f"difference, {name(unit)} [95 %]" if united else "mean rank [95 %]"
    columns = {"method": False, f"against {name(found.baseline, 24)}": False, shown: True}
    columns |= {"tasks won – tied – lost": True, "Holm p": True, "single cells above – below": True}
    return listing("verdicts", columns, lines)


def _single_cells(comparisons: Sequence[TaskComparison]) -> Item:
    """In how many cells the paired difference of the seeds is told apart from zero, on either side."""
    told = [c.mean_difference or 0.0 for c in comparisons if c.p_holm is not None and c.p_holm < ALPHA]
    above, below = sum(mean > 0 for mean in told), sum(mean < 0 for mean in told)
    return valued(above - below, f"{above} – {below} of {len(comparisons)}".replace(" ", display.GLUE))


def _record(c: Comparison) -> str:
    return f"{c.wins} – {c.ties} – {c.losses}".replace(" ", display.GLUE)


def difference(comparison: Comparison | TaskComparison) -> Item:
    """A mean difference with its interval."""
    mean = comparison.mean_difference
    return valued(mean, display.spanned(mean, comparison.interval_low, comparison.interval_high, sign=True))


def sentences(note: str) -> list[str]:
    """The single sentences of a comparison's note."""
    return [sentence for sentence in re.split(r"(?<=\.) (?=[A-Z0-9])", note) if sentence]


def shared_notes(comparisons: Sequence[Comparison], question: str) -> list[str]:
    """The sentences that stand in the note of every comparison for this question."""
    notes = [sentences(c.note) for c in comparisons if c.question == question]
    return [sentence for sentence in notes[0] if all(sentence in note for note in notes)] if notes else []


def comparison_listing(comparisons: Sequence[Comparison], question: str) -> Listing:
    """The comparisons that answer one question, all sizes together and each alone, without what all notes share."""
    columns = {"target examples": True, "method": False, "verdict": False, "unit": False}
    columns |= {"difference [95 %]": True, "Hodges-Lehmann": True, "P(better)": True, "won – tied – lost": True}
    columns |= {"p": True, "Holm p": True, "smallest detectable": True, "tasks": True, "seeds": True, "note": False}
    shared = shared_notes(comparisons, question)
    lines = [
        [
            size_of(c.target_size, "all"),
            named(c.candidate),
            Item(c.verdict, kind=f"verdict {c.verdict}"),
            named(c.unit),
            difference(c),
            valued(c.hodges_lehmann, display.signed(c.hodges_lehmann)),
            valued(c.probability_better, number(c.probability_better, 2)),
            valued(c.wins - c.losses, _record(c)),
            valued(c.p_value, display.p_value(c.p_value)),
            valued(c.p_holm, display.p_value(c.p_holm)),
            valued(c.smallest_detectable, number(c.smallest_detectable)),
            valued(c.tasks, display.count(c.tasks)),
            valued(c.seeds, display.count(c.seeds)),
            Item(" ".join(note for note in sentences(c.note) if note not in shared) or display.DASH, kind="words"),
        ]
        for c in comparisons
        if c.question == question
    ]
    return listing(f"comparisons-{question}", columns, lines)


def task_comparison_listing(comparisons: Sequence[TaskComparison]) -> Listing:
    """Every paired difference inside one task, in native units."""
    columns = {"task": False, "target examples": True, "method": False, "metric": False, "difference [95 %]": True}
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
            valued(
                c.candidate_failures, display.count(c.candidate_failures), "lacking" if c.candidate_failures else ""
            ),
            valued(c.baseline_failures, display.count(c.baseline_failures), "lacking" if c.baseline_failures else ""),
        ]
        for c in comparisons
    ]
    columns |= {"p": True, "Holm p": True, "paired seeds": True, "failed": True, "baseline failed": True}
    return listing("task-comparisons", columns, lines)


def board_listing(board: Leaderboard) -> Listing:
    """The standings of one board, best mean rank first."""
    columns = {
        "method": False,
        "ties": False,
        "mean rank [95 %]": True,
        "win rate": True,
        "IQM [95 %]": True,
        "Elo [95 %]": True,
    }
    priced = any(standing.price is not None for standing in board.methods)
    costs = SHOWN if priced else COSTS
    columns |= {"source kept": True} | {words(column): True for column in costs}
    columns |= {"coverage": True, "tasks": True, "seeds": True, "failed": True, "declined": True, "tuned": True}
    identity = "board" if board.target_size is None else f"board-{board.target_size}"
    return listing(identity, columns, [_standing(standing, costs) for standing in board.methods])


def _standing(s: Standing, costs: Sequence[str]) -> list[Item]:
    return [
        named(s.method),
        Item(s.tie_group or display.DASH),
        valued(s.mean_rank, display.spanned(s.mean_rank, s.rank_low, s.rank_high)),
        valued(s.win_rate, display.percent(s.win_rate)),
        valued(s.iqm, display.spanned(s.iqm, s.iqm_low, s.iqm_high)),
        valued(s.elo, display.spanned(s.elo, s.elo_low, s.elo_high)),
        valued(s.source_retention, display.percent(s.source_retention)),
        *(valued(getattr(s, column), cost_text(getattr(s, column), column)) for column in costs),
        valued(s.coverage, display.percent(s.coverage)),
        *(valued(n, display.count(n)) for n in (s.tasks, s.seeds)),
        *(valued(n, display.count(n), "lacking" if n else "") for n in (s.failures, s.declined)),
        valued(s.tuning_configs, display.count(s.tuning_configs)),
    ]


def board_words(board: Leaderboard) -> str:
    """What the board's test says, with its numbers."""
    cells = display.plural(board.cells, "task-size cell")
    said = [f"{display.plural(board.tasks, 'task')}, {cells} that all ranked methods have."]
    ranked = sum(standing.mean_rank is not None for standing in board.methods)
    said += [sentence] if (sentence := cannot_decide(board.tasks, ranked)) else []
    if board.friedman_p is not None:
        test = f"Friedman chi² {number(board.friedman_chi2)}, p {display.p_value(board.friedman_p)}"
        if board.iman_davenport_p is not None:
            test += f"; Iman-Davenport F {number(board.iman_davenport_f)}, p {display.p_value(board.iman_davenport_p)}"
        said.append(f"{test} (both corrected for ties).")
    if board.critical_difference is not None:
        said.append(f"Nemenyi critical difference of mean ranks {number(board.critical_difference)}, for display only.")
    return " ".join(said)


def spreadsheet_safe(table: pa.Table) -> pa.Table:
    """The same table with an apostrophe before each text that a spreadsheet would take for a formula."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            safe = pc.replace_substring_regex(table[field.name], r"\A([=+\-@\t\r\n])", r"'\1")
            table = table.set_column(index, field, safe)
    return table


def board_table(boards: Sequence[Leaderboard]) -> pa.Table:
    """All standings as one table with a ``target_size`` column, null over all sizes."""
    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema(
        [("target_size", pa.int64())]
        + [(field.name, kinds[str(field.type).removesuffix(" | None")]) for field in fields(Standing)]
    )
    standings = [{"target_size": board.target_size} | asdict(s) for board in boards for s in board.methods]
    return pa.Table.from_pylist(standings, schema=schema)
