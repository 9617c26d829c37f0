"""What tuning buys: the expected best validation score against the number of configurations tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import gammaln

from results.errors import ResultsError
from results.facts import TaskFacts, task_facts
from results.statistics import FloatArray

BUDGETS: Final = ("tuning_configs", "tuning_seeds")
"""What the tuning of two labels on one task must share for their curves to be compared."""


def expected_best(scores: FloatArray, replacement: bool = False) -> FloatArray:
    """The expected best of n configurations drawn from those tried, for n = 1 to all of them; higher is better.

    Drawn without replacement the estimate is unbiased: the i-th smallest of N scores is the best of n draws with
    chance C(i - 1, n - 1) / C(N, n). With replacement the chance is (i/N)^n - ((i - 1)/N)^n, which is biased downwards.
    A failed configuration scores minus infinity, and so does the expectation where only failures may be drawn.

    Shapes: (..., configurations N), without NaN -> (..., N).
    Source: Dodge et al., 2019, arXiv 1909.03004 (with replacement); Tang et al., 2020, arXiv 2004.13705 (without).
    """
    ordered, count = np.sort(scores, axis=-1), scores.shape[-1]
    place, draws = np.arange(1, count + 1), np.arange(1, count + 1)[:, None]
    if replacement:
        chances = (place / count) ** draws - ((place - 1) / count) ** draws
    else:
        possible = place >= draws
        left = np.where(possible, place - draws, 0)
        logs = gammaln(place) - gammaln(draws) - gammaln(left + 1)
        logs = logs - (gammaln(count + 1) - gammaln(draws + 1) - gammaln(count - draws + 1))
        chances = np.where(possible, np.exp(logs), 0.0)
        chances = chances / chances.sum(axis=1, keepdims=True)
    failed = np.isneginf(ordered)
    means = np.where(failed, 0.0, ordered) @ chances.T
    return np.where(failed.astype(np.float64) @ chances.T > 0, -np.inf, means)


@dataclass(frozen=True)
class TuningCurve:
    """One label on one task at one target size.

    ``expected`` holds the expected best validation score after 1, 2, ... configurations, in native units, None where
    only failures may have been tried; ``normalised`` the same between the task's anchors, or None without anchors.
    ``seeds`` is the smallest number of seeds of a configuration; ``failed`` counts configurations with a trial that is
    not done.
    """

    task: str
    family: str
    target_size: int | None
    label: str
    metric: str | None
    higher_is_better: bool
    seeds: int
    failed: int
    expected: tuple[float | None, ...]
    normalised: tuple[float | None, ...] | None


def tuning_curves(rows: pa.Table, mixed_budgets: bool = False) -> list[TuningCurve]:
    """The unbiased curve of every tuned cell, sorted by task, target size and label.

    A configuration's score is its mean validation score over tuning seeds; with a trial that is not done, or has no
    finite score, it has failed. Only rows of the tuning stage count.

    Raises: ResultsError if labels were tuned on one task with different numbers of configurations or seeds, unless
    ``mixed_budgets``, or rows cannot be compared.
    """
    rows = rows.filter((pc.field("stage") == "tune") & ~pc.field("exploratory"))
    rows = rows.set_column(rows.column_names.index("label"), "label", pc.coalesce(rows["label"], rows["method"]))
    facts = task_facts(rows)
    done = pc.equal(pc.coalesce(rows["status"], pa.scalar("done")), "done")
    usable = pc.and_(done, pc.fill_null(pc.is_finite(rows["score_validation"]), False))
    wanted = {name: rows[name] for name in ("task", "target_size", "label", "config", "seed", *BUDGETS)}
    wanted["score"] = pc.if_else(usable, rows["score_validation"], -np.inf)
    trials = pa.table(wanted).group_by(["task", "target_size", "label", "config", "seed", *BUDGETS], use_threads=False)
    # A trial that was read twice counts once.
    configs = trials.aggregate([("score", "min")]).sort_by(
        [(n, "ascending") for n in ("task", "label", "config", "seed")]
    )
    configs = configs.group_by(["task", "target_size", "label", "config", *BUDGETS], use_threads=False)
    listed = [("score_min", "mean"), ("score_min", "min"), ("score_min", "count")]
    cells = configs.aggregate(listed).group_by(["task", "target_size", "label", *BUDGETS], use_threads=False)
    found = cells.aggregate([("score_min_mean", "list"), ("score_min_min", "list"), ("score_min_count", "min")])
    cells = found.sort_by([(name, "ascending") for name in ("task", "target_size", "label")]).to_pylist()
    if not mixed_budgets:
        _refuse_mixed(cells)
    return [_curve(cell, facts[cell["task"]]) for cell in cells]


def _curve(cell: dict[str, Any], facts: TaskFacts) -> TuningCurve:
    if facts.higher_is_better is None:
        raise ResultsError(f"task {facts.task!r}: no row says whether a higher score is better")
    failed = np.isneginf(np.array(cell["score_min_min_list"]))
    scores = np.where(failed, -np.inf, facts.sign * np.array(cell["score_min_mean_list"]))
    expected = expected_best(scores)
    normalised = None
    if facts.zero is not None and facts.one is not None and facts.averaged:
        normalised = _numbers((facts.sign * expected - facts.zero) / (facts.one - facts.zero), expected)
    return TuningCurve(
        task=facts.task,
        family=facts.family,
        target_size=cell["target_size"],
        label=str(cell["label"]),
        metric=facts.metric,
        higher_is_better=facts.higher_is_better,
        seeds=int(cell["score_min_count_min"]),
        failed=int(failed.sum()),
        expected=_numbers(facts.sign * expected, expected),
        normalised=normalised,
    )


def _numbers(values: FloatArray, expected: FloatArray) -> tuple[float | None, ...]:
    return tuple(float(v) if usable else None for v, usable in zip(values, np.isfinite(expected), strict=True))


def _refuse_mixed(cells: Sequence[dict[str, Any]]) -> None:
    """Raises: ResultsError if two labels were tuned on one task with different budgets."""
    first: dict[str, tuple[str, list[Any]]] = {}
    for cell in cells:
        configs = cell["tuning_configs"] or len(cell["score_min_mean_list"])
        budget = [configs, cell["tuning_seeds"]]
        other, expected = first.setdefault(cell["task"], (cell["label"], budget))
        if budget != expected:
            said = ", ".join(
                f"{name} {a} and {b}" for name, a, b in zip(BUDGETS, expected, budget, strict=True) if a != b
            )
            raise ResultsError(
                f"task {cell['task']!r}: {other!r} and {cell['label']!r} were tuned with different budgets ({said});"
                " their tuning curves are not comparable"
            )


def mean_curves(curves: Sequence[TuningCurve]) -> dict[str, tuple[float | None, ...]]:
    """Each label's normalised curve, averaged inside each task, then over tasks, as far as all its curves reach.

    Only labels with a curve in every cell that any label has, and only where every cell has anchors; otherwise nothing
    is averaged.
    """
    cells = {(curve.task, curve.target_size) for curve in curves}
    if any(curve.normalised is None for curve in curves):
        return {}
    found = {}
    for label in sorted({curve.label for curve in curves}):
        own = [curve for curve in curves if curve.label == label]
        if {(curve.task, curve.target_size) for curve in own} != cells:
            continue
        reach = min(len(curve.expected) for curve in own)
        values = np.array([[np.nan if v is None else v for v in (c.normalised or ())[:reach]] for c in own])
        families = np.array([curve.family for curve in own])
        means = np.mean([values[families == family].mean(axis=0) for family in np.unique(families)], axis=0)
        found[label] = tuple(None if np.isnan(v) else float(v) for v in means)
    return found
