"""Bayesian verdicts with a region of practical equivalence. For display beside the verdict, never in its place.

Differences are positive where the first method is better; a difference that only a failure decides is infinite. The
region reaches from minus to plus ``rope``, in the unit of the differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from scipy import stats

from results.errors import ResultsError, nearest
from results.pairing import pair
from results.pivot import Grid, as_grid
from results.statistics import FloatArray

DRAWS: Final = 20_000
PRIOR_STRENGTH: Final = 0.5
"""Weight of the prior's one observation, no difference, where each task has weight 1."""


@dataclass(frozen=True)
class Posterior:
    """Posterior probabilities that the first method is worse, practically equivalent, or better; they sum to 1."""

    worse: float
    equivalent: float
    better: float


def correlated_t(differences: FloatArray, correlation: float, rope: float) -> Posterior | None:
    """Two methods on one task over resamples that share data; None below two differences.

    The posterior of the mean difference is a t distribution with n - 1 degrees of freedom around the sample mean, its
    squared scale the sample variance times (1/n + rho / (1 - rho)). ``correlation`` rho is the share of the examples
    that a resample tests on; 0 gives the posterior of independent runs. Without any variance the mean alone decides.

    Shapes: (runs n,); values that are not finite are left out.
    Raises: ValueError for a correlation outside [0, 1) or a negative rope.
    Source: Corani and Benavoli, 2015; the variance of Nadeau and Bengio, 2003.
    """
    if not 0 <= correlation < 1:
        raise ValueError(f"correlation {correlation!r}: expected a number from 0 to below 1")
    _check(rope)
    sample = differences[np.isfinite(differences)]
    if len(sample) < 2:
        return None
    mean = float(sample[0] if np.ptp(sample) == 0 else sample.mean())
    scale = float(sample.std(ddof=1)) * math.sqrt(1 / len(sample) + correlation / (1 - correlation))
    if np.ptp(sample) == 0:
        return Posterior(float(mean < -rope), float(abs(mean) <= rope), float(mean > rope))
    posterior = stats.t(len(sample) - 1, mean, scale)
    worse, better = float(posterior.cdf(-rope)), float(posterior.sf(rope))
    return Posterior(worse, max(0.0, 1 - worse - better), better)


def bayesian_signed_rank(
    differences: FloatArray,
    rope: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
    prior_strength: float = PRIOR_STRENGTH,
) -> Posterior | None:
    """Two methods over tasks: how probably each of the three outcomes is the likeliest on another task; None without
    tasks.

    Tasks and the prior's observation of no difference get weights from a Dirichlet distribution. An outcome's chance
    under one draw of weights is the weight of the pairs of tasks, each with itself too, whose average difference lies
    there; what lies on an edge of the region counts half on either side. The posterior is the share of draws in which
    the outcome has the largest chance, shared out where equal. With a rope of 0 nothing is equivalent.

    Shapes: (tasks,), without NaN.
    Raises: ValueError for a negative rope.
    Source: Benavoli et al., 2014; Benavoli et al., 2017, section 4.2.
    """
    _check(rope)
    if len(differences) == 0:
        return None
    finite = np.abs(differences[np.isfinite(differences)])
    decisive = 2 * (rope + float(finite.max(initial=0.0))) + 1
    observed = np.append(0.0, np.clip(differences, -decisive, decisive))
    weights = rng.dirichlet(np.append(prior_strength, np.ones(len(differences))), size=draws)
    better, worse = _beyond(observed, weights, 2 * rope), _beyond(-observed, weights, 2 * rope)
    chances = np.stack([worse, 1 - worse - better, better])
    largest = chances >= chances.max(axis=0) - 1e-12
    return Posterior(*(float(share) for share in (largest / largest.sum(axis=0)).mean(axis=1)))


def _beyond(values: FloatArray, weights: FloatArray, edge: float) -> FloatArray:
    """The weight of the pairs of values, each with itself too, whose sum is above the edge; on it, to rounding, half.

    Shapes: (values,), (draws, values) -> (draws,).
    """
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[:, order]
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)
    above = np.searchsorted(values, edge - values + 2e-12 * edge, side="right")
    not_below = np.searchsorted(values, edge - values - 2e-12 * edge, side="left")
    beyond = below[:, -1:] - (below[:, above] + below[:, not_below]) / 2
    return np.asarray((weights * beyond).sum(axis=1), np.float64)


def _check(rope: float) -> None:
    if not 0 <= rope < math.inf:
        raise ValueError(f"rope {rope!r}: expected a finite number of at least 0")


@dataclass(frozen=True)
class Belief:
    """One candidate against the baseline over all target sizes. ``posterior`` is None without a common unit or task."""

    candidate: str
    baseline: str
    unit: str | None
    tasks: int
    rope: float
    posterior: Posterior | None


def beliefs(rows: pa.Table | Grid, baseline: str, rope: float, draws: int = DRAWS) -> list[Belief]:
    """The Bayesian signed-rank posterior of each other label against the baseline over tasks, sorted by label.

    ``rope`` is in the unit of the comparison, as the margin of a verdict is. Every label gets the same draws.

    Raises: ResultsError for an unknown baseline, a rope that is negative or not finite, or rows that cannot be
    compared.
    """
    if not 0 <= rope < math.inf:
        raise ResultsError(f"rope {rope!r}: expected a finite number of at least 0")
    grid = as_grid(rows)
    if baseline not in grid.labels:
        raise ResultsError(f"baseline {baseline!r} has no final rows; {nearest(baseline, grid.labels)}")
    grid = grid.over_tasks(None)
    scores, unit = grid.normalised()
    place = grid.labels.index(baseline)
    found = []
    for candidate, label in enumerate(grid.labels):
        if candidate != place:
            differences = pair(grid, scores, unit is not None, candidate, place).differences
            rng = np.random.default_rng(0)
            posterior = bayesian_signed_rank(differences, rope, rng, draws) if unit is not None else None
            found.append(Belief(label, baseline, unit, len(differences), rope, posterior))
    return found
