"""The commands that judge methods: leaderboard and compare. Neither torch nor Ray is imported."""

from __future__ import annotations

import dataclasses
import math
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape

from harness.commands_results import judged_rows, judged_source, read_source
from harness.errors import UserError, nearest
from harness.terminal import json_text, show
from results import display
from results.beside import Beside, beside
from results.compare import QUESTIONS, Comparison, compare
from results.leaderboard import Leaderboard, Standing, leaderboard
from results.listing import cost_text, words
from results.merging import JUDGED, Source
from results.pareto import GROUPS, Front
from results.pivot import pivot
from results.power import cannot_decide
from results.sensitivity import Sensitivity, sensitivity
from results.verdicts import sentences

ASKED = {"population": "Other tasks like these", "fixed": "These tasks, other seeds"}


def leaderboard_command(options: Namespace) -> int:
    """Print the leaderboard over all target sizes."""
    rows = judged_rows(options.folders, JUDGED)
    try:
        grid = pivot(rows)
        board, steadiness = leaderboard(grid), sensitivity(grid)
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.json:
        print(json_text(dataclasses.asdict(board) | {"sensitivity": dataclasses.asdict(steadiness)}))
        return 0
    console = Console()
    if not board.methods:
        console.print("There are no final trials among these rows yet, so nothing is ranked.")
        return 0
    _show_board(console, board)
    for front in board.pareto:
        console.print(escape(_worth(front)))
    if any(steadiness.first_of.values()):
        console.print(escape(_owes(steadiness)))
    return 0


def _show_board(console: Console, board: Leaderboard) -> None:
    tasks = f"{board.tasks} of {display.plural(board.all_tasks, 'task')}"
    cells = f"{board.cells} of {display.plural(board.all_cells, 'task-size cell')}"
    console.print(f"Over {tasks} and {cells}: what all ranked methods have.")
    lines: list[list[Any]] = [
        [
            display.name(m.method, 24),
            display.spanned(m.mean_rank, m.rank_low, m.rank_high),
            m.tie_group,
            display.percent(m.win_rate),
            display.spanned(m.iqm, m.iqm_low, m.iqm_high),
            _elo(m),
        ]
        for m in board.methods
    ]
    show(console, ["method", "mean rank [95 %]", "tie", "wins", "IQM [95 %]", "Elo [95 %]"], lines, tight=True)
    console.print()
    costs: list[list[Any]] = [
        [
            display.name(m.method, 24),
            m.tasks,
            m.seeds,
            display.percent(m.coverage),
            f"{m.failures}/{m.trials}",
            m.declined or None,
            m.tuning_configs,
            cost_text(m.trained_parameters, "trained_parameters"),
            cost_text(m.adapt_seconds, "adapt_seconds"),
            cost_text(m.peak_memory_bytes, "peak_memory_bytes"),
            cost_text(m.training_flops, "training_flops").replace("FLOP", ""),
            display.percent(m.source_retention),
        ]
        for m in board.methods
    ]
    header = [
        "method",
        "tasks",
        "seeds",
        "cells",
        "failed",
        "declined",
        "tuned",
        "trains",
        "time",
        "memory",
        "FLOPs",
        "kept",
    ]
    show(console, header, costs, tight=True)
    said = ["cells: share of the board's cells that the method has"]
    said += ["tuned: configurations tried"] if any(m.tuning_configs is not None for m in board.methods) else []
    said += (
        ["kept: share of the source score after the transfer"] if any(m.source_retention for m in board.methods) else []
    )
    if any(m.adapt_seconds is not None or m.peak_memory_bytes is not None for m in board.methods):
        said.append("time and memory only where trials had their device alone")
    console.print(f"{'; '.join(said)}.")
    console.print("Methods that share a letter under `tie` cannot be told apart by these rows.")
    if board.friedman_p is not None:
        console.print(f"Do any differ? Friedman p {display.p_value(board.friedman_p)} (corrected for ties).")
    if sentence := cannot_decide(board.tasks, sum(m.mean_rank is not None for m in board.methods)):
        console.print(sentence)
    if board.tasks == 1:
        console.print("A single task: no interval, and no claim about other tasks.")


def _elo(standing: Standing) -> str:
    if standing.elo is None or standing.elo_low is None or standing.elo_high is None:
        return display.count(standing.elo)
    return f"{standing.elo:.0f} [{standing.elo_low:.0f}, {standing.elo_high:.0f}]"


def _worth(front: Front) -> str:
    """One sentence for each cost."""
    named = {g: [display.name(w.method, 24) for w in front.methods if w.group == g] for g in (*GROUPS, None)}
    said = f"Rank against {words(front.cost)}: on the front {', '.join(named['front']) or 'none'}"
    parts = {"open": "not told apart from it", "behind": "behind it", None: "not measured"}
    said += "".join(f"; {words} {', '.join(named[group])}" for group, words in parts.items() if named[group])
    return f"{said}."


def _owes(found: Sensitivity) -> str:
    kept = [
        f"in {found.first_kept[kind]} of {display.plural(number, 'board')} without one {kind}"
        for kind, number in found.first_of.items()
        if number
    ]
    first = ", ".join(display.name(label, 24) for label in found.first)
    return f"{first} {'stays' if len(found.first) == 1 else 'stay'} first {' and '.join(kept)}."


def compare_command(options: Namespace) -> int:
    """Print the paired comparison of two methods, per target size and over all."""
    if options.candidate == options.baseline:
        raise UserError("--candidate and --baseline are the same method")
    if options.margin is not None and not (math.isfinite(options.margin) and options.margin > 0):
        raise UserError(f"--margin {options.margin}: expected a positive number")
    rows = judged_rows(options.folders, JUDGED)
    try:
        paired = _beside_board(rows, options) if options.board else None
        rows = paired.rows if paired else rows
        labels = {label or method for label, method in _pairs(rows, "label", "method") if label or method}
        if paired is None or not paired.unpaired:
            for option, label in (("--candidate", options.candidate), ("--baseline", options.baseline)):
                if label not in labels:
                    raise UserError(f"{option} {label}: no rows with that label; {nearest(label, labels)}")
        none_left = {options.candidate, options.baseline} - labels
        records = [] if none_left else compare(rows, options.baseline, [options.candidate], options.margin)
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.json:
        more = {} if paired is None else {"trials": paired.trials, "unpaired": paired.unpaired}
        print(json_text([dataclasses.asdict(record) | more for record in records]))
    console = Console(stderr=options.json)
    if paired is not None:
        _show_pairing(console, paired)
    compared = any(record.tasks for record in records)
    if not compared:
        console.print(escape(_nothing(options, paired)))
    elif not options.json:
        _show_comparison(console, records, options)
    return 0 if compared else 1


def _nothing(options: Namespace, paired: Beside | None) -> str:
    """Why there is nothing to say about these two methods."""
    candidate, baseline = display.name(options.candidate, 30), display.name(options.baseline, 30)
    if paired is not None:
        return f"Nothing is compared: no trial of {candidate} pairs with one of {baseline}."
    return f"Nothing is compared: {candidate} and {baseline} share no seed of a task and size that enters averages."


def _pairs(rows: pa.Table, first: str, second: str) -> list[tuple[Any, Any]]:
    distinct = rows.group_by([first, second]).aggregate([])
    return list(zip(distinct[first].to_pylist(), distinct[second].to_pylist(), strict=True))


def _beside_board(rows: pa.Table, options: Namespace) -> Beside:
    sources = [read_source(address, JUDGED) for address in options.folders]
    configs = sources[0].tuning_configs if len(sources) == 1 else None
    own = Source(" ".join(options.folders), rows, configs)
    return beside(own, judged_source(options.board, JUDGED), options.candidate, options.baseline)


def _show_pairing(console: Console, paired: Beside) -> None:
    label = display.name(paired.label, 24)
    said = f"{paired.paired} of {display.plural(paired.trials, 'final trial')} of {label} pair with the board's"
    console.print(escape(f"{said}{'; left out:' if paired.unpaired else '.'}"))
    for reason, count in paired.unpaired.items():
        console.print(escape(f"  {count} x {reason}"))
    if paired.not_used:
        names = ", ".join(display.name(name, 24) for name in paired.not_used)
        console.print(escape(f"The board's rows count for {names}, not those given beside it."))


def _show_comparison(console: Console, records: Sequence[Comparison], options: Namespace) -> None:
    candidate, baseline = display.name(options.candidate, 30), display.name(options.baseline, 30)
    console.print(escape(_headline(records[0], candidate, baseline)))
    for question in QUESTIONS:
        mine = [record for record in records if record.question == question]
        lines = [
            [
                "all" if r.target_size is None else r.target_size,
                r.tasks,
                display.spanned(r.mean_difference, r.interval_low, r.interval_high, sign=True),
                f"{r.wins}-{r.ties}-{r.losses}",
                display.p_value(r.p_holm),
                display.number(r.smallest_detectable, 2),
                r.verdict,
            ]
            for r in mine
        ]
        unit = next((r.unit for r in mine if r.unit), None)
        console.print(escape(f"\n{ASKED[question]}" + (f" (differences in {_unit(unit)})" if unit else "")))
        show(console, ["n", "tasks", "difference [95 %]", "won-tied-lost", "Holm p", "detects", "verdict"], lines)
    console.print("Detects: the true difference that this design finds with power 0.8.")
    for note in dict.fromkeys(sentence for r in records for sentence in sentences(r.note)):
        console.print(escape(note))


def _unit(unit: str) -> str:
    return "normalised score" if unit == "normalised" else display.name(unit, 30)


def _headline(record: Comparison, candidate: str, baseline: str) -> str:
    """The verdict over all sizes for other tasks, with what it rests on."""
    joint = {"better": "than", "worse": "than", "equivalent": "to"}.get(record.verdict)
    said = (
        f"{candidate} is {record.verdict} {joint} {baseline}" if joint else f"{candidate} against {baseline}: undecided"
    )
    rest = f"{said}, over {display.plural(record.tasks, 'task')} and {display.plural(record.seeds, 'seed')}."
    if record.verdict == "undecided":
        seen = record.smallest_detectable
        reach = "these rows do not say how small a difference they would have shown"
        if seen is not None:
            reach = f"a true difference would have to be about {display.number(seen, 2)} to be found with power 0.8"
        rest += f" Undecided is not equal: {reach}."
    return f"{rest} Positive differences favour {candidate}."
