"""The command that says how many tasks and seeds a difference needs, and what a design can see: power."""

from __future__ import annotations

import dataclasses
import math
from argparse import Namespace
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from harness.errors import UserError
from harness.terminal import json_text, show
from results import display, power
from results.design import Design, designs, of_variances
from results.statistics import ALPHA

SEEDS = 5
"""Seeds that --variances stands for where none are given."""
VARIANCES = "two numbers, the variance over tasks and the one over seeds, as in 0.01,0.02"
SHOWN_TASKS = (6, 8, 10, 15, 20, 30, 50)
SHOWN_SEEDS = (1, 3, 5, 10)
LARGEST = 1_000_000


def power_command(options: Namespace) -> int:
    """Print what a design can see and what a difference needs, from a campaign's rows or from stated variances."""
    _check(options)
    found = _from_rows(options) if options.folders else [_from_variances(options)]
    first = found[0]
    pairs = power.fewest_tasks_for(first.comparisons + 1, all_pairs=True)
    if options.json:
        document = {"alpha": ALPHA, "power": power.POWER, "fewest_tasks_all_pairs": pairs}
        print(json_text(document | {"designs": [dataclasses.asdict(design) for design in found]}))
        return 0
    console = Console()
    beside = "" if pairs == first.fewest_tasks else f" ({pairs} for all pairs, as on the leaderboard)"
    console.print(
        f"Exact signed-rank test over tasks, two-sided, p < {ALPHA}{_family(first)}; power {power.POWER}."
        f" Whatever the difference, it takes {first.fewest_tasks} tasks{beside}."
    )
    if options.folders:
        _show_rows(console, found, options)
    else:
        _show_variances(console, first, options.tasks is not None)
    for note, labels in _notes(found).items() if options.folders or options.tasks is not None else ():
        whose = f"{', '.join(labels)}: " if labels and len(labels) < len(found) else ""
        console.print(escape(f"{whose}{note}"))
    return 0


def _check(options: Namespace) -> None:
    """Raises: UserError for a question without an answer."""
    if bool(options.folders) == (options.variances is not None):
        raise UserError("power: expected either DIR, whose rows are the pilot, or --variances TASK_VAR,SEED_VAR")
    if options.folders and options.methods is not None:
        raise UserError("--methods: only with --variances; the rows of DIR say how many methods there are")
    if options.variances is not None and options.baseline is not None:
        raise UserError("--baseline: only with DIR; variances have no labels")
    if options.difference is not None and not 0 < options.difference < math.inf:
        raise UserError(f"--difference {options.difference}: expected a positive, finite number")
    for name, least in (("tasks", 1), ("seeds", 1), ("methods", 2)):
        value = getattr(options, name)
        if value is not None and not least <= value <= LARGEST:
            raise UserError(f"--{name} {value}: expected a number from {least} to {LARGEST:,}")
    if options.variances is not None:
        _parse(options.variances)
    if options.variances is not None and options.difference is None and options.tasks is None:
        raise UserError("power --variances: expected --difference D, whose needs are asked for, or --tasks N")


def _from_rows(options: Namespace) -> list[Design]:
    from harness.rows import judged_rows  # with what it needs to draw reports, which variances do not

    rows = judged_rows(options.folders)
    baseline = options.baseline or "fine_tuning"
    try:
        found = designs(rows, baseline, options.difference, options.tasks, options.seeds)
    except ValueError as error:
        raise UserError(f"--baseline: {error}" if "baseline" in str(error) else str(error)) from error
    if not found:
        raise UserError(f"{' '.join(options.folders)}: no other method than the baseline {baseline!r} has final rows")
    return found


def _from_variances(options: Namespace) -> Design:
    variances = _parse(options.variances)
    comparisons = power.comparisons(options.methods or 2, all_pairs=False)
    seeds, tasks = options.seeds or SEEDS, options.tasks
    if tasks is None:
        tasks = power.tasks_needed(variances, options.difference, seeds, comparisons) or power.MOST
    return of_variances(variances, tasks, seeds, comparisons, options.difference)


def _parse(text: str) -> power.Variances:
    try:
        task, seed = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--variances {text}: expected {VARIANCES}") from None
    if not (0 <= task < math.inf and 0 <= seed < math.inf and 0 < task + seed < math.inf):
        raise UserError(f"--variances {text}: expected {VARIANCES}, both finite, neither below 0, not both 0")
    return power.Variances(task, seed)


def _family(design: Design) -> str:
    return "" if design.comparisons == 1 else f" after Holm over {design.comparisons} comparisons with one baseline"


def _notes(found: list[Design]) -> dict[str, list[str]]:
    """Each note once, with the labels whose rows it is about."""
    notes: dict[str, list[str]] = {}
    for design in found:
        if design.note:
            notes.setdefault(design.note, []).append(display.name(design.candidate or "", 24))
    return notes


def _show_variances(console: Console, design: Design, asked: bool) -> None:
    """The design in sentences, then what others with the same variances see."""
    variances = power.Variances(design.task_variance or 0.0, design.seed_variance)
    for sentence in _sentences(design, asked):
        console.print(sentence)
    lines = [
        [
            f"{tasks} tasks",
            *(power.smallest_detectable(variances, tasks, seeds, design.comparisons) for seeds in SHOWN_SEEDS),
        ]
        for tasks in SHOWN_TASKS
    ]
    show(console, ["smallest difference seen", *(_count(seeds, "seed") for seeds in SHOWN_SEEDS)], lines)


def _sentences(design: Design, asked: bool) -> Iterator[str]:
    """The design in words; what these tasks need and see only where they were asked about."""
    each = f"{_count(design.seeds, 'seed')} each"
    if design.difference is not None:
        needed = design.tasks_needed
        many = f"more than {power.MOST:,} tasks" if needed is None else _count(needed, "task")
        yield f"A true difference of {design.difference:g} needs {many} of {each}."
    if asked and design.smallest_detectable is not None:
        yield f"{_count(design.tasks, 'task')} of {each} see one of {design.smallest_detectable:.3g} or more."
        if design.difference is not None:
            yield f"They find {design.difference:g} with power {design.power or 0.0:.3g}."
    if asked and design.seeds_needed is not None:
        yield f"On {_count(design.tasks, 'task')} it needs {_count(design.seeds_needed, 'seed')} each."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _show_rows(console: Console, found: list[Design], options: Namespace) -> None:
    """One line for each method against the baseline."""
    first = found[0]
    asked = "as they are" if options.tasks is None and options.seeds is None else "as asked for"
    unit = f", differences in {first.unit}" if first.unit else ""
    console.print(escape(f"Against {display.name(first.baseline)}{unit}; tasks and seeds {asked}."))
    header = ["method", "tasks", "seeds", "sd tasks", "sd seeds", "sees"]
    if options.difference is not None:
        header += ["power", "tasks\nneeded", "seeds\nneeded"]
        console.print(f"Power and needs are for a true difference of {options.difference:g}.")
    lines = []
    for d in found:
        spreads = [None if v is None else math.sqrt(v) for v in (d.task_variance, d.seed_variance)]
        needs = [d.power, d.tasks_needed, d.seeds_needed] if options.difference is not None else []
        lines.append([display.name(d.candidate, 24), d.tasks, d.seeds or None, *spreads, d.smallest_detectable, *needs])
    show(console, header, lines)
    spans = [d.deviation_high / d.deviation for d in found if d.deviation and d.deviation_high]
    if spans:
        console.print(
            f"So few tasks know their own spread badly: true standard deviations may be {max(spans):.2g} times as large"
            " (upper end of a 95 % interval), and all that follows from them too."
            if max(spans) > 1.5
            else f"True standard deviations may be {max(spans):.2g} times as large (upper end of a 95 % interval)."
        )
