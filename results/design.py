"""What a design of tasks and seeds can see, and what a stated difference would need: from variances, or from rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from scipy import stats

from results import power
from results.errors import ResultsError, nearest
from results.pairing import pair
from results.pivot import NO_METRIC, Grid, as_grid
from results.power import Variances, variance_components
from results.statistics import ALPHA, FloatArray, fewest_tasks

NO_UNIT: Final = "Tasks have no common unit."
FEWER_THAN_TWO: Final = (
    "Fewer than two tasks have a difference with a size: nothing is known of the variance over tasks."
)
ALIKE: Final = (
    "Nothing varies in these rows: all differences are the same, so they do not say how small a difference would be "
    "seen or what one would need."
)
NO_SPREAD: Final = (
    "Tasks do not show more spread than their seeds explain, which so few cannot rule out: more seeds may help less "
    "than this says."
)


@dataclass(frozen=True)
class Design:
    """So many tasks of so many seeds each, the variances of paired differences, and what follows from both.

    ``candidate``, ``baseline`` and ``unit`` (of deviation and differences) are None where no rows are behind it.
    ``comparisons`` is the family of Holm's adjustment, ``fewest_tasks`` the fewest with which it can decide at all.
    With one seed ``task_variance`` holds both variances and ``seed_variance`` is None. Rows whose differences are all
    the same do not know their variances: then there are none. ``deviation`` is the standard
    deviation over tasks of seed-averaged differences, ``deviation_low`` to ``deviation_high`` its 95 % interval where
    rows are behind it. ``smallest_detectable`` has power 0.8. ``power``, ``tasks_needed`` (with these seeds) and
    ``seeds_needed`` (on these tasks) are for ``difference``. None: not known, or out of reach; ``note`` says which.
    """

    candidate: str | None
    baseline: str | None
    unit: str | None
    tasks: int
    seeds: int
    comparisons: int
    fewest_tasks: int
    task_variance: float | None
    seed_variance: float | None
    deviation: float | None
    deviation_low: float | None
    deviation_high: float | None
    smallest_detectable: float | None
    difference: float | None
    power: float | None
    tasks_needed: int | None
    seeds_needed: int | None
    note: str


def designs(
    rows: pa.Table | Grid,
    baseline: str,
    difference: float | None = None,
    tasks: int | None = None,
    seeds: int | None = None,
) -> list[Design]:
    """Each other label against the baseline over all target sizes, sorted by label.

    ``tasks`` and ``seeds`` stand in for those of the rows, while the variances stay: a larger or smaller design of the
    same kind. Holm's family is all labels against this baseline.

    Raises: ResultsError for an unknown baseline, or rows that cannot be compared.
    """
    grid = as_grid(rows)
    if baseline not in grid.labels:
        raise ResultsError(f"baseline {baseline!r} has no final rows; {nearest(baseline, grid.labels)}")
    grid = grid.over_tasks(None)
    scores, unit = grid.normalised()
    place = grid.labels.index(baseline)
    found = []
    for candidate, label in enumerate(grid.labels):
        if candidate == place:
            continue
        pairing = pair(grid, scores, unit is not None, candidate, place)
        differences = pairing.seed_differences if unit is not None else np.empty((0, 1))
        design = of_differences(differences, max(1, len(grid.labels) - 1), difference, tasks, seeds)
        if unit is None:
            note = f"{NO_UNIT} {NO_METRIC}" if grid.no_metric else NO_UNIT
            design = replace(design, tasks=tasks or len(pairing.differences), note=note)
        seeds_each = design.seeds or pairing.seeds
        found.append(replace(design, seeds=seeds_each, candidate=label, baseline=baseline, unit=unit))
    return found


def of_differences(
    differences: FloatArray,
    comparisons: int = 1,
    difference: float | None = None,
    tasks: int | None = None,
    seeds: int | None = None,
) -> Design:
    """The design behind an array of paired differences. Shapes: (tasks, seeds), NaN where a seed is absent."""
    number = np.isfinite(differences).sum(axis=1)
    number = number[number > 0]
    pilot, fewest = len(number), int(number.min(initial=np.iinfo(np.int64).max)) if len(number) else 0
    variances = variance_components(differences)
    alike = variances is not None and variances.task == 0 and not variances.seed
    known = None if alike else variances
    why = ALIKE if alike else FEWER_THAN_TWO
    design = of_variances(known, tasks or pilot, seeds or fewest, comparisons, difference, why)
    if known is not None and known.task == 0:
        design = replace(design, note=f"{design.note} {NO_SPREAD}".strip())
    if design.deviation is None:
        return design
    share = stats.chi2.isf([0.025, 0.975], pilot - 1) / (pilot - 1)
    low, high = (design.deviation / math.sqrt(part) for part in share)
    return replace(design, deviation_low=low, deviation_high=high)


def of_variances(
    variances: Variances | None,
    tasks: int,
    seeds: int,
    comparisons: int = 1,
    difference: float | None = None,
    why_none: str = FEWER_THAN_TWO,
) -> Design:
    """The design with these variances; None: they are not known, and ``why_none`` is the sentence that says why."""
    least = fewest_tasks(ALPHA / comparisons)
    design = Design(
        candidate=None,
        baseline=None,
        unit=None,
        tasks=tasks,
        seeds=seeds,
        comparisons=comparisons,
        fewest_tasks=least,
        task_variance=variances.task if variances else None,
        seed_variance=variances.seed if variances else None,
        deviation=variances.deviation(seeds) if variances else None,
        deviation_low=None,
        deviation_high=None,
        smallest_detectable=power.smallest_detectable(variances, tasks, seeds, comparisons) if variances else None,
        difference=difference,
        power=None,
        tasks_needed=None,
        seeds_needed=None,
        note="",
    )
    if variances is not None and difference is not None:
        design = replace(
            design,
            power=power.power_of(variances, difference, tasks, seeds, comparisons),
            tasks_needed=power.tasks_needed(variances, difference, seeds, comparisons),
            seeds_needed=power.seeds_needed(variances, difference, tasks, comparisons),
        )
    return replace(design, note=" ".join(_notes(design, why_none)))


def _notes(design: Design, why_none: str) -> list[str]:
    """What a reader must know beside the numbers, as sentences."""
    family = "" if design.comparisons == 1 else f" after Holm over {design.comparisons} comparisons"
    asked, known = design.difference is not None, design.deviation is not None
    one_seed = design.task_variance is not None and design.seed_variance is None
    have = f"{design.tasks} task{'' if design.tasks == 1 else 's'}"
    alone = math.sqrt(design.task_variance or 0.0)
    said = {
        f"{have} cannot decide: {design.fewest_tasks} are needed for p < {ALPHA}{family}.": (
            design.tasks < design.fewest_tasks
        ),
        why_none: design.task_variance is None,
        "Rows of one seed do not tell the variance over tasks from that over seeds.": one_seed,
        f"More than {power.MOST:,} tasks would be needed.": asked and known and design.tasks_needed is None,
        f"No number of seeds is enough on these tasks: they differ by a standard deviation of {alone:.3g}.": (
            asked and not one_seed and known and design.seeds_needed is None and design.tasks >= design.fewest_tasks
        ),
    }
    return [sentence for sentence, holds in said.items() if holds]
