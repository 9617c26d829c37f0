"""Bayesian verdicts: published numbers, simulation by another way, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from results.bayesian import Posterior, bayesian_signed_rank, beliefs, correlated_t


def sample(count: int, mean: float, variance: float) -> np.ndarray:
    """Numbers with exactly this mean and variance."""
    raw = np.random.default_rng(0).normal(size=count)
    return mean + (raw - raw.mean()) / raw.std(ddof=1) * np.sqrt(variance)


def signed_rank(differences, rope=0.1, seed=0, **options):
    return bayesian_signed_rank(np.array(differences, float), rope, np.random.default_rng(seed), **options)


def test_correlated_t_gives_the_published_posterior():
    """Hundred differences of ten times ten-fold cross-validation."""
    found = correlated_t(sample(100, -1.93882, 2.504947846), 0.1, 1.0)
    assert (found.worse, found.equivalent) == pytest.approx((0.954286, 0.045714), abs=1e-6)
    assert found.better == pytest.approx(3e-7, abs=5e-8)


def test_correlated_t_without_correlation_is_the_t_test():
    """The posterior of independent runs mirrors the one-sided t test; runs that are absent do not count."""
    differences = sample(9, 0.4, 1.0)
    expected = stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    found = correlated_t(np.append(differences, np.nan), 0.0, 0.0)
    assert (found.worse, found.equivalent) == (pytest.approx(expected), pytest.approx(0, abs=1e-12))
    assert correlated_t(differences, 0.5, 0.0).worse > found.worse


def test_correlated_t_where_nothing_varies_or_is_known():
    """Equal differences decide by their mean, the edge belonging to the region; one run says nothing."""
    assert correlated_t(np.full(3, 0.2), 0.1, 0.1) == Posterior(0.0, 0.0, 1.0)
    assert correlated_t(np.full(3, 0.1), 0.1, 0.1) == Posterior(0.0, 1.0, 0.0)
    assert correlated_t(np.array([0.2]), 0.1, 0.1) is None


@pytest.mark.parametrize(("correlation", "rope"), [(1.0, 0.1), (-0.1, 0.1), (0.1, -1.0), (0.1, np.nan), (0.1, np.inf)])
def test_impossible_settings_are_refused(correlation, rope):
    """A correlation of 1 leaves no information, and a region has a size."""
    with pytest.raises(ValueError, match="expected a"):
        correlated_t(np.arange(4.0), correlation, rope)


def test_signed_rank_is_what_weighing_pairs_one_by_one_gives():
    """The share of draws in which an outcome has the largest weight, in plain loops over draws and pairs."""
    differences, rope, draws = np.array([-0.3, -0.05, 0.02, 0.22, 0.3, 0.9]), 0.1, 300
    points = [0.0, *differences]
    weights = np.random.default_rng(0).dirichlet([0.5] + [1.0] * 6, size=draws)
    wins = np.zeros(3)
    for weight in weights:
        chances = [0.0, 0.0, 0.0]
        for i, a in enumerate(points):
            for j, b in enumerate(points):
                middle = (a + b) / 2
                chances[0 if middle < -rope else 2 if middle > rope else 1] += weight[i] * weight[j]
        wins[int(np.argmax(chances))] += 1
    found = signed_rank(differences, rope, draws=draws)
    assert (found.worse, found.equivalent, found.better) == pytest.approx(tuple(wins / draws))


def test_signed_rank_is_sure_where_it_can_be():
    """Clear sides, a region that holds everything, no difference at all, and no tasks."""
    assert signed_rank(np.full(12, 0.5)).better > 0.999
    assert signed_rank(np.full(12, -0.5)).worse > 0.999
    assert signed_rank([-0.02, 0.05, 0.01], rope=1.0) == Posterior(0.0, 1.0, 0.0)
    assert signed_rank(np.zeros(5)) == Posterior(0.0, 1.0, 0.0)
    assert signed_rank(np.zeros(5), rope=0.0) == Posterior(0.5, 0.0, 0.5)
    assert signed_rank([]) is None


def test_signed_rank_favours_no_side():
    """Swapping the methods swaps better and worse, draw by draw."""
    differences = np.random.default_rng(1).normal(0.1, 0.3, 11)
    here, there = signed_rank(differences), signed_rank(-differences)
    assert (here.better, here.equivalent, here.worse) == (there.worse, there.equivalent, there.better)
    assert here.worse + here.equivalent + here.better == pytest.approx(1)


def test_a_failure_is_worse_than_any_difference_and_two_cancel():
    """An infinite difference outweighs any finite one; opposite failures are no difference."""
    lost = [0.3, 0.4, -np.inf]
    assert signed_rank(lost) == signed_rank([0.3, 0.4, -9.0])
    both = signed_rank([np.inf, -np.inf])
    assert both.better == pytest.approx(both.worse, abs=0.02)


def test_beliefs_of_rows_are_those_of_their_differences(rows_of):
    """Task means against the baseline, all labels, whichever order the rows have; none without a common unit."""
    rng = np.random.default_rng(2)
    scores = {(f"t{t}", 5, label): list(rng.normal(0.5, 0.1, 3)) for t in range(8) for label in ("a", "b", "c")}
    rows = rows_of(scores)
    found = beliefs(rows, "a", rope=0.02)
    assert [(belief.candidate, belief.baseline, belief.tasks, belief.unit) for belief in found] == [
        ("b", "a", 8, "accuracy"),
        ("c", "a", 8, "accuracy"),
    ]
    differences = [np.mean(scores[f"t{t}", 5, "b"]) - np.mean(scores[f"t{t}", 5, "a"]) for t in range(8)]
    assert found[0].posterior == signed_rank(differences, 0.02)
    assert beliefs(rows.take(rng.permutation(len(rows))), "a", rope=0.02) == found
    mixed = rows_of(scores, {"t0": {"metric": "rmse", "higher_is_better": False}})
    assert [belief.posterior for belief in beliefs(mixed, "a", rope=0.02)] == [None, None]
