"""Variance components: how much of a score's spread each of several crossed random factors brings.

A score is a function of what independent draws of the factors gave: the general mean, a part for each factor alone, and
one for each set of factors together (their interaction). The parts are uncorrelated, so the score's variance is the sum
of theirs, the components. A table holds one score for each combination of some draws of every factor; the whole
interaction is then the remainder too. Estimates are unbiased and may be negative: that says "about zero".

Source: Searle, Casella and McCulloch, Variance Components, 1992, chapter 4 (balanced data); Efron and Stein, 1981.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from results.statistics import FloatArray, t_quantile

Axes = tuple[int, ...]
"""Factors that act together, as numbers of a table's axes in ascending order."""

CONFIDENCE: Final = 0.95


def subsets(factors: int) -> list[Axes]:
    """Every set of at least one factor, small ones first."""
    return [chosen for size in range(1, factors + 1) for chosen in combinations(range(factors), size)]


def mean_squares(tables: FloatArray) -> dict[Axes, FloatArray]:
    """The mean square of every set of factors, of each table. Shapes: (tables, levels of each factor) -> (tables,).

    Raises: ValueError for a factor with fewer than two levels.
    """
    levels = tables.shape[1:]
    if min(levels, default=0) < 2:
        raise ValueError(f"levels {levels}: a variance takes at least two levels of each factor")
    found = {}
    for chosen in subsets(len(levels)):
        effect = tables
        for axis in range(len(levels)):
            mean = effect.mean(axis=axis + 1, keepdims=True)
            effect = effect - mean if axis in chosen else mean
        free = math.prod(levels[axis] - 1 for axis in chosen)
        repeats = math.prod(level for axis, level in enumerate(levels) if axis not in chosen)
        found[chosen] = repeats * np.square(effect).sum(axis=tuple(range(1, tables.ndim))) / free
    return found


def components(tables: FloatArray) -> dict[Axes, FloatArray]:
    """The component of every set of factors, of each table, from expected mean squares; their sum is the variance.

    The mean square of a set expects, for each set that contains it, that one's component times the product of the
    levels of the factors it lacks; solved by inclusion and exclusion. Shapes and errors: as `mean_squares`.
    """
    levels, squares = tables.shape[1:], mean_squares(tables)
    found = {}
    for chosen in squares:
        signed = [(-1) ** (len(larger) - len(chosen)) * squares[larger] for larger in squares if {*chosen} <= {*larger}]
        found[chosen] = sum(signed) / math.prod(level for axis, level in enumerate(levels) if axis not in chosen)
    return found


@dataclass(frozen=True)
class Part:
    """An estimate with its interval; None where the tables do not give one."""

    value: float | None
    low: float | None = None
    high: float | None = None


def share(part: FloatArray, whole: FloatArray) -> Part:
    """What share of a variance a component is, with a t interval from leaving out one table after the other.

    part, whole: of independent tables; the share is that of their sums. Shapes: (tables,) each.
    Source: Quenouille, 1956; Tukey, 1958 (the jackknife).
    """
    if whole.sum() <= 0:
        return Part(None)
    value = float(part.sum() / whole.sum())
    left = whole.sum() - whole
    if len(part) < 2 or (left <= 0).any():
        return Part(value)
    half = _half_width((part.sum() - part) / left)
    return Part(value, value - half, value + half)


def deviation(variance: FloatArray) -> Part:
    """The standard deviation of a variance estimated by independent tables, its interval made on the logarithm.

    Shapes: (tables,).
    """
    total = variance.sum()
    if total <= 0:
        return Part(0.0 if len(variance) and not variance.any() else None)
    value = math.sqrt(total / len(variance))
    left = (total - variance) / max(1, len(variance) - 1)
    if len(variance) < 2 or (left <= 0).any():
        return Part(value)
    half = _half_width(np.log(left) / 2)
    return Part(value, value * math.exp(-half), value * math.exp(half))


def _half_width(without_one: FloatArray) -> float:
    """Of a t interval, from estimates that leave out one table each. Shapes: (tables,)."""
    tables = len(without_one)
    error = math.sqrt((tables - 1) / tables * float(np.square(without_one - without_one.mean()).sum()))
    return t_quantile(tables - 1, CONFIDENCE) * error
