"""The command advise: which methods are not beaten under constraints, from rows. Neither torch nor Ray is imported."""

from __future__ import annotations

import dataclasses
import math
import re
from argparse import Namespace
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape

from harness.errors import UserError
from harness.rows import judged_rows
from harness.terminal import json_text, show
from results import display
from results.advise import Advice, Advised, advise
from results.constraints import WORDS, Check, Limits
from results.listing import cost_text
from results.merging import JUDGED

BYTES: Final = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
MOST_NAMED: Final = 2


def advise_command(options: Namespace) -> int:
    """Print which methods are not beaten under the given constraints, or why these rows cannot say."""
    if not 0 < options.target_size < 2**31:
        raise UserError(f"--target-size {options.target_size}: expected a number of examples from 1 to {2**31 - 1:,}")
    limits = Limits(
        peak_memory_bytes=_memory(options.memory),
        trained_parameters=_positive("--trainable-parameters", options.trainable_parameters),
        adapt_seconds=_positive("--seconds", options.seconds),
        source_retention=_positive("--keep-source", options.keep_source, "a share, as in 0.9", most=1.0),
    )
    rows = judged_rows(options.folders, JUDGED)
    try:
        advice = advise(rows, options.target_size, limits)
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.json:
        print(json_text(dataclasses.asdict(advice)))
        return 0
    _show(Console(), advice)
    return 0


def _positive(
    option: str, text: str | None, expected: str = "a positive number", most: float = math.inf
) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= most or math.isinf(value):
        raise UserError(f"{option} {text}: expected {expected}")
    return value


def _memory(text: str | None) -> float | None:
    """Bytes from text like 8GB or 512 MiB."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9.eE+]+)\s*([A-Za-z]*)\s*", text)
    unit = found[2].upper().removesuffix("B") + "B" if found and found[2] else ""
    factor = BYTES.get("" if unit == "B" else unit)
    expected = "a positive amount, as in 8GB or 512MiB"
    if found is None or factor is None:
        raise UserError(f"--memory {text}: expected {expected}")
    value = _positive("--memory", found[1], expected)
    return None if value is None else value * factor


def _show(console: Console, advice: Advice) -> None:
    examples = display.plural(advice.target_size, "target example")
    rows = f"rows at {' and '.join(map(display.count, advice.sizes))} examples, " if advice.sizes else ""
    limits = {c.limit_on: c.limit for m in advice.methods for c in m.checks}
    under = "; ".join(f"{WORDS[on]} {_bound(on, limit)}" for on, limit in limits.items())
    asked = f"For {examples}{f', {under}' if under else ''}"
    console.print(escape(f"{asked} ({rows}{display.plural(advice.tasks, 'task')}):"))
    if advice.says:
        names = ", ".join(display.name(name, 30) for name in advice.not_beaten)
        console.print(escape(f"not beaten: {names}"), style="bold")
    else:
        console.print("these rows cannot say which methods are not beaten.", style="bold")
    for sentence in (*advice.reasons, *advice.caveats):
        console.print(escape(sentence))
    eligible = [m for m in advice.methods if m.eligible]
    if eligible:
        console.print()
        best = next((m.against for m in eligible if m.against), None)
        unit = "normalised score" if advice.unit == "normalised" else display.name(advice.unit, 24)
        gap = f"from {display.name(best, 16)} [95 %]" if best else "difference"
        lines = [
            [
                display.name(m.method, 24),
                display.spanned(m.mean_rank, m.rank_low, m.rank_high),
                display.spanned(m.mean_difference, m.interval_low, m.interval_high, sign=True),
                _named(m.beaten_by),
                f"{m.failures}/{m.trials}",
            ]
            for m in eligible
        ]
        show(console, ["method", "mean rank [95 %]", gap, "beaten by", "failed"], lines)
        if best and any(m.mean_difference is not None for m in eligible):
            console.print(
                escape(f"Differences in {unit}; {display.name(best, 24)} was chosen by its rank in these rows.")
            )
    left_out: dict[str, list[str]] = defaultdict(list)
    for m in advice.methods:
        if not m.eligible:
            left_out[_why(m)].append(display.name(m.method, 24))
    for why, those in left_out.items():
        console.print(escape(f"Left out: {', '.join(those)} ({why})."))


def _named(labels: Sequence[str]) -> str | None:
    """Some names, and how many more."""
    more = len(labels) - MOST_NAMED
    shown = ", ".join(display.name(label, 16) for label in labels[:MOST_NAMED])
    return f"{shown}, {more} more" if more > 0 else shown or None


def _bound(limit_on: str, limit: float) -> str:
    if limit_on == "source_retention":
        return f"at least {display.percent(limit)}"
    return f"at most {cost_text(limit, limit_on)}"


def _why(method: Advised) -> str:
    """Why a method is left out, with the number that says so."""
    broken = next((check for check in method.checks if not check.fits), None)
    return method.why_not or "" if broken is None else _breach(broken)


def _breach(check: Check) -> str:
    word = WORDS[check.limit_on]
    if check.value is None:
        return f"{word} not measured"
    if check.limit_on == "source_retention":
        return f"{word} {display.spanned(check.value, check.low, check.high)}"
    kept = f"kept on {check.tasks_within} of {display.plural(check.tasks, 'task')}"
    return f"{word} up to {cost_text(check.value, check.limit_on)}, limit {kept}"
