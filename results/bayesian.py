"""Bayesian verdicts with a region of practical equivalence. For display beside the verdict, never in its place.

Differences are positive where the first method is better; a difference that only a failure decides is infinite. The
region reaches from minus to plus ``rope``, in the unit of the differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from results.statistics import FloatArray

DRAWS: Final = 20_000
PRIOR_STRENGTH: Final = 0.6
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
    mean = float(sample.mean())
    scale = float(sample.std(ddof=1)) * math.sqrt(1 / len(sample) + correlation / (1 - correlation))
    if scale == 0:
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
    there. The posterior is the share of draws in which the outcome has the largest chance, shared out where equal.

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
    sums = observed[:, None] + observed
    outcomes = [(sums < -2 * rope), (np.abs(sums) <= 2 * rope), (sums > 2 * rope)]
    weights = rng.dirichlet(np.append(prior_strength, np.ones(len(differences))), size=draws)
    chances = np.stack([((weights @ outcome) * weights).sum(axis=1) for outcome in outcomes])
    largest = chances >= chances.max(axis=0) - 1e-12
    worse, equivalent, better = (largest / largest.sum(axis=0)).mean(axis=1)
    return Posterior(float(worse), float(equivalent), float(better))


def _check(rope: float) -> None:
    if not 0 <= rope < math.inf:
        raise ValueError(f"rope {rope!r}: expected a finite number of at least 0")
