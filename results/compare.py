"""Claims about one method against a baseline, over tasks and on each task, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from results.display import plural
from results.errors import ResultsError, nearest
from results.pairing import Pairing, chance_better, pair
from results.pivot import NO_METRIC, Grid, as_grid
from results.statistics import (
    ALPHA,
    MeanEstimate,
    fewest_tasks,
    hodges_lehmann,
    holm,
    mean_of_fixed_tasks,
    mean_of_sample,
    round_significant,
)

ALIKE = "All differences are the same, so the interval has no width: others, not in these rows, may still differ."
QUESTIONS = ("population", "fixed")
"""Other tasks like these, or exactly these tasks with other seeds. The headline is the population."""


@dataclass(frozen=True)
class Comparison:
    """One candidate against the baseline over tasks. Differences are candidate minus baseline, positive = better.

    ``target_size`` is None over all sizes, which are averaged inside a task. ``unit`` of all differences is
    "normalised" (anchors: 0 and 1), the metric that all tasks share, or None where tasks have no common unit: then
    differences are None and the p value is that of the sign test. Wins, ties and losses count tasks. Population: t
    interval over tasks, exact signed-rank test. Fixed: t interval and test over seeds, Satterthwaite's degrees of
    freedom. ``p_holm`` is adjusted over all labels of the table against this baseline, whichever candidates were asked
    for. ``smallest_detectable`` is the true difference that the adjusted test finds with power 0.8. ``tasks_failed``
    are decided by failures alone: they count as won or lost and have the largest rank, while means and intervals are
    over the other tasks and no fixed test is made.
    """

    candidate: str
    baseline: str
    target_size: int | None
    question: str
    tasks: int
    seeds: int
    mean_difference: float | None
    interval_low: float | None
    interval_high: float | None
    hodges_lehmann: float | None
    probability_better: float | None
    wins: int
    ties: int
    losses: int
    p_value: float | None
    p_holm: float | None
    smallest_detectable: float | None
    verdict: str
    unit: str | None
    interval90_low: float | None
    interval90_high: float | None
    tasks_failed: int
    tasks_missing: int
    note: str


@dataclass(frozen=True)
class TaskComparison:
    """One candidate against the baseline on one task at one target size, in native units, positive = better.

    ``differences`` are those of the seeds that both finished, in the order of ``seed_values``. The p value is that of
    the paired t test, as is the interval: with the usual five seeds an exact signed-rank test cannot get below 0.0625.
    It is None where either side failed, or with fewer than two seeds. ``p_holm`` is adjusted over all labels inside
    this cell.
    """

    task: str
    target_size: int | None
    candidate: str
    baseline: str
    metric: str | None
    seeds: int
    seed_values: tuple[int | None, ...]
    differences: tuple[float, ...]
    mean_difference: float | None
    interval_low: float | None
    interval_high: float | None
    p_value: float | None
    p_holm: float | None
    candidate_failures: int
    baseline_failures: int


def compare(
    rows: pa.Table | Grid, baseline: str, candidates: Iterable[str] | None = None, margin: float | None = None
) -> list[Comparison]:
    """Each candidate (all other labels by default) against the baseline: over all target sizes first, then at each.

    The verdict is "better" or "worse" where the Holm-adjusted p is below 0.05, else "equivalent" where the 90 %
    interval lies inside plus and minus ``margin`` (in the unit of the comparison) and no task is decided by failure,
    else "undecided".

    Raises: ResultsError for an unknown label, a margin that is not positive and finite, or rows that cannot be
    compared.
    """
    if margin is not None and not 0 < margin < math.inf:
        raise ResultsError(f"margin {margin!r}: expected a positive, finite number")
    grid = as_grid(rows)
    wanted = _candidates(grid, baseline, candidates)
    sizes = sorted({size for size in grid.target_sizes if size is not None})
    found = []
    for size in (None, *sizes):
        for question in QUESTIONS:
            verdicts = _verdicts(_against(grid, baseline, size, question), margin)
            found += [verdicts[label] for label in wanted]
    return found


def _verdicts(rivals: list[tuple[Comparison, int]], margin: float | None) -> dict[str, Comparison]:
    """One family of comparisons by candidate, with adjusted p and verdict. With each comes its side, +1 or -1."""
    adjusted = holm([rival.p_value for rival, _ in rivals])
    found = {}
    for (rival, side), p_holm in zip(rivals, adjusted, strict=True):
        low, high = rival.interval90_low, rival.interval90_high
        inside = margin is not None and low is not None and high is not None and -margin < low and high < margin
        if p_holm is not None and p_holm < ALPHA:
            verdict = "better" if side > 0 else "worse"
        else:
            verdict = "equivalent" if inside and not rival.tasks_failed else "undecided"
        low, high = rival.interval_low, rival.interval_high
        note = f"{rival.note} {ALIKE}".strip() if low is not None and low == high else rival.note
        if verdict in ("better", "worse") and low is not None and high is not None and low <= 0 <= high:
            said = "The verdict is of the ranks of the differences; the interval of their mean includes 0."
            note = f"{note} {said}".strip()
        found[rival.candidate] = replace(rival, p_holm=p_holm, verdict=verdict, note=note)
    return found


def _candidates(grid: Grid, baseline: str, candidates: Iterable[str] | None) -> list[str]:
    """The labels to compare, known and other than the baseline, in the order given."""
    wanted = (
        [label for label in grid.labels if label != baseline] if candidates is None else list(dict.fromkeys(candidates))
    )
    for role, label in (("baseline", baseline), *(("candidate", label) for label in wanted)):
        if label not in grid.labels:
            raise ResultsError(f"{role} {label!r} has no final rows; {nearest(label, grid.labels)}")
    if baseline in wanted:
        raise ResultsError(f"candidate {baseline!r} is the baseline; expected another label")
    return wanted


def _against(grid: Grid, baseline: str, target_size: int | None, question: str) -> list[tuple[Comparison, int]]:
    """All labels against the baseline at one target size, each with its side, before adjustment and verdict."""
    useless = sorted({fact.task for fact in grid.facts if not fact.averaged and not fact.control})
    grid = grid.over_tasks(target_size)
    scores, unit = grid.normalised()
    tasks, rivals = len(grid.family_index()[0]), len(grid.labels) - 1
    found = []
    for candidate in grid.labels:
        if candidate == baseline:
            continue
        places = grid.labels.index(candidate), grid.labels.index(baseline)
        pairing = pair(grid, scores, unit is not None, *places)
        finite = pairing.differences[np.isfinite(pairing.differences)] if unit is not None else np.empty(0)
        estimate, p_value, side = _estimate(pairing, question)
        low, high = estimate.interval() if estimate else (None, None)
        low90, high90 = estimate.interval(1 - 2 * ALPHA) if estimate else (None, None)
        compared = len(pairing.differences)
        can_decide = question == "fixed" or compared >= fewest_tasks(ALPHA / rivals)
        comparison = Comparison(
            candidate=candidate,
            baseline=baseline,
            target_size=target_size,
            question=question,
            tasks=compared,
            seeds=pairing.seeds,
            mean_difference=estimate.mean if estimate else float(finite.mean()) if len(finite) else None,
            interval_low=low,
            interval_high=high,
            hodges_lehmann=hodges_lehmann(finite),
            probability_better=chance_better(grid, scores, *places),
            wins=pairing.wins,
            ties=compared - pairing.wins - pairing.losses,
            losses=pairing.losses,
            p_value=p_value,
            p_holm=None,
            smallest_detectable=estimate.smallest_detectable(ALPHA / rivals) if estimate and can_decide else None,
            verdict="undecided",
            unit=unit,
            interval90_low=low90,
            interval90_high=high90,
            tasks_failed=pairing.decided_by_failure,
            tasks_missing=tasks - compared,
            note=" ".join(_notes(pairing, tasks, useless, question, rivals, grid.no_metric)),
        )
        found.append((comparison, side))
    return found


def _estimate(pairing: Pairing, question: str) -> tuple[MeanEstimate | None, float | None, int]:
    """The mean difference that answers the question, the p value that does, and the side which that favours."""
    if question == "population":
        return mean_of_sample(pairing.differences) if pairing.one_unit else None, *pairing.test()
    estimate = mean_of_fixed_tasks(pairing.seed_differences) if pairing.one_unit else None
    p_value = estimate.p_value() if estimate and not pairing.decided_by_failure else None
    return estimate, p_value, int(np.sign(estimate.mean)) if estimate else 0


def _notes(pairing: Pairing, tasks: int, useless: list[str], question: str, rivals: int, no_metric: bool) -> list[str]:
    """What a reader must know beside the numbers, as sentences."""
    compared = len(pairing.differences)
    least, family = fewest_tasks(ALPHA / rivals), "" if rivals == 1 else f" after Holm over {rivals} labels"
    decisive, gaps = pairing.decided_by_failure, pairing.unpaired_cells
    have, are = "has" if compared == 1 else "have", "is" if gaps == 1 else "are"
    rest = f"mean and intervals are over the other {compared - decisive}" if compared > decisive else "there is no mean"
    said = {
        f"Not averaged, as their anchors cannot be told apart: {', '.join(useless)}.": len(useless) > 0,
        f"Only {compared} of {plural(tasks, 'task')} {have} both labels with a common seed.": compared < tasks,
        f"{plural(gaps, 'cell')} {'has' if gaps == 1 else 'have'} no common seed and {are} left out.": gaps > 0,
        "Tasks have no common unit: sign test, no mean difference.": not pairing.one_unit and question == "population",
        "Some task has fewer than two common seeds: no test over seeds.": (
            question == "fixed" and pairing.one_unit and pairing.fewest_seeds < 2 and compared > decisive
        ),
        "Tasks have no common unit: no test over seeds.": not pairing.one_unit and question == "fixed",
        NO_METRIC: not pairing.one_unit and no_metric,
        f"Failures decide {plural(decisive, 'task')}; {rest}.": decisive > 0,
        f"{plural(compared, 'task')} cannot decide: {least} are needed for p < {ALPHA}{family}.": (
            question == "population" and 0 < compared < least
        ),
    }
    return [sentence for sentence, holds in said.items() if holds]


def compare_per_task(
    rows: pa.Table | Grid, baseline: str, candidates: Iterable[str] | None = None
) -> list[TaskComparison]:
    """Each candidate against the baseline on each task and target size on which both have a trial, controls included.

    Raises: ResultsError for an unknown label, or rows that cannot be compared.
    """
    grid = as_grid(rows)
    wanted = _candidates(grid, baseline, candidates)
    found = []
    for cell, present in enumerate(grid.covered):
        if not present[grid.labels.index(baseline)]:
            continue
        labels = [label for label, here in zip(grid.labels, present, strict=True) if here and label != baseline]
        rivals = [_on_cell(grid, cell, label, baseline) for label in labels]
        adjusted = holm([rival.p_value for rival in rivals])
        by_label = {r.candidate: replace(r, p_holm=p) for r, p in zip(rivals, adjusted, strict=True)}
        found += [by_label[label] for label in wanted if label in by_label]
    return found


def _on_cell(grid: Grid, cell: int, candidate: str, baseline: str) -> TaskComparison:
    first, second = grid.labels.index(candidate), grid.labels.index(baseline)
    a, b = grid.scores[cell, :, first], grid.scores[cell, :, second]
    common = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    differences = round_significant(a[common] - b[common], np.maximum(np.abs(a[common]), np.abs(b[common])))
    estimate = mean_of_sample(differences)
    low, high = estimate.interval() if estimate else (None, None)
    failures = int(grid.failures[cell, first]), int(grid.failures[cell, second])
    return TaskComparison(
        task=grid.facts[cell].task,
        target_size=grid.target_sizes[cell],
        candidate=candidate,
        baseline=baseline,
        metric=grid.facts[cell].metric,
        seeds=len(common),
        seed_values=tuple(grid.seeds[seed] for seed in common),
        differences=tuple(differences.tolist()),
        mean_difference=float(differences.mean()) if len(common) else None,
        interval_low=low,
        interval_high=high,
        p_value=estimate.p_value() if estimate and not any(failures) else None,
        p_holm=None,
        candidate_failures=failures[0],
        baseline_failures=failures[1],
    )
