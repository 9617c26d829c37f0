"""Two methods over some tasks: estimates, intervals, tests and power. Pure functions over numpy arrays.

Axis order everywhere: tasks, then seeds. Differences are positive where the first method is better. A score or
difference that is absent is NaN. A difference that only a failure decides is infinite: it has a side and the largest
rank, but no size. What too few tasks or seeds cannot give is ``None``, never a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
DIGITS = 12
"""Significant digits to which scores and differences are rounded before they are compared or ranked."""

EXACT_TASKS = 500
"""Differences up to which the signed-rank test is exact."""

EVERY_PAIR = 3000
"""Differences up to which Hodges and Lehmann's estimate holds every pair of them at once."""


def round_significant(values: FloatArray, scale: FloatArray | None = None) -> FloatArray:
    """Values rounded to ``DIGITS`` significant digits of ``scale`` (of themselves by default), so that ties are ties.

    The difference of two scores carries the rounding error of the scores: pass the size of the scores as ``scale``.
    Shapes: ``scale`` has the shape of ``values``. NaN and infinite values stay as they are.
    """
    size = np.abs(values if scale is None else scale)
    usable = np.isfinite(size) & (size > 0) & np.isfinite(values)
    exponent = np.clip(np.floor(np.log10(np.where(usable, size, 1.0))), -290, 290)
    power = 10.0 ** (DIGITS - 1 - exponent)
    return np.where(usable, np.rint(np.where(usable, values, 0.0) * power) / power, values) + 0.0


LARGEST = 1e100
"""The largest score that counts as one; beyond, the squares of squares that estimates need are no numbers."""


@lru_cache(maxsize=4096)
def t_quantile(degrees_of_freedom: float, confidence: float = 1 - ALPHA) -> float:
    """Half the width of a two-sided t interval, in standard errors."""
    return float(stats.t.isf((1 - confidence) / 2, degrees_of_freedom))


@dataclass(frozen=True)
class MeanEstimate:
    """An estimated mean difference, its standard error, and the degrees of freedom of that error."""

    mean: float
    standard_error: float
    degrees_of_freedom: float

    def interval(self, confidence: float = 1 - ALPHA) -> tuple[float, float]:
        """The two-sided t interval."""
        half = t_quantile(self.degrees_of_freedom, confidence) * self.standard_error
        return self.mean - half, self.mean + half

    def p_value(self) -> float | None:
        """The two-sided t test of no difference; None where nothing varies although there is a difference."""
        if self.standard_error == 0:
            return 1.0 if self.mean == 0 else None
        return float(2 * stats.t.sf(abs(self.mean) / self.standard_error, self.degrees_of_freedom))

    def smallest_detectable(self, alpha: float = ALPHA, power: float = 0.8) -> float | None:
        """The true difference that a two-sided t test at ``alpha`` finds, and on the right side, with this ``power``.

        None where nothing varies.
        """
        if self.standard_error == 0:
            return None
        return self.standard_error * _detectable_errors(self.degrees_of_freedom, alpha, power)


@lru_cache(maxsize=4096)
def _detectable_errors(degrees_of_freedom: float, alpha: float, power: float) -> float:
    """The smallest detectable difference in units of the standard error."""
    from statsmodels.stats.power import ttest_power

    def shortfall(errors: float) -> float:
        return float(ttest_power(errors, 1, alpha / 2, df=degrees_of_freedom, alternative="larger")) - power

    high = 2 * float(stats.t.isf(alpha / 2, degrees_of_freedom)) + 2
    while shortfall(high) < 0:
        high *= 2
    return float(optimize.brentq(shortfall, 0.0, high))


def mean_of_sample(differences: FloatArray) -> MeanEstimate | None:
    """The mean over other tasks like these (or, inside one task, over other seeds); None below two finite differences.

    Shapes: (tasks,) seed-averaged differences, or (seeds,) inside one task. Values that are not finite are left out.
    """
    sample = differences[np.isfinite(differences)]
    if len(sample) < 2:
        return None
    unit = _unit(sample)
    sample = sample / unit
    error = 0.0 if np.ptp(sample) == 0 else float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return MeanEstimate(float(sample.mean()) * unit, error * unit, len(sample) - 1.0)


def mean_of_fixed_tasks(differences: FloatArray) -> MeanEstimate | None:
    """The mean over exactly these tasks and other seeds; None without tasks or where a task has fewer than two seeds.

    The variance of the mean of T tasks is sum(v_t) / T^2 with v_t = s_t^2 / S_t; its degrees of freedom are
    sum(v_t)^2 / sum(v_t^2 / (S_t - 1)).

    Shapes: (tasks, seeds), NaN where a seed is absent.
    Source: Satterthwaite, 1946.
    """
    unit = _unit(differences)
    seeds, means, spread = over_seeds(differences / unit)
    if len(seeds) == 0 or seeds.min() < 2:
        return None
    variances = spread / seeds
    total = float(variances.sum())
    freedom = total**2 / float((variances**2 / (seeds - 1)).sum()) if total > 0 else float((seeds - 1).sum())
    return MeanEstimate(float(means.mean()) * unit, math.sqrt(total) / len(means) * unit, freedom)


def _unit(values: FloatArray) -> float:
    """A power of two of the size of the largest value: in that unit no square overflows, and nothing is rounded."""
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0 else 1.0


def over_seeds(differences: FloatArray) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
    """Per task its number of seeds, their mean and their variance (ddof 1), NaN below one and two seeds.

    Equal numbers have exactly that mean and no variance, which their floating-point sum need not give.

    Shapes: (tasks, seeds), NaN where a seed is absent -> (tasks,) each.
    """
    present = np.isfinite(differences)
    seeds = present.sum(axis=1)
    largest = np.where(present, differences, -np.inf).max(axis=1, initial=-np.inf)
    alike = (largest == np.where(present, differences, np.inf).min(axis=1, initial=np.inf)) & (seeds > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(alike, largest, np.where(present, differences, 0.0).sum(axis=1) / seeds)
        residuals = np.where(present & ~alike[:, None], differences - means[:, None], 0.0)
        return seeds, means, np.where(seeds > 1, (residuals**2).sum(axis=1) / (seeds - 1), np.nan)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test. ``plus`` and ``minus`` share out the ranks of zero differences evenly."""

    plus: float
    minus: float
    direction: int
    p_value: float


def signed_rank(differences: FloatArray) -> SignedRank:
    """The two-sided signed-rank test, conditional on ties, zero differences dropped.

    Exact up to ``EXACT_TASKS`` differences: the distribution of the rank sum is built by convolution over the tasks.
    Beyond, normal with the variance of these ranks. No difference at all gives p = 1. Infinite differences take the
    largest rank.

    Shapes: (tasks,), rounded, without NaN.
    Source: Wilcoxon, 1945; zeros shared out for display as in Demšar, 2006, section 3.1.3.
    """
    ranks = stats.rankdata(np.abs(differences))
    zeros = float(ranks[differences == 0].sum()) / 2
    nonzero = differences[differences != 0]
    doubled = np.rint(2 * stats.rankdata(np.abs(nonzero))).astype(np.int64)
    plus, minus = int(doubled[nonzero > 0].sum()), int(doubled[nonzero < 0].sum())
    return SignedRank(
        plus=float(ranks[differences > 0].sum()) + zeros,
        minus=float(ranks[differences < 0].sum()) + zeros,
        direction=int(np.sign(plus - minus)),
        p_value=min(1.0, 2 * _chance_of_sum(doubled, min(plus, minus))),
    )


def _chance_of_sum(ranks: npt.NDArray[np.int64], most: int) -> float:
    """The chance that a sum of ranks, each in it or not with equal chance, is ``most`` or less. Ranks are doubled."""
    if len(ranks) > EXACT_TASKS:
        middle, deviation = float(ranks.sum()) / 2, math.sqrt(float((ranks.astype(np.float64) ** 2).sum())) / 2
        return float(stats.norm.cdf((most + 1 - middle) / deviation))
    step = 2 if not (ranks % 2).any() else 1
    return float(_chances(tuple(np.sort(ranks // step).tolist()))[: most // step + 1].sum())


@lru_cache(maxsize=64)
def _chances(ranks: tuple[int, ...]) -> FloatArray:
    """The chance of each sum of the ranks that a fair coin picks. Shapes: (ranks,) -> (sum of the ranks + 1,)."""
    chances = np.zeros(sum(ranks) + 1)
    chances[0], top = 1.0, 0
    for rank in ranks:
        before = chances[: top + 1].copy()
        chances[rank : rank + top + 1] += before
        chances[: rank + top + 1] *= 0.5
        top += rank
    return chances


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided sign test, ties dropped: what is left where differences have no common unit."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def fewest_tasks(alpha: float = ALPHA) -> int:
    """The fewest tasks with which an exact two-sided signed-rank or sign test can reach ``alpha``."""
    return math.ceil(1 + math.log2(1 / alpha))


def holm(p_values: list[float | None]) -> list[float | None]:
    """Holm-adjusted p values. An undefined one counts as a member of the family and stays undefined.

    Source: Holm, 1979.
    """
    # statsmodels' multipletests collects garbage on each call: a tenth of a second per family in a large process.
    raw = np.array([1.0 if p is None else p for p in p_values])
    order = np.argsort(raw, kind="stable")
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)))
    return [None if p is None else float(q) for p, q in zip(p_values, adjusted, strict=True)]


def hodges_lehmann(differences: FloatArray) -> float | None:
    """The median of all averages of two differences (each with itself too); None without a finite difference.

    Shapes: (tasks,); values that are not finite are left out.
    Source: Hodges and Lehmann, 1963.
    """
    sample = differences[np.isfinite(differences)]
    if len(sample) == 0:
        return None
    if len(sample) > EVERY_PAIR:
        return _median_of_averages(np.sort(sample))
    first, second = np.triu_indices(len(sample))
    return float(np.median((sample[first] + sample[second]) / 2))


def _median_of_averages(ordered: FloatArray) -> float:
    """The same by bisection, to rounding, in memory that grows with the sample and not with its pairs."""
    count = len(ordered)
    pairs, place = count * (count + 1) // 2, np.arange(count)

    def smallest(rank: int) -> float:
        low, high = float(ordered[0]), float(ordered[-1])
        for _ in range(100):
            middle = low + (high - low) / 2
            if middle in (low, high):
                break
            partners = np.searchsorted(ordered, 2 * middle - ordered, side="right")
            low, high = (low, middle) if np.maximum(partners - place, 0).sum() >= rank else (middle, high)
        return high

    return (smallest((pairs + 1) // 2) + smallest(pairs // 2 + 1)) / 2


def probability_better(first: FloatArray, second: FloatArray) -> FloatArray:
    """Per task, the chance that a run of the first method beats a run of the second, ties half; NaN without runs.

    Shapes: (tasks, seeds of the first), (tasks, seeds of the second) -> (tasks,). NaN where a run is absent; a failed
    run is minus infinity.
    Source: Agarwal et al., 2021, arXiv 2108.13264, "probability of improvement".
    """
    left, right = ~np.isnan(first), ~np.isnan(second)
    # Absent runs stand above all others, where they change no other run's rank. A run's rank among all runs, less its
    # rank among its own, is the number of rivals that it beats, ties half.
    own, rival = np.where(left, first, np.inf), np.where(right, second, np.inf)
    everyone = stats.rankdata(np.concatenate([own, rival], axis=1), axis=1)[:, : own.shape[1]]
    won = np.where(left, everyone - stats.rankdata(own, axis=1), 0.0).sum(axis=1)
    pairs = left.sum(axis=1) * right.sum(axis=1)
    return np.where(pairs > 0, won / np.maximum(pairs, 1), np.nan)
