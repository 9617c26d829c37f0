"""The benchmark that judges the judge: it follows the real comparison, and a small run of it keeps what is promised."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import calibration


def test_the_judge_of_the_simulation_is_compare():
    """Verdicts and intervals are those of rows, with and without a difference."""
    assert calibration.check_against_compare(9, np.random.default_rng(0)) == 36


def test_p_values_are_those_of_every_sum():
    """All signs of six ranks, counted one by one."""
    signs = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1)
    sums = (signs * np.arange(1, 7)[:, None]).sum(axis=0)
    expected = [min(1.0, 2 * (sums <= total).mean()) for total in range(11)]
    assert calibration.p_values(6) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("noise", ["gaussian", "heavy-tailed"])
def test_verdicts_without_effect_are_rarely_wrong(noise):
    """At most one table in twenty, within the simulation's error; t intervals cover; pooled seeds would not."""
    cell = calibration.no_effect(np.random.default_rng(1), noise, 1.0, 12, 4, 3000)
    assert cell.wrong <= 0.05 + 3 * cell.error
    assert 0.93 <= cell.population <= 0.98
    assert 0.93 <= cell.fixed <= 0.98
    assert cell.pooled > 0.1


def test_power_is_what_is_foretold():
    """Simulated verdicts find a difference as often as results.power says."""
    point = calibration.power_curve(np.random.default_rng(3), 10, 1.0, 3000)
    assert point.two_methods == pytest.approx(point.expected_two, abs=0.03)
    assert point.five_methods == pytest.approx(point.expected_five, abs=0.03)
