"""Estimates, tests, ranks and ratings over arrays: published numbers, closed forms, independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from results import ranking, statistics

SCORES = st.lists(st.integers(-20, 20).map(lambda n: n / 7), min_size=1, max_size=12).map(np.array)
TABLES = st.integers(0, 2**32 - 1).map(lambda n: np.random.default_rng(n).integers(0, 6, (5, 2 + n % 5)) / 3)


def uniform(tasks: int) -> np.ndarray:
    return np.full(tasks, 1 / tasks)


# --- Demšar 2006 ---


def test_mean_ranks_are_those_of_demsar(demsar):
    """Mean ranks of Table 6 come out as printed."""
    found = ranking.mean_ranks(demsar.ranked, uniform(14))
    assert found == pytest.approx([3.142857, 2.0, 2.892857, 1.964286], abs=1e-6)


def test_friedman_and_iman_davenport_are_those_of_demsar(demsar):
    """Without tie correction both statistics are the paper's; with it chi-square is scipy's."""
    plain, corrected = ranking.friedman(demsar.ranked, tie_corrected=False), ranking.friedman(demsar.ranked)
    assert (plain.chi2, plain.f, plain.f_p_value) == pytest.approx((9.278571, 3.686313, 0.0198230), abs=1e-6)
    assert (corrected.chi2, corrected.p_value) == pytest.approx((10.228346, 0.0167216), abs=1e-6)
    assert corrected.f == pytest.approx(4.185, abs=5e-4)
    assert corrected.chi2 == pytest.approx(stats.friedmanchisquare(*demsar.ranked.T).statistic)


def test_nemenyi_critical_differences_are_those_of_demsar(demsar):
    """The critical differences at 0.05 and 0.10 come out as printed."""
    assert ranking.critical_difference(4, 14) == pytest.approx(1.253559, abs=2e-6)
    assert ranking.critical_difference(4, 14, 0.10) == pytest.approx(1.118060, abs=2e-6)


def test_holm_against_a_control_is_that_of_demsar(demsar):
    """The z values of mean ranks against C4.5, adjusted by Holm."""
    rank = ranking.mean_ranks(demsar.ranked, uniform(14))
    z = (rank[0] - rank[[3, 1, 2]]) / np.sqrt(4 * 5 / (6 * 14))
    assert z == pytest.approx([2.415353, 2.342160, 0.512348], abs=1e-6)
    adjusted = statistics.holm(list(2 * stats.norm.sf(z)))
    assert adjusted == pytest.approx([0.047160, 0.047160, 0.608408], abs=1e-6)


def test_signed_rank_is_that_of_demsar(demsar):
    """C4.5 against C4.5+m on printed data: rank sums with zeros shared out, exact conditional p."""
    difference = statistics.round_significant(demsar.printed[:, 1] - demsar.printed[:, 0], demsar.printed[:, 0])
    found = statistics.signed_rank(difference)
    assert (found.plus, found.minus, found.direction) == (93, 12, 1)
    assert found.p_value == pytest.approx(30 / 4096, abs=1e-15)


def test_win_rates_of_demsar_and_their_identity_with_ranks(demsar):
    """Win rates on printed data, and win rate = (K - rank) / (K - 1)."""
    rates = ranking.win_rates(ranking.win_matrix(demsar.printed, uniform(14)))
    assert rates == pytest.approx([0.285714, 0.666667, 0.357143, 0.690476], abs=1e-6)
    assert rates == pytest.approx((4 - ranking.mean_ranks(demsar.printed, uniform(14))) / 3, abs=1e-12)


# --- small published examples ---


def test_interquartile_means_and_probability_better_are_those_of_rliable():
    """The examples with runs by tasks; ours are tasks by seeds."""
    x, y = np.array([[1, 2], [2, 2], [1, 1], [2, 1]], float), np.array([[1, 1], [2, 2], [3, 3]], float)
    assert ranking.interquartile_mean(x) == 1.5
    assert ranking.interquartile_mean(y) == 2
    assert ranking.interquartile_mean(np.arange(80.0).reshape(5, 16)) == 39.5
    assert statistics.probability_better(x.T, y.T).mean() == pytest.approx(1 / 3)


def test_probability_better_is_that_of_mann_whitney():
    """Per task it is U / (n m); absent runs do not count, a failed run loses to all but another failed one."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (3, 5)).astype(float), rng.integers(0, 4, (3, 4)).astype(float)
    a[0, 2] = np.nan
    expected = [
        stats.mannwhitneyu(x[~np.isnan(x)], y).statistic / (np.isfinite(x).sum() * 4) for x, y in zip(a, b, strict=True)
    ]
    assert statistics.probability_better(a, b) == pytest.approx(expected)
    failed = np.full((1, 2), -np.inf)
    assert statistics.probability_better(failed, b[:1]) == [0.0]
    assert statistics.probability_better(failed, failed) == [0.5]
    assert np.isnan(statistics.probability_better(np.full((1, 2), np.nan), b[:1])).all()


def test_two_players_three_to_one_are_191_elo_apart():
    """Odds of 3 to 1 are 400 log10(3) points, around the given mean."""
    rating = ranking.elo(np.array([[0.0, 3.0], [1.0, 0.0]]))
    assert rating[0] - rating[1] == pytest.approx(190.8485, abs=1e-4)
    assert rating.mean() == pytest.approx(1500)


def test_elo_is_not_invented_for_a_method_that_always_wins():
    """Infinite strengths are NaN without added ties and finite with them; a chain of wins through others is enough."""
    sweep = np.array([[0.0, 4.0], [0.0, 0.0]])
    assert np.isnan(ranking.elo(sweep)).all()
    assert ranking.elo(sweep, prior_ties=1)[0] > 1500
    ring = np.roll(np.eye(5), 1, axis=1)
    assert ranking.elo(ring) == pytest.approx([1500] * 5)


# --- estimates, intervals and power ---


def test_mean_of_sample_is_the_t_interval_of_scipy():
    """Interval and p value over tasks are scipy's one-sample t test."""
    differences = np.random.default_rng(1).normal(0.3, 1, 9)
    estimate, reference = statistics.mean_of_sample(differences), stats.ttest_1samp(differences, 0)
    assert estimate.interval() == pytest.approx(tuple(reference.confidence_interval()))
    assert estimate.p_value() == pytest.approx(reference.pvalue)


def test_mean_of_fixed_tasks_is_satterthwaite():
    """Two tasks are Welch's test, one task is the t test over its seeds; absent seeds do not count."""
    a, b = np.random.default_rng(2).normal(size=(2, 6))
    both = statistics.mean_of_fixed_tasks(np.stack([a, -b]))
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert both.degrees_of_freedom == pytest.approx(welch.df)
    assert both.p_value() == pytest.approx(welch.pvalue)
    assert statistics.mean_of_fixed_tasks(a[None]).interval() == pytest.approx(statistics.mean_of_sample(a).interval())
    ragged = statistics.mean_of_fixed_tasks(np.stack([a, np.where(np.arange(6) < 4, -b, np.nan)]))
    assert ragged.p_value() == pytest.approx(stats.ttest_ind(a, b[:4], equal_var=False).pvalue)


def test_one_task_or_one_seed_has_no_interval():
    """What cannot be estimated is None."""
    assert statistics.mean_of_sample(np.array([0.1])) is None
    assert statistics.mean_of_sample(np.array([])) is None
    assert statistics.mean_of_fixed_tasks(np.array([[0.1, 0.2], [0.3, np.nan]])) is None
    assert statistics.mean_of_fixed_tasks(np.empty((0, 3))) is None
    assert statistics.hodges_lehmann(np.array([])) is None


def test_nothing_that_varies_is_no_difference_or_undefined():
    """Equal differences have a p value of 1 where they are 0, else none: there is no error to judge them by."""
    zero, shifted = statistics.mean_of_sample(np.zeros(4)), statistics.mean_of_fixed_tasks(np.ones((2, 3)))
    assert (zero.p_value(), zero.interval(), zero.smallest_detectable()) == (1.0, (0.0, 0.0), None)
    assert (shifted.p_value(), shifted.interval()) == (None, (1.0, 1.0))


@pytest.mark.parametrize(("tasks", "alpha"), [(3, 0.05), (10, 0.05), (30, 0.005)])
def test_smallest_detectable_difference_is_that_of_statsmodels(tasks, alpha):
    """The difference with power 0.8 agrees with TTestPower's solver, which counts findings of the wrong sign too."""
    estimate = statistics.MeanEstimate(0.0, 2.5 / np.sqrt(tasks), tasks - 1)
    expected = 2.5 * TTestPower().solve_power(nobs=tasks, alpha=alpha, power=0.8)
    assert estimate.smallest_detectable(alpha) == pytest.approx(expected, rel=1e-3)


def test_smallest_detectable_difference_with_one_degree_of_freedom():
    """The solver holds where the t distribution has its heaviest tails."""
    assert 50 < statistics.MeanEstimate(0.0, 1.0, 1.0).smallest_detectable(0.05 / 40) < 1e4


def test_hodges_lehmann_is_the_median_of_walsh_averages():
    """By hand: averages of 1, 2, 6 are 1, 1.5, 2, 3.5, 4, 6."""
    assert statistics.hodges_lehmann(np.array([1.0, 2.0, 6.0])) == 2.75
    assert statistics.hodges_lehmann(np.array([1.0, np.inf])) == 1.0


# --- signed ranks and signs ---


@settings(max_examples=25, deadline=None)
@given(SCORES)
def test_signed_rank_is_scipys_enumeration(differences):
    """The convolution gives the p value of scipy's enumeration of all signs, ties and zeros included."""
    nonzero = differences[differences != 0]
    if len(nonzero) < 2 or len(nonzero) > 10:
        return
    method = stats.PermutationMethod(n_resamples=2**11)
    expected = stats.wilcoxon(nonzero, method=method).pvalue
    assert statistics.signed_rank(differences).p_value == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(SCORES, st.randoms())
def test_signed_rank_favours_no_side_and_no_order(differences, random):
    """Swapping the methods turns the side and keeps p; the order of tasks does not matter."""
    here, there = statistics.signed_rank(differences), statistics.signed_rank(-differences)
    assert (here.p_value, here.direction, here.plus) == (there.p_value, -there.direction, there.minus)
    shuffled = differences.copy()
    random.shuffle(shuffled)
    assert statistics.signed_rank(shuffled) == here


def test_signed_rank_of_ties_and_failures():
    """No difference gives p = 1; a failure has the largest rank and is no more than that."""
    assert statistics.signed_rank(np.zeros(5)) == statistics.SignedRank(7.5, 7.5, 0, 1.0)
    failed = statistics.signed_rank(np.array([0.1, 0.2, -np.inf]))
    assert failed == statistics.signed_rank(np.array([0.1, 0.2, -9.0]))


def test_signed_rank_of_many_tasks_is_close_to_normal():
    """Two hundred tasks are still exact, and near scipy's asymptotic p."""
    differences = np.random.default_rng(3).normal(0.15, 1, 200)
    expected = stats.wilcoxon(differences, method="asymptotic").pvalue
    assert statistics.signed_rank(differences).p_value == pytest.approx(expected, rel=0.05)


def test_too_few_tasks_cannot_decide():
    """Six tasks are the fewest for 0.05, nine for all pairs of five methods under Holm."""
    assert statistics.fewest_tasks() == 6
    assert statistics.fewest_tasks(0.05 / 10) == 9
    assert (
        statistics.signed_rank(np.arange(1.0, 6.0)).p_value > 0.05 > statistics.signed_rank(np.arange(1.0, 7.0)).p_value
    )


def test_sign_test_counts_wins_and_losses():
    """Six wins to none is 2 / 64; without wins and losses there is no difference."""
    assert statistics.sign_test(6, 0) == pytest.approx(2 / 64)
    assert statistics.sign_test(0, 0) == 1.0


def test_holm_keeps_an_undefined_p_in_the_family():
    """It stays undefined and makes the others no easier."""
    assert statistics.holm([0.01, None, 0.04]) == [pytest.approx(0.03), None, pytest.approx(0.08)]
    assert statistics.holm([]) == []


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p_values):
    """Any p values, ties included, are adjusted as multipletests does."""
    assert statistics.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_rounding_makes_ties_ties():
    """Equal differences of different scores are equal after rounding; NaN, zero and infinity stay."""
    a, b = np.array([0.3, 0.8, 10.3]), np.array([0.2, 0.7, 10.2])
    assert len(set(a - b)) == 3
    assert len(set(statistics.round_significant(a - b, a))) == 1
    kept = statistics.round_significant(np.array([0.0, np.inf, -np.inf, np.nan, 1e-300, 1e300]))
    assert np.array_equal(kept, np.array([0.0, np.inf, -np.inf, np.nan, 1e-300, 1e300]), equal_nan=True)


# --- ranks of several methods ---


@settings(deadline=None)
@given(TABLES)
def test_win_rate_is_a_function_of_mean_rank(scores):
    """(K - rank) / (K - 1) on any table, with ties and failures."""
    scores[0, 0] = -np.inf
    tasks, methods = scores.shape
    rank = ranking.mean_ranks(scores, uniform(tasks))
    rates = ranking.win_rates(ranking.win_matrix(scores, uniform(tasks)))
    assert rates == pytest.approx((methods - rank) / (methods - 1), abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_friedman_of_ties_only_is_no_difference():
    """All tied: p = 1, not NaN. Perfect agreement: F divides by zero and is None. Two methods or one task: no test."""
    tied = ranking.friedman(np.ones((4, 3)))
    assert (tied.chi2, tied.p_value, tied.f, tied.f_p_value) == (0.0, 1.0, 0.0, 1.0)
    agreed = ranking.friedman(np.tile([1.0, 2.0, 3.0], (4, 1)))
    assert agreed.chi2 == pytest.approx(8)
    assert (agreed.f, agreed.f_p_value) == (None, None)
    assert ranking.friedman(np.ones((4, 2))) is None
    assert ranking.friedman(np.ones((1, 3))) is None


def test_letters_show_ties_that_are_not_transitive():
    """A and C differ, B differs from neither: a, ab, b."""
    different = np.zeros((3, 3), bool)
    different[0, 2] = different[2, 0] = True
    assert ranking.compact_letters(different, [0, 1, 2]) == ["a", "ab", "b"]
    assert ranking.compact_letters(different, [2, 1, 0]) == ["b", "ab", "a"]
    assert ranking.compact_letters(np.zeros((2, 2), bool), [0, 1]) == ["a", "a"]


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_letters_say_exactly_which_pairs_differ(methods, seed):
    """Two methods share a letter if and only if they are not told apart, and each has one."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((methods, methods)) < rng.random(), 1)
    different = upper | upper.T
    letters = ranking.compact_letters(different, list(rng.permutation(methods)))
    for i in range(methods):
        assert letters[i]
        for j in range(i):
            assert bool(set(letters[i]) & set(letters[j])) != different[i, j]


# --- two-level bootstrap ---


def test_bootstrap_errors_of_a_grand_mean_are_those_in_closed_form():
    """Seeds only, tasks only and both levels agree with the formulas within Monte-Carlo error."""
    scores = np.random.default_rng(4).normal(size=(8, 1)) + np.random.default_rng(5).normal(size=(8, 4))
    within, between = scores.var(axis=1).mean() / (4 * 8), scores.mean(axis=1).var() / 8
    for tasks, seeds, variance in ((False, True, within), (True, False, between), (True, True, within + between)):
        means, _ = ranking.resampled_means(scores, 20_000, np.random.default_rng(6), tasks, seeds)
        assert means.mean(axis=1).std() == pytest.approx(np.sqrt(variance), rel=0.03)
        padded = np.pad(scores, ((0, 0), (0, 3)), constant_values=np.nan)
        means, _ = ranking.resampled_means(padded, 20_000, np.random.default_rng(6), tasks, seeds)
        assert means.mean(axis=1).std() == pytest.approx(np.sqrt(variance), rel=0.03)


def test_bootstrap_keeps_rivals_paired_and_knows_its_tasks():
    """Methods share drawn tasks and seeds; absent scores do not enter; drawing neither level gives plain means."""
    base = np.random.default_rng(7).normal(size=(5, 3, 1))
    scores = np.concatenate([base, base + 1], axis=2)
    means, drawn = ranking.resampled_means(scores, 50, np.random.default_rng(8))
    assert means[..., 1] - means[..., 0] == pytest.approx(1)
    assert means.shape == (50, 5, 2)
    assert drawn.shape == (50, 5)
    scores[2, 1] = np.nan
    scores[3, 0, 0] = np.nan
    plain, _ = ranking.resampled_means(scores, 2, np.random.default_rng(9), tasks=False, seeds=False)
    assert plain == pytest.approx(np.tile(np.nanmean(scores, axis=1), (2, 1, 1)))
    assert np.isfinite(ranking.resampled_means(scores, 200, np.random.default_rng(10))[0]).all()


def test_bootstrap_has_a_seed_that_seeds_it():
    """Equal generators give equal draws, others give others."""
    scores = np.random.default_rng(11).normal(size=(4, 3))
    first, again, other = (ranking.resampled_means(scores, 9, np.random.default_rng(n))[0] for n in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
