"""Power: simulated by the test itself, in closed form, and what designs and rows can decide."""

from __future__ import annotations

import math

import numpy as np
import pytest

from results import power
from results.design import designs, of_differences, of_variances
from results.errors import ResultsError
from results.power import Variances
from results.statistics import MeanEstimate, signed_rank

PILOT = Variances(task=0.01, seed=0.02)


def draw(rng: np.random.Generator, variances: Variances, tasks: int, seeds: int) -> np.ndarray:
    """Differences with these variances and a mean of 0. Shapes: (tasks, seeds)."""
    return rng.normal(0, math.sqrt(variances.task), (tasks, 1)) + rng.normal(
        0, math.sqrt(variances.seed), (tasks, seeds)
    )


@pytest.mark.parametrize(("tasks", "comparisons"), [(6, 1), (8, 1), (12, 4), (20, 1)])
def test_the_smallest_detectable_difference_is_found_in_four_of_five(tasks, comparisons):
    """Simulated differences of that size, judged by the signed-rank test itself, on the right side."""
    rng, found = np.random.default_rng(tasks), 0
    difference = power.smallest_detectable(PILOT, tasks, 5, comparisons)
    for _ in range(1500):
        result = signed_rank(draw(rng, PILOT, tasks, 5).mean(axis=1) + difference)
        found += result.p_value < 0.05 / comparisons and result.direction > 0
    assert found / 1500 == pytest.approx(0.8, abs=0.04)
    assert power.power_of(PILOT, difference, tasks, 5, comparisons) == pytest.approx(0.8, abs=0.001)


def test_six_tasks_must_all_agree():
    """With the fewest tasks the power is that of six equal signs, a normal probability to the sixth."""
    effect = power.detectable_effect(6)
    assert 0.5 * math.erfc(-effect / math.sqrt(2)) == pytest.approx(0.8 ** (1 / 6), abs=2e-3)


@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_power_goes_over_smoothly_to_many_tasks(alpha):
    """Where the t test stands in, the detectable effect goes on, somewhat above that of the t test."""
    last, next_ = (power.detectable_effect(n, alpha) for n in (power.EXACT_TASKS, power.EXACT_TASKS + 1))
    assert next_ / last == pytest.approx(math.sqrt(power.EXACT_TASKS / (power.EXACT_TASKS + 1)), abs=0.02)
    plain = MeanEstimate(0.0, 1 / math.sqrt(200), 199).smallest_detectable(alpha)
    assert power.detectable_effect(200, alpha) == pytest.approx(plain * math.sqrt(math.pi / 3), rel=5e-3)
    effect = power.detectable_effect(200, alpha)
    assert power.power_of_effect(effect, 200, alpha) == pytest.approx(0.8, abs=1e-6)


def test_needs_are_the_fewest_that_do():
    """One task or seed less does not have the power, as many do."""
    tasks = power.tasks_needed(PILOT, 0.05, seeds=5, comparisons=4)
    assert power.smallest_detectable(PILOT, tasks, 5, 4) <= 0.05 < power.smallest_detectable(PILOT, tasks - 1, 5, 4)
    seeds = power.seeds_needed(PILOT, 0.08, tasks=20)
    assert power.smallest_detectable(PILOT, 20, seeds) <= 0.08 < power.smallest_detectable(PILOT, 20, seeds - 1)
    assert power.seeds_needed(PILOT, -0.08, tasks=20) == seeds
    assert power.tasks_needed(PILOT, 10.0, seeds=5) == 6


def test_what_cannot_be_reached_is_none():
    """Too few tasks, tasks that differ too much for any number of seeds, a difference too small, unknown noise."""
    assert power.detectable_effect(5) is None
    assert power.smallest_detectable(PILOT, 5, 100) is None
    assert power.power_of(PILOT, 9.0, 5, 5) == 0
    assert power.seeds_needed(PILOT, 0.05, tasks=5) is None
    assert power.seeds_needed(PILOT, 0.05, tasks=10) is None
    assert power.tasks_needed(PILOT, 1e-4, seeds=5) is None
    unknown = Variances(0.03, None)
    assert (unknown.deviation(1), unknown.deviation(2)) == (math.sqrt(0.03), None)
    assert power.tasks_needed(unknown, 0.05, seeds=2) is power.seeds_needed(unknown, 0.05, tasks=20) is None
    assert power.seeds_needed(Variances(0.0, 0.0), 0.1, tasks=9) == 1
    assert power.power_of(Variances(0.0, 0.0), 0.1, 9, 1) == 1


@pytest.mark.parametrize(("methods", "pairs", "baseline"), [(2, 6, 6), (3, 7, 7), (5, 9, 8), (10, 11, 9)])
def test_fewest_tasks_for_many_methods(methods, pairs, baseline):
    """Two to the power of tasks against Holm's family: five methods need nine tasks for all pairs."""
    for all_pairs, tasks in ((True, pairs), (False, baseline)):
        assert power.fewest_tasks_for(methods, all_pairs) == tasks
        family = power.comparisons(methods, all_pairs)
        assert 2 * 0.5**tasks < 0.05 / family < 2 * 0.5 ** (tasks - 1)


def test_variances_of_a_pilot_are_found_again():
    """Unbiased over many pilots, with seeds missing here and there; the total is never more than the means show."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(600):
        differences = draw(rng, PILOT, 12, 4)
        differences[0, 2:] = differences[1, 1:] = np.nan
        variances = power.variance_components(differences)
        found.append((variances.task, variances.seed))
    assert np.mean(found, axis=0) == pytest.approx([0.01, 0.02], rel=0.08)
    assert power.variance_components(np.array([[1.0, np.nan], [np.nan, np.nan]])) is None
    assert power.variance_components(np.array([[1.0], [3.0]])) == Variances(2.0, None)
    noisy = power.variance_components(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert noisy == Variances(0.0, 2.0)


def test_a_design_says_what_it_cannot_decide():
    """Sentences for too few tasks, one seed, no variance, out of reach."""
    assert (
        "5 tasks cannot decide: 9 are needed for p < 0.05 after Holm over 10 comparisons."
        in of_variances(PILOT, 5, 3, 10).note
    )
    assert "No number of seeds is enough" in of_variances(PILOT, 10, 3, 1, 0.05).note
    assert "More than 10,000 tasks" in of_variances(PILOT, 10, 3, 1, 1e-4).note
    one_seed = of_differences(np.arange(8.0)[:, None], difference=1.0)
    assert "one seed" in one_seed.note
    assert (one_seed.seed_variance, one_seed.seeds_needed) == (None, None)
    assert one_seed.tasks_needed > 8
    assert one_seed.deviation_low < one_seed.deviation < one_seed.deviation_high
    nothing = of_differences(np.empty((0, 2)), difference=1.0)
    assert (nothing.tasks, nothing.deviation, nothing.tasks_needed) == (0, None, None)
    assert "Fewer than two tasks" in nothing.note


@pytest.mark.parametrize("shape", [(8, 3), (8, 1), (2, 2)])
@pytest.mark.parametrize("value", [0.0, 0.2, 1e-12])
def test_rows_that_do_not_vary_say_nothing_of_variances(shape, value):
    """Equal differences are few rows, not certainty: no variance, no power, nothing seen, nothing needed."""
    found = of_differences(np.full(shape, value), difference=0.1)
    assert (found.tasks, found.seeds) == shape
    for unknown in ("task_variance", "seed_variance", "deviation", "deviation_low", "deviation_high"):
        assert getattr(found, unknown) is None
    assert (found.smallest_detectable, found.power, found.tasks_needed, found.seeds_needed) == (None,) * 4
    assert "Nothing varies in these rows" in found.note
    assert "Fewer than two tasks" not in found.note


def test_no_spread_of_tasks_beside_seeds_is_no_certainty():
    """A task variance estimated as 0 is said to be that."""
    noisy = of_differences(np.array([[1.0, -1.0], [-1.0, 1.0]] * 4), difference=1.0)
    assert (noisy.task_variance, noisy.seed_variance) == (0.0, 2.0)
    assert "Tasks do not show more spread than their seeds explain" in noisy.note
    assert "do not show more spread" not in of_variances(Variances(0.0, 2.0), 8, 2, 1, 1.0).note


def test_designs_of_rows(rows_of):
    """Every label against the baseline, in the unit of the rows; other tasks or seeds may be asked about."""
    rng = np.random.default_rng(1)
    scores = {(f"t{t}", 5, label): list(rng.normal(0.5, 0.1, 3)) for t in range(9) for label in ("a", "b", "c")}
    rows = rows_of(scores)
    found, _ = designs(rows, "a", difference=0.2)
    assert (found.candidate, found.baseline, found.unit) == ("b", "a", "accuracy")
    assert (found.tasks, found.seeds, found.comparisons, found.fewest_tasks) == (9, 3, 2, 7)
    differences = np.array([np.subtract(scores[f"t{t}", 5, "b"], scores[f"t{t}", 5, "a"]) for t in range(9)])
    variances = power.variance_components(differences)
    assert (found.task_variance, found.seed_variance) == pytest.approx((variances.task, variances.seed))
    assert found.smallest_detectable == pytest.approx(power.smallest_detectable(variances, 9, 3, 2))
    assert designs(rows.take(rng.permutation(len(rows))), "a", difference=0.2)[0] == found
    larger = designs(rows, "a", tasks=30, seeds=10)[0]
    assert larger.smallest_detectable < found.smallest_detectable
    assert (larger.tasks, larger.seeds) == (30, 10)
    mixed = designs(rows_of(scores, {"t0": {"metric": "rmse", "higher_is_better": False}}), "a")[0]
    assert (mixed.unit, mixed.deviation, mixed.tasks, mixed.seeds) == (None, None, 9, 3)
    assert "no common unit" in mixed.note
    with pytest.raises(ResultsError, match="did you mean"):
        designs(rows, "aa")
