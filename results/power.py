"""Power: which difference a design of tasks and seeds can see, and which design a difference needs.

The paired difference of two methods on one run is their true difference + a task's effect + a seed's noise. Over T
tasks of S seeds each, the mean of the seed-averaged differences has the variance (task + seed / S) / T. The test is the
one behind the verdict: exact, two-sided, signed ranks over tasks, at the first step of Holm, which is alpha over the
number of comparisons. Effects and noise are taken to be normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import stats

from results.statistics import ALPHA, FloatArray, MeanEstimate, fewest_tasks, over_seeds

POWER: Final = 0.8
MOST: Final = 10_000
"""The largest number of tasks or seeds that is looked at."""
EXACT_TASKS: Final = 30
"""Beyond it the t test stands in for signed ranks, with their asymptotic efficiency of 3 / pi."""
DRAWS: Final = 10_000
BATCH: Final = 4_000_000
"""Numbers that a simulation holds at once."""


@dataclass(frozen=True)
class Variances:
    """Of paired differences: over tasks, and over seeds inside a task. ``seed`` is None where there is one seed only:
    then ``task`` holds both."""

    task: float
    seed: float | None

    def deviation(self, seeds: int) -> float | None:
        """The standard deviation over tasks of differences averaged over so many seeds; None where not known."""
        if self.seed is None:
            return math.sqrt(self.task) if seeds == 1 else None
        return math.sqrt(self.task + self.seed / seeds)


def variance_components(differences: FloatArray) -> Variances | None:
    """Both variances from a pilot's differences; None below two tasks.

    The seed variance is the mean over tasks of s_t^2; the task variance is that of the task means less the mean of
    s_t^2 / S_t, and 0 where that is negative. Tasks with one seed take the mean of the others.

    Shapes: (tasks, seeds), NaN where a seed is absent.
    """
    seeds, means, spread = over_seeds(differences[np.isfinite(differences).any(axis=1)])
    if len(seeds) < 2:
        return None
    total = 0.0 if np.ptp(means) == 0 else float(means.var(ddof=1))
    repeated = seeds > 1
    if not repeated.any():
        return Variances(total, None)
    seed = float(spread[repeated].mean())
    within = np.where(repeated, spread, seed) / seeds
    return Variances(max(0.0, total - float(within.mean())), seed)


def critical_rank_sum(tasks: int, alpha: float) -> int:
    """The largest sum of the ranks of one sign with which the exact two-sided signed-rank test without ties has
    p < alpha; -1 where there is none.

    Source: Wilcoxon, 1945.
    """
    chances = np.ones(1)
    for rank in range(1, tasks + 1):
        chances = 0.5 * (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0)))
    return int(np.searchsorted(2 * chances.cumsum(), alpha * (1 - 1e-12))) - 1


def rejecting_shifts(tasks: int, alpha: float, rng: np.random.Generator, draws: int = DRAWS) -> FloatArray:
    """For each of many samples of standard normal differences, the shift above which the test finds it; sorted.

    The sum of the ranks of negative differences is the number of averages of two tasks, each with itself too, that are
    not positive. So the test finds a shift above minus the (c + 1)-th smallest average, with c the critical rank sum:
    the share of shifts below an effect is the power of that effect, and a quantile is the effect with that power.

    Shapes: -> (draws,); all infinite where so few tasks cannot reach alpha.
    Source: Tukey, 1949 (rank sum as a count of averages).
    """
    critical = critical_rank_sum(tasks, alpha)
    if critical < 0:
        return np.full(draws, np.inf)
    first, second = np.triu_indices(tasks)
    batch = max(1, BATCH // len(first))
    found = []
    for start in range(0, draws, batch):
        sample = rng.standard_normal((min(batch, draws - start), tasks))
        averages = (sample[:, first] + sample[:, second]) / 2
        found.append(-np.partition(averages, critical, axis=1)[:, critical])
    return np.sort(np.concatenate(found))


@lru_cache(maxsize=256)
def _shifts(tasks: int, alpha: float) -> FloatArray:
    return rejecting_shifts(tasks, alpha, np.random.default_rng(0))


def detectable_effect(tasks: int, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The effect, in standard deviations over tasks, that the test finds on the right side with this power.

    Simulated up to ``EXACT_TASKS`` tasks, to about one part in a hundred. None where so few tasks cannot reach alpha.
    """
    if tasks < fewest_tasks(alpha):
        return None
    if tasks <= EXACT_TASKS:
        return float(np.quantile(_shifts(tasks, alpha), power))
    efficient = tasks * 3 / math.pi
    return MeanEstimate(0.0, 1 / math.sqrt(efficient), efficient - 1).smallest_detectable(alpha, power)


def power_of_effect(effect: float, tasks: int, alpha: float = ALPHA) -> float:
    """The chance that the test finds this effect (in standard deviations over tasks) on the right side."""
    if tasks <= EXACT_TASKS:
        shifts = _shifts(tasks, alpha)
        return float(np.searchsorted(shifts, effect) / len(shifts))
    efficient = tasks * 3 / math.pi
    critical = stats.t.isf(alpha / 2, efficient - 1)
    return float(stats.nct.sf(critical, efficient - 1, effect * math.sqrt(efficient)))


def smallest_detectable(
    variances: Variances, tasks: int, seeds: int, comparisons: int = 1, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """The true difference that a design finds with this power; None where it cannot decide, or nothing is known."""
    effect, deviation = detectable_effect(tasks, alpha / comparisons, power), variances.deviation(seeds)
    return None if effect is None or deviation is None else effect * deviation


def power_of(
    variances: Variances, difference: float, tasks: int, seeds: int, comparisons: int = 1, alpha: float = ALPHA
) -> float | None:
    """The chance that a design finds this true difference; None where the variance of so many seeds is not known."""
    deviation = variances.deviation(seeds)
    if deviation is None:
        return None
    return power_of_effect(abs(difference) / deviation if deviation else math.inf, tasks, alpha / comparisons)


def tasks_needed(
    variances: Variances,
    difference: float,
    seeds: int,
    comparisons: int = 1,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int | None:
    """The fewest tasks, of so many seeds each, that find this true difference with this power.

    None where more than ``MOST`` would be needed, or the variance of so many seeds is not known.
    """
    deviation = variances.deviation(seeds)
    if deviation is None:
        return None

    def enough(tasks: int) -> bool:
        effect = detectable_effect(tasks, alpha / comparisons, power)
        return effect is not None and effect * deviation <= abs(difference)

    return _fewest(enough, fewest_tasks(alpha / comparisons))


def seeds_needed(
    variances: Variances,
    difference: float,
    tasks: int,
    comparisons: int = 1,
    alpha: float = ALPHA,
    power: float = POWER,
) -> int | None:
    """The fewest seeds on each of so many tasks that find this true difference with this power.

    None where no number of seeds would do (too few tasks, or the variance over tasks alone is too large), where more
    than ``MOST`` would be needed, or where the seed variance is not known.
    """
    effect = detectable_effect(tasks, alpha / comparisons, power)
    if effect is None or variances.seed is None:
        return None
    room = (difference / effect) ** 2 - variances.task
    if room <= 0:
        return 1 if variances.task == variances.seed == 0 and difference else None
    needed = max(1, math.ceil(variances.seed / room))
    return needed if needed <= MOST else None


def _fewest(enough: Callable[[int], bool], least: int) -> int | None:
    """The smallest number from ``least`` to ``MOST`` that is enough, where more is never worse."""
    if not enough(MOST):
        return None
    low, high = least - 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def fewest_tasks_for(methods: int, all_pairs: bool, alpha: float = ALPHA) -> int:
    """The fewest tasks with which the exact tests of so many methods can tell any two apart after Holm.

    All pairs are K (K - 1) / 2 comparisons, against one baseline they are K - 1.
    """
    return fewest_tasks(alpha / comparisons(methods, all_pairs))


def comparisons(methods: int, all_pairs: bool) -> int:
    """The size of the family that Holm's adjustment is over; at least 1."""
    return max(1, methods * (methods - 1) // 2 if all_pairs else methods - 1)


def cannot_decide(tasks: int, methods: int, alpha: float = ALPHA) -> str | None:
    """The sentence that so many tasks tell no two of so many methods apart, all pairs tested; None where they can."""
    needed = fewest_tasks_for(methods, all_pairs=True, alpha=alpha)
    if methods < 2 or tasks >= needed:
        return None
    than, family = ("two methods", "") if methods == 2 else (f"any two of {methods} methods", " after Holm")
    have = f"{tasks} task{'' if tasks == 1 else 's'}"
    return f"{have} cannot tell {than} apart, however different they are: {needed} are needed for p < {alpha}{family}."


def decides(tasks: int, methods: int, alpha: float = ALPHA) -> str:
    """What so many tasks can decide between so many methods, however large the differences, in words."""
    if methods < 2:
        return "nothing: there is one method"
    baseline, pairs = (fewest_tasks_for(methods, all_pairs, alpha) for all_pairs in (False, True))
    have = f"{tasks} task{'' if tasks == 1 else 's'}"
    if tasks < baseline:
        pairs_too = "" if methods == 2 else f" against one baseline, {pairs} for all pairs"
        return f"nothing over tasks: {have}, and {baseline} are needed for {methods} methods{pairs_too}"
    if tasks < pairs:
        return f"each method against one baseline; all pairs need {pairs} tasks, not {have}"
    return "two methods" if methods == 2 else "each method against one baseline, and all pairs"
