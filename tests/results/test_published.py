"""Our functions against further published examples and tables, beside those of Demšar 2006."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from results import power, ranking, statistics

ROUNDING_FIRST_BASE = """
5.40 5.50 5.55  5.85 5.70 5.75  5.20 5.60 5.50  5.55 5.50 5.40  5.90 5.85 5.70  5.45 5.55 5.60  5.40 5.40 5.35
5.45 5.50 5.35  5.25 5.15 5.00  5.85 5.80 5.70  5.25 5.20 5.10  5.65 5.55 5.45  5.60 5.35 5.45  5.05 5.00 4.95
5.50 5.50 5.40  5.45 5.55 5.50  5.55 5.55 5.35  5.45 5.50 5.55  5.50 5.45 5.25  5.65 5.60 5.40  5.70 5.65 5.55
6.30 6.30 6.25
"""
DEPRESSION = (
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
)
BASEBALL = """
0 7 9 7 7 9 11
6 0 7 5 11 9 9
4 6 0 7 7 8 12
6 8 6 0 6 7 10
6 2 6 7 0 7 12
4 4 5 6 6 0 6
2 4 1 3 1 7 0
"""


def test_friedman_of_rounding_first_base():
    """Three ways for 22 players (Hollander and Wolfe, table 7.1): tie-corrected chi-square 11.143, p 0.003805."""
    times = np.array(ROUNDING_FIRST_BASE.split(), float).reshape(22, 3)
    found = ranking.friedman(-times)
    assert (found.chi2, found.p_value) == pytest.approx((11.1429, 0.003805), abs=5e-5)
    assert ranking.friedman(-times, tie_corrected=False).chi2 < found.chi2
    assert ranking.mean_ranks(-times, np.full(22, 1 / 22)).sum() == pytest.approx(6)


def test_signed_rank_and_pseudo_median_of_depression_scores():
    """Nine patients before and after (Hollander and Wolfe, table 3.1): V 40, two-sided p 20 / 512, estimate 0.46."""
    before, after = np.array(DEPRESSION)
    difference = statistics.round_significant(before - after, before)
    found = statistics.signed_rank(difference)
    assert (found.plus, found.minus, found.p_value) == (40, 5, 20 / 512)
    assert statistics.hodges_lehmann(difference) == pytest.approx(0.46, abs=1e-9)


def test_bradley_terry_of_the_american_league():
    """Seven teams in 1987 (Agresti, table 10.10): log odds over Baltimore."""
    strengths = ranking.elo(np.array(BASEBALL.split(), float).reshape(7, 7)) * np.log(10) / 400
    expected = [1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0]
    assert strengths - strengths[-1] == pytest.approx(expected, abs=1e-3)


def test_nemenyi_quantiles_are_those_of_demsars_table_5():
    """q for 2 to 10 methods at 0.05 and 0.10, to three digits."""
    tables = {
        0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
        0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
    }
    for alpha, row in tables.items():
        found = [ranking.critical_difference(k, 60, alpha) / np.sqrt(k * (k + 1) / 360) for k in range(2, 11)]
        assert found == pytest.approx(row, abs=1.1e-3)


def test_bonferroni_dunn_and_rank_z_values():
    """Mean ranks of Demšar's table 6 against C4.5, best first; the quantile of three comparisons is 2.394."""
    z = ranking.rank_z_values(np.array([44.0, 28.0, 40.5, 27.5]) / 14, 14)
    assert z[0, [3, 1, 2]] == pytest.approx([2.415353, 2.342160, 0.512348], abs=1e-6)
    assert z == pytest.approx(-z.T)
    assert stats.norm.isf(0.05 / 2 / 3) == pytest.approx(2.394, abs=1e-3)


@pytest.mark.parametrize(
    ("tasks", "critical"),
    [
        (5, -1),
        (6, 0),
        (7, 2),
        (8, 3),
        (9, 5),
        (10, 8),
        (11, 10),
        (12, 13),
        (13, 17),
        (14, 21),
        (15, 25),
        (20, 52),
        (25, 89),
    ],
)
def test_critical_rank_sums_are_those_of_wilcoxons_table(tasks, critical):
    """The table of two-sided 0.05; a sum one larger does not reach it."""
    assert power.critical_rank_sum(tasks, 0.05) == critical
    signs = np.ones(tasks)
    for sum_of_ranks, reached in ((critical, True), (critical + 1, False)):
        left = sum_of_ranks
        for rank in range(tasks, 0, -1):
            signs[rank - 1] = -1 if 0 < rank <= left else 1
            left -= rank if signs[rank - 1] < 0 else 0
        if sum_of_ranks >= 0:
            assert (statistics.signed_rank(signs * np.arange(1, tasks + 1)).p_value < 0.05) == reached


def test_holm_of_four_hypotheses():
    """p 0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_pairs_needed_by_the_t_test(effect, pairs):
    """Cohen's small, medium and large effect in a paired t test at 0.05 with power 0.8."""
    for number, enough in ((pairs, True), (pairs - 1, False)):
        seen = statistics.MeanEstimate(0.0, 1 / np.sqrt(number), number - 1).smallest_detectable()
        assert (seen <= effect) == enough
    assert np.ceil(TTestPower().solve_power(effect, power=0.8, alpha=0.05)) == pairs


def test_letters_of_a_published_kind():
    """Piepho's first example: of four, only 1-4, 1-3 and 2-4 differ: a, ab, bc, c."""
    different = np.zeros((4, 4), bool)
    for i, j in ((0, 3), (0, 2), (1, 3)):
        different[i, j] = different[j, i] = True
    assert ranking.compact_letters(different, [0, 1, 2, 3]) == ["a", "ab", "bc", "c"]


def test_iman_davenport_by_the_ranks_variance_ratio():
    """F is that of a two-way analysis of variance of the ranks, tie-corrected, on any table."""
    scores = np.random.default_rng(0).integers(0, 5, (9, 4)).astype(float)
    r = stats.rankdata(-scores, axis=1)
    between = 9 * ((r.mean(axis=0) - 2.5) ** 2).sum() / 3
    residual = ((r - r.mean(axis=0)) ** 2).sum() / (3 * 8)
    assert ranking.friedman(scores).f == pytest.approx(between / residual)


def test_probability_better_counts_pairs_one_by_one():
    """All pairs of runs, ties half, absent ones left out, failures last."""
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, (6, 5)).astype(float), rng.integers(0, 4, (6, 7)).astype(float)
    a[0, :3], b[1, 2:], a[2, 1], b[2, 2] = np.nan, np.nan, -np.inf, -np.inf
    for x, y, found in zip(a, b, statistics.probability_better(a, b), strict=True):
        pairs = [(u > v) + 0.5 * (u == v) for u in x[~np.isnan(x)] for v in y[~np.isnan(y)]]
        assert found == pytest.approx(np.mean(pairs))


def test_estimates_of_many_tasks_are_those_of_few():
    """Beyond the sizes that are exact or held at once, the same numbers by another way."""
    sample = np.round(np.random.default_rng(2).normal(0.1, 1, 401), 2)
    averages = [(x + y) / 2 for x, y in combinations(sample, 2)] + list(sample)
    assert statistics.hodges_lehmann(sample) == pytest.approx(np.median(averages))
    many = np.tile(sample, 8)
    assert statistics.hodges_lehmann(many) == pytest.approx(np.median(sample[:, None] + sample) / 2, abs=6e-3)
    nonzero = many[many != 0]
    exact, normal = statistics.signed_rank(nonzero[:500]), statistics.signed_rank(nonzero[:501])
    expected = [stats.wilcoxon(nonzero[:n], correction=True, method="asymptotic").pvalue for n in (500, 501)]
    assert normal.p_value == pytest.approx(expected[1], rel=1e-9)
    assert exact.p_value == pytest.approx(expected[0], rel=2e-3)
