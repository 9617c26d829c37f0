"""Performance profiles: counted one by one, closed forms of their bands, and profiles of rows."""

from __future__ import annotations

import numpy as np
import pytest

from results.pivot import pivot
from results.profile import performance_profile, profile, profile_band


def test_profile_is_the_share_of_runs_above():
    """Counted run by run; a threshold that is met is not exceeded, thresholds may come in any order."""
    scores = np.random.default_rng(0).integers(0, 5, (4, 3, 2)) / 4
    thresholds = np.array([0.5, 0.0, -1.0, 2.0, 0.25])
    expected = [[(scores[:, :, m] > threshold).mean() for m in range(2)] for threshold in thresholds]
    assert performance_profile(scores, thresholds) == pytest.approx(np.array(expected))


def test_profile_encloses_the_mean():
    """For scores from 0 to 1 the area under the profile is the mean score."""
    scores = np.random.default_rng(1).random((5, 4, 3))
    thresholds = (np.arange(2000) + 0.5) / 2000
    assert performance_profile(scores, thresholds).mean(axis=0) == pytest.approx(scores.mean(axis=(0, 1)), abs=1e-3)


def test_tasks_weigh_equally_and_failures_are_never_above():
    """Absent runs leave a task its weight; a failed run is above nothing; weights are heeded."""
    scores = np.array([[[1.0], [1.0], [0.0]], [[0.0], [np.nan], [np.nan]], [[-np.inf], [1.0], [np.nan]]])
    assert performance_profile(scores, np.array([0.5]))[0, 0] == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)
    assert performance_profile(scores, np.array([-1e300]))[0, 0] == pytest.approx((1 + 1 + 1 / 2) / 3)
    weighted = performance_profile(scores, np.array([0.5]), np.array([0.5, 0.5, 0.0]))
    assert weighted[0, 0] == pytest.approx(1 / 3)
    assert np.isnan(performance_profile(np.full((2, 2, 1), np.nan), np.array([0.0]))).all()


def test_band_has_the_error_of_the_two_level_bootstrap():
    """The spread of resampled shares is that in closed form: between tasks, and within them over seeds."""
    rng = np.random.default_rng(2)
    scores = rng.normal(rng.normal(size=(12, 1, 1)), 1, (12, 6, 1))
    above = (scores[:, :, 0] > 0).astype(float)
    variance = above.mean(axis=1).var() / 12 + above.var(axis=1).mean() / 12 / 6
    low, high = profile_band(scores, np.array([0.0]), rng, draws=20_000, confidence=0.6827)[:, 0, 0]
    assert (high - low) / 2 == pytest.approx(np.sqrt(variance), rel=0.08)
    assert low < above.mean() < high


def test_band_of_one_task_is_not_invented():
    """A single task says nothing about others; equal scores have a band without width."""
    rng = np.random.default_rng(3)
    assert np.isnan(profile_band(np.ones((1, 5, 2)), np.array([0.0]), rng)).all()
    assert profile_band(np.ones((3, 5, 2)), np.array([0.0]), rng) == pytest.approx(1)


def test_rows_of_one_task_move_together():
    """Two equal rows of one task are one task: the band is that of the single rows."""
    scores = np.random.default_rng(4).normal(size=(6, 5, 1))
    single = profile_band(scores, np.array([0.0]), np.random.default_rng(5), 4000)
    doubled = profile_band(
        np.repeat(scores, 2, axis=0),
        np.array([0.0]),
        np.random.default_rng(5),
        4000,
        task_of=np.repeat(np.arange(6), 2),
    )
    assert doubled == pytest.approx(single)


def test_profile_of_rows(rows_of):
    """Over the cells that all labels have; a failed seed sinks its cell; order and names do not matter."""
    rng = np.random.default_rng(6)
    scores = {(f"t{t}", 5, label): list(rng.random(3)) for t in range(4) for label in ("a", "b")}
    scores["t0", 5, "b"][1] = "oom"
    scores["t9", 5, "a"] = [0.5, 0.5, 0.5]
    rows = rows_of(scores)
    found = profile(pivot(rows), np.random.default_rng(0), np.array([-1.0, 0.5]))
    assert (found.labels, found.unit, found.tasks, found.cells) == (("a", "b"), "accuracy", 4, 4)
    assert found.shares[0] == pytest.approx([1.0, 0.75])
    expected = np.mean([np.mean(np.array(scores[f"t{t}", 5, "a"]) > 0.5) for t in range(4)])
    assert found.shares[1, 0] == pytest.approx(expected)
    again = profile(pivot(rows.take(rng.permutation(len(rows)))), np.random.default_rng(0))
    spanned = profile(pivot(rows), np.random.default_rng(0))
    assert all(np.array_equal(getattr(again, name), getattr(spanned, name)) for name in ("shares", "low", "high"))
    assert (spanned.shares[-1] == 0).all()
    mixed = {"t1": {"metric": "rmse", "higher_is_better": False}}
    assert profile(pivot(rows_of(scores, mixed)), np.random.default_rng(0)) is None
