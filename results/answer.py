"""The report's first screen in plain words. A verdict is only ever repeated, never strengthened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from results import display
from results.cells import NEEDS_DEVICE_ALONE
from results.compare import Comparison
from results.display import count, name, number, plural
from results.findings import Findings
from results.listing import Listing
from results.schema import STATUSES
from results.statistics import LARGEST
from results.verdicts import sentences, verdict_listing

MOST_NAMES: Final = 3
LOST: Final = tuple(status for status in STATUSES if status not in ("done", "declined"))
VERDICTS: Final = {"better": "than", "equivalent": "to", "worse": "than", "undecided": "against"}
"""The words of a comparison in the order of the headline, and what joins each to the baseline."""


@dataclass(frozen=True)
class Answer:
    """One sentence, the size of the difference behind it, what both rest on, and what these rows do not show."""

    headline: str
    lead: str
    facts: str
    verdicts: Listing | None
    limits: tuple[str, ...]


def answer(found: Findings) -> Answer:
    """The first screen for these findings."""
    comparisons = found.headline()
    return Answer(
        headline=_headline(comparisons, found.baseline) if comparisons else found.obstacle or "Nothing is compared.",
        lead=_lead(found, comparisons),
        facts=_facts(found),
        verdicts=verdict_listing(found) if comparisons else None,
        limits=tuple(_limits(found)),
    )


def _headline(comparisons: Sequence[Comparison], baseline: str) -> str:
    by_verdict: dict[str, list[str]] = defaultdict(list)
    for comparison in comparisons:
        by_verdict[comparison.verdict].append(comparison.candidate)
    tasks = plural(max(c.tasks for c in comparisons), "task")
    against = name(baseline)
    if set(by_verdict) == {"undecided"}:
        rivals = _names(by_verdict["undecided"], "any of ")
        return f"Over {tasks}, these rows do not decide between {against} and {rivals}."
    parts: list[str] = []
    for verdict, joint in VERDICTS.items():
        if labels := by_verdict.get(verdict):
            said = f"{verdict} {joint} {against}" if joint and not parts else verdict
            parts.append(f"{_names(labels)} {'is' if len(labels) == 1 else 'are'} {said}")
    return f"Over {tasks}, {'; '.join(parts)}."


def _lead(found: Findings, comparisons: Sequence[Comparison]) -> str:
    """How far the method with the best mean rank is from the baseline, with the interval or why there is none."""
    if not comparisons:
        return ""
    best = comparisons[0]
    place = "The best placed" if found.boards[0].methods[0].method != found.baseline else "The best placed rival"
    who = f"{place}, {name(best.candidate)},"
    if not best.tasks:
        return f"{who} shares no task with {name(found.baseline)}."
    if best.mean_difference is None:
        record = f"won {count(best.wins)}, tied {count(best.ties)} and lost {count(best.losses)}"
        return (
            f"{who} {record} of {plural(best.tasks, 'task')} against {name(found.baseline)}; no unit is common to them."
        )
    unit, mean = name(best.unit), best.mean_difference
    if best.unit == "normalised":
        unit = "normalised score, where 0 is training from scratch and 1 is fine-tuning with all target data"
    if best.interval_low is not None:
        size, why = (
            display.spanned(mean, best.interval_low, best.interval_high, sign=True),
            "for other tasks like these",
        )
        return f"{who} differs from {name(found.baseline)} by {size} in {unit} (95 % interval {why})."
    own = next(
        c for c in found.comparisons if (c.candidate, c.question, c.target_size) == (best.candidate, "fixed", None)
    )
    if own.mean_difference is not None and own.interval_low is not None:
        size = display.spanned(own.mean_difference, own.interval_low, own.interval_high, sign=True)
        why = "95 % interval for other seeds on this task alone; one task says nothing about others"
    else:
        size, why = display.signed(mean), "without an interval: so few trials give none"
    return f"{who} differs from {name(found.baseline)} by {size} in {unit} ({why})."


def _names(labels: Sequence[str], many: str = "") -> str:
    """Up to three names; more are counted."""
    if len(labels) > MOST_NAMES:
        return f"{many}{'the other ' if many else ''}{plural(len(labels), 'method')}"
    return _joined([name(label) for label in labels], "or" if many else "and")


def _joined(parts: Sequence[str], last: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _facts(found: Findings) -> str:
    final = found.final
    done = pc.sum(pc.equal(final["status"], "done")).as_py() or 0
    known = [
        plural(len(found.labels), "method"),
        plural(len({cell.task for cell in found.cells}), "task"),
        f"target sizes {', '.join(map(count, found.sizes))}" if found.sizes else "target sizes not stated",
        plural(len(pc.unique(final["seed"])), "final seed"),
        f"{done:,} of {plural(len(final), 'final trial')} done",
    ]
    return " · ".join(known if found.cells else known[-1:])


def _limits(found: Findings) -> list[str]:
    """What these rows do not show, the most important first."""
    said = [*_power(found), *_coverage(found), *_measurement(found)]
    if found.cells:
        tasks = len({cell.task for cell in found.cells})
        these = "this one" if tasks == 1 else f"these {tasks:,}"
        said.append(f"Nothing here speaks about other target sizes, other budgets or tasks unlike {these}.")
    return said


def _power(found: Findings) -> list[str]:
    comparisons = found.headline()
    said = []
    notes: dict[str, list[str]] = defaultdict(list)
    for comparison in comparisons:
        for sentence in sentences(comparison.note):
            notes[sentence].append(comparison.candidate)
    for note, labels in notes.items():
        said.append(note if len(labels) == len(comparisons) else f"{_names(labels)}: {note}")
    if open_ones := [c for c in comparisons if c.verdict == "undecided"]:
        seen = [c.smallest_detectable for c in open_ones if c.smallest_detectable is not None]
        reach = "These rows do not say how small a difference would have been seen."
        if seen:
            reach = f"A true difference would have to be {_span(seen)} to be found with power 0.8."
        said.append(f"Undecided does not mean equal. {reach}")
    return said


def _span(values: Sequence[float]) -> str:
    low, high = number(min(values), 2), number(max(values), 2)
    return f"about {low}" if low == high else f"{low} to {high}, depending on the method,"


def _coverage(found: Findings) -> list[str]:
    said = []
    final = found.final
    if lost := pc.sum(pc.is_in(final["status"], pa.array(LOST))).as_py():
        said.append(f"{plural(lost, 'final trial')} failed; a failed trial puts its method last on that task and size.")
    usable = pc.less_equal(pc.abs(final["score_test"]), LARGEST)
    unusable = pc.and_(pc.equal(final["status"], "done"), pc.invert(usable))
    if senseless := pc.sum(unusable).as_py():
        trials = "1 final trial is" if senseless == 1 else f"{senseless:,} final trials are"
        said.append(f"{trials} done with a score that is not finite or beyond {LARGEST:.0e}, and counts as failed.")
    if declined := pc.sum(pc.equal(final["status"], "declined")).as_py():
        said.append(f"{plural(declined, 'final trial')} declined by the method: missing, not failed.")
    if found.cells and max(cell.seeds for cell in found.cells) < 2:
        said.append("There is a single seed, so no score has an interval.")
    return said


def _measurement(found: Findings) -> list[str]:
    final = found.final
    said = []
    if found.cells and not any(cell.retention for cell in found.cells):
        said.append("No source score was measured: what a method forgets is not known.")
    if pc.any(pc.equal(final["tuning_configs"], 1)).as_py():
        said.append("Some methods ran with default hyper-parameters only, without tuning.")
    if len(pc.unique(final["tuning_configs"].drop_null())) > 1:
        said.append("Methods were tuned with different numbers of configurations.")
    if any(not c.device_alone and c.cost(column) is not None for c in found.cells for column in NEEDS_DEVICE_ALONE):
        said.append("Times and memory marked ~ were measured on a shared device and are not compared.")
    if pc.any(final["dirty"]).as_py():
        said.append("Some rows come from a working tree with uncommitted changes.")
    return said
