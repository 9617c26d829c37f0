"""The commands that judge methods: leaderboard and compare. Neither torch nor Ray is imported."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness.judging import Compared, Ranking, board_source, compared, ranking
from harness.rows import judged_rows, judged_source
from harness.terminal import json_text, show
from results import display
from results.beside import Beside
from results.compare import QUESTIONS
from results.leaderboard import Leaderboard, Standing
from results.listing import cost_text, words
from results.merging import JUDGED
from results.pareto import GROUPS, Front
from results.power import cannot_decide
from results.sensitivity import Sensitivity
from results.verdicts import sentences

ASKED = {"population": "Other tasks like these", "fixed": "These tasks, other seeds"}


def leaderboard_command(options: Namespace) -> int:
    """Print the leaderboard over all target sizes."""
    found = ranking(judged_rows(options.folders, JUDGED))
    if options.json:
        print(json_text(dataclasses.asdict(found.board) | {"sensitivity": dataclasses.asdict(found.steadiness)}))
    else:
        show_ranking(Console(), found)
    return 0


def show_ranking(console: Console, found: Ranking) -> None:
    """A leaderboard as text, and what it owes to single tasks and methods."""
    if not found.board.methods:
        console.print("There are no final trials among these rows yet, so nothing is ranked.")
        return
    _show_board(console, found.board)
    for front in found.board.pareto:
        console.print(escape(worth(front)))
    if any(found.steadiness.first_of.values()):
        console.print(escape(_owes(found.steadiness)))


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
    _show_costs(console, board)
    console.print("Methods that share a letter under `tie` cannot be told apart by these rows.")
    if board.friedman_p is not None:
        console.print(f"Do any differ? Friedman p {display.p_value(board.friedman_p)} (corrected for ties).")
    if sentence := cannot_decide(board.tasks, sum(m.mean_rank is not None for m in board.methods)):
        console.print(sentence)
    if board.tasks == 1:
        console.print("A single task: no interval, and no claim about other tasks.")


def _show_costs(console: Console, board: Leaderboard) -> None:
    """What each method has, and what it costs, with what the columns mean where they say something."""
    priced = any(m.price is not None for m in board.methods)
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
            *([cost_text(m.price, "price")] if priced else []),
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
        *(["price"] if priced else []),
    ]
    show(console, header, costs, tight=True)
    said = ["cells: share of the board's cells that the method has"]
    said += ["tuned: configurations tried"] if any(m.tuning_configs is not None for m in board.methods) else []
    said += (
        ["kept: share of the source score after the transfer"] if any(m.source_retention for m in board.methods) else []
    )
    said += ["price: of a trial, by the prices of its suite"] if priced else []
    if any(m.adapt_seconds is not None or m.peak_memory_bytes is not None for m in board.methods):
        said.append("time and memory only where trials had their device alone")
    console.print(f"{'; '.join(said)}.")


def _elo(standing: Standing) -> str:
    if standing.elo is None or standing.elo_low is None or standing.elo_high is None:
        return display.count(standing.elo)
    return f"{standing.elo:.0f} [{standing.elo_low:.0f}, {standing.elo_high:.0f}]"


def worth(front: Front) -> str:
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
    own = [judged_source(address, JUDGED) for address in options.folders]
    board = board_source(options.board) if options.board else None
    found = compared(own, options.candidate, options.baseline, options.margin, board)
    if options.json:
        more = {} if found.paired is None else {"trials": found.paired.trials, "unpaired": found.paired.unpaired}
        print(json_text([dataclasses.asdict(record) | more for record in found.records]))
    show_compared(Console(stderr=options.json), found, tables=not options.json)
    return 0 if found.says_something else 1


def show_compared(console: Console, found: Compared, tables: bool = True) -> None:
    """A comparison as text: how it pairs with a board, the verdict, and if asked the tables behind it."""
    if found.paired is not None:
        _show_pairing(console, found.paired)
    if not found.says_something:
        console.print(escape(nothing(found)))
    elif tables:
        _show_comparison(console, found)


def nothing(found: Compared) -> str:
    """Why there is nothing to say about these two methods."""
    candidate, baseline = display.name(found.candidate, 30), display.name(found.baseline, 30)
    if found.paired is not None:
        return f"Nothing is compared: no trial of {candidate} pairs with one of {baseline}."
    return f"Nothing is compared: {candidate} and {baseline} share no seed of a task and size that enters averages."


def _show_pairing(console: Console, paired: Beside) -> None:
    label = display.name(paired.label, 24)
    said = f"{paired.paired} of {display.plural(paired.trials, 'final trial')} of {label} pair with the board's"
    console.print(escape(f"{said}{'; left out:' if paired.unpaired else '.'}"))
    for reason, count in paired.unpaired.items():
        console.print(escape(f"  {count} x {reason}"))
    if paired.not_used:
        names = ", ".join(display.name(name, 24) for name in paired.not_used)
        console.print(escape(f"The board's rows count for {names}, not those given beside it."))


def _show_comparison(console: Console, found: Compared) -> None:
    records = found.records
    console.print(escape(headline(found)))
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


def headline(found: Compared) -> str:
    """The verdict over all sizes for other tasks, with what it rests on."""
    record = found.records[0]
    candidate, baseline = display.name(found.candidate, 30), display.name(found.baseline, 30)
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
