"""Several methods over some tasks: ranks, wins, tests of all, tie groups, ratings. Pure functions over numpy arrays.

Axis order everywhere: [draws,] tasks, [seeds,] methods. Higher scores are better, rank 1 is best, ties share the mean
rank. Scores hold no NaN unless a docstring says so; a failed method scores minus infinity and so ranks last. A vector
of weights over tasks sums to 1.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from results.statistics import ALPHA, FloatArray, round_significant


def ranks(scores: FloatArray) -> FloatArray:
    """Ranks inside each task. Shapes: (..., tasks, methods) -> the same."""
    return np.asarray(stats.rankdata(-round_significant(scores), axis=-1), np.float64)


def mean_ranks(scores: FloatArray, weights: FloatArray) -> FloatArray:
    """The mean rank of each method. Shapes: (..., tasks, methods), (..., tasks) -> (..., methods)."""
    return np.asarray(np.einsum("...tm,...t->...m", ranks(scores), weights), np.float64)


def win_matrix(scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Entry [i, j] is the weight of the tasks on which i beats j, ties half; the diagonal is 0.

    Shapes: (..., tasks, methods), (..., tasks) -> (..., methods, methods).
    """
    rounded = round_significant(scores)
    columns = []
    for rival in range(scores.shape[-1]):
        other = rounded[..., rival : rival + 1]
        won = (rounded > other) + 0.5 * (rounded == other)
        columns.append(np.einsum("...tm,...t->...m", won, weights))
    wins = np.stack(columns, axis=-1)
    return np.where(np.eye(wins.shape[-1], dtype=bool), 0.0, wins)


def win_rates(wins: FloatArray) -> FloatArray:
    """The mean share of rivals beaten, which is (K - mean rank) / (K - 1). Shapes: (..., K, K) -> (..., K), K >= 2."""
    return np.asarray(wins.sum(axis=-1) / (wins.shape[-1] - 1), np.float64)


def interquartile_mean(scores: FloatArray) -> float:
    """The mean of the middle half of all scores (any shape): a quarter of them, rounded down, is cut at each end.

    Source: Agarwal et al., 2021, arXiv 2108.13264.
    """
    return float(stats.trim_mean(scores, 0.25, axis=None))


def interquartile_means(scores: FloatArray) -> FloatArray:
    """The same of each column of each draw, over its tasks. Shapes: (draws, tasks, methods) -> (draws, methods)."""
    return np.asarray(stats.trim_mean(scores, 0.25, axis=1), np.float64)


@dataclass(frozen=True)
class Friedman:
    """Friedman's test, and Iman and Davenport's F from the same chi-square; None where F divides by zero."""

    chi2: float
    p_value: float
    f: float | None
    f_p_value: float | None


def friedman(scores: FloatArray, tie_corrected: bool = True) -> Friedman | None:
    """Do the methods differ at all? None below two tasks or three methods; a table of ties only gives p = 1.

    chi2 = (K - 1) sum_j (R_j - N(K + 1)/2)^2 / sum_ij (r_ij - (K + 1)/2)^2 with R_j the rank sum of method j; without
    tie correction the denominator is that of a table without ties, N K (K^2 - 1) / 12.
    F = (N - 1) chi2 / (N (K - 1) - chi2) with K - 1 and (K - 1)(N - 1) degrees of freedom.

    Shapes: (tasks N, methods K).
    Source: Friedman, 1937; Iman and Davenport, 1980; Demšar, 2006, section 3.2.2.
    """
    tasks, methods = scores.shape
    if tasks < 2 or methods < 3:
        return None
    centred = ranks(scores) - (methods + 1) / 2
    spread = float((centred**2).sum()) if tie_corrected else tasks * methods * (methods**2 - 1) / 12
    if spread == 0:
        return Friedman(0.0, 1.0, 0.0, 1.0)
    chi2 = (methods - 1) * float((centred.sum(axis=0) ** 2).sum()) / spread
    p_value = float(stats.chi2.sf(chi2, methods - 1))
    left = tasks * (methods - 1) - chi2
    if left < 1e-9:
        return Friedman(chi2, p_value, None, None)
    f = (tasks - 1) * chi2 / left
    return Friedman(chi2, p_value, f, float(stats.f.sf(f, methods - 1, (methods - 1) * (tasks - 1))))


def critical_difference(methods: int, tasks: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of mean ranks: q sqrt(K (K + 1) / (6 N)). Display only: it depends on the pool.

    Source: Nemenyi, 1963; Demšar, 2006, section 3.2.2.
    """
    q = float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * tasks)))


def rank_z_values(mean_ranks: FloatArray, tasks: int) -> FloatArray:
    """Entry [i, j] is (rank of i - rank of j) / sqrt(K (K + 1) / (6 N)), standard normal where no method differs.

    Display only, as the critical difference: it depends on the pool.

    Shapes: (methods K,) over ``tasks`` N -> (methods, methods).
    Source: Demšar, 2006, section 3.2.2.
    """
    count = len(mean_ranks)
    error = np.sqrt(count * (count + 1) / (6 * tasks))
    return np.asarray((mean_ranks[:, None] - mean_ranks) / error, np.float64)


def compact_letters(different: npt.NDArray[np.bool_], order: list[int]) -> list[str]:
    """Letters such that two methods share one exactly if they are not told apart. Ties need not be transitive.

    Each pair that differs splits every group that holds both; a group inside another one is absorbed.

    Shapes: (methods, methods), symmetric; ``order`` lists the methods from best to worst: it gives the best the first
    letter.
    Source: Piepho, 2004.
    """
    groups = [frozenset(order)]
    for i, j in zip(*np.nonzero(np.triu(different, 1)), strict=True):
        pair = {int(i), int(j)}
        split = {part for g in groups for part in ([g - {i}, g - {j}] if pair <= g else [g])}
        groups = [g for g in split if not any(g < other for other in split)]
    place = {method: index for index, method in enumerate(order)}
    groups.sort(key=lambda g: sorted(place[method] for method in g))
    return ["".join(_letter(n) for n, g in enumerate(groups) if m in g) for m in range(len(order))]


def _letter(number: int) -> str:
    return string.ascii_letters[number] if number < len(string.ascii_letters) else chr(0x100 + number)


def elo(wins: FloatArray, prior_ties: float = 0.0, mean: float = 1500.0) -> FloatArray:
    """Bradley-Terry strengths on Elo's scale: 400 points are odds of 10 to 1. Display only: it depends on the pool.

    ``prior_ties`` adds that many tied games to each pair, which keeps a rating finite where a method wins or loses
    every game; with 0 such ratings are NaN. Solved by Hunter's iteration s_i <- w_i / sum_j n_ij / (s_i + s_j).

    Shapes: (..., methods, methods), entry [i, j] the games that i won against j -> (..., methods).
    Source: Bradley and Terry, 1952; Hunter, 2004.
    """
    count = wins.shape[-1]
    won = wins + prior_ties / 2 * (1 - np.eye(count))
    if not _all_connected(won):
        return np.full(wins.shape[:-1], np.nan)
    games, total = won + np.swapaxes(won, -1, -2), won.sum(axis=-1)
    logs = np.zeros(wins.shape[:-1])
    for _ in range(5000):
        strength = np.exp(logs)
        pull = (games / (strength[..., :, None] + strength[..., None, :])).sum(axis=-1)
        new = np.log(total / pull)
        new -= new.mean(axis=-1, keepdims=True)
        step = float(np.abs(new - logs).max())
        logs = new
        if step < 1e-7:
            break
    return np.asarray(mean + 400 / np.log(10) * logs, np.float64)


def _all_connected(won: FloatArray) -> bool:
    """Whether each method beats each other one, directly or through others: else some strength is infinite."""
    reach = (won > 0) | np.eye(won.shape[-1], dtype=bool)
    for _ in range(won.shape[-1].bit_length()):
        reach = np.matmul(reach.astype(np.float64), reach.astype(np.float64)) > 0
    return bool(reach.all())


def resampled_means(
    scores: FloatArray, draws: int, rng: np.random.Generator, tasks: bool = True, seeds: bool = True
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Seed-averaged scores of resampled tasks, and which task each one is: the two-level bootstrap, tasks then seeds.

    A task drawn twice has its seeds drawn twice. What stands behind the axis of seeds shares the drawn seeds, so
    rivals stay paired. Where no drawn seed has a score, the mean over all seeds stands in. ``tasks=False`` or
    ``seeds=False`` keeps that level as it is.

    Shapes: (T, seeds, ...) with NaN where a score is absent -> (draws, T, ...), and (draws, T) indices.
    """
    count, size, *rest = scores.shape
    drawn = rng.integers(count, size=(draws, count)) if tasks else np.tile(np.arange(count), (draws, 1))
    flat = scores.reshape(count, size, -1)
    present = np.isfinite(flat)
    filled = np.where(present, flat, 0.0)
    usable: npt.NDArray[np.bool_] = np.any(present, axis=2)
    usable[~np.any(usable, axis=1)] = True
    means = np.empty((draws, count, flat.shape[2]))
    with np.errstate(invalid="ignore"):
        plain = filled.sum(axis=1) / present.sum(axis=1)
        for task in range(count):
            hit, kept = drawn == task, usable[task]
            chosen = _counts(rng, int(hit.sum()), int(kept.sum())) if seeds else np.ones((1, int(kept.sum())))
            there = present[task, kept]
            counts = chosen.sum(axis=1, keepdims=True) if there.all() else chosen @ there.astype(np.float64)
            means[hit] = (chosen @ filled[task, kept]) / counts
    means = np.where(np.isnan(means), plain[drawn], means)
    return means.reshape(draws, count, *rest), drawn


def _counts(rng: np.random.Generator, draws: int, size: int) -> FloatArray:
    """How often each of ``size`` things is drawn in as many draws with replacement. Shapes: (draws, size)."""
    places = rng.integers(size, size=(draws, size)) + size * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * size).reshape(draws, size).astype(np.float64)
