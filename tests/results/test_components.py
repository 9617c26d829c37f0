"""Variance components against a published table, known truths and another estimator; what their intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from results.components import components, deviation, mean_squares, share, subsets

RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
"""Shrout and Fleiss, 1979, table 2: six targets, four judges."""

TRUTH = {(0,): 0.5, (1,): 2.0, (0, 1): 0.3, (1, 2): 1.0, (0, 1, 2): 0.2}


def drawn(rng, tables, levels, truth):
    """Scores that are sums of independent normal parts with the given variances."""
    scores = np.full((tables, *levels), 7.0)
    for axes, variance in truth.items():
        shape = [level if axis in axes else 1 for axis, level in enumerate(levels)]
        scores = scores + math.sqrt(variance) * rng.standard_normal((tables, *shape))
    return scores


def test_the_published_two_way_table():
    """Mean squares 11.24 (targets), 32.49 (judges), 1.02 (residual), and the intraclass correlation ICC(2,1) of .29."""
    squares = {axes: float(value[0]) for axes, value in mean_squares(RATINGS[None]).items()}
    assert squares == pytest.approx({(0,): 11.24, (1,): 32.49, (0, 1): 1.02}, abs=0.005)
    found = {axes: float(value[0]) for axes, value in components(RATINGS[None]).items()}
    assert found == pytest.approx({(0,): (11.24 - 1.02) / 4, (1,): (32.49 - 1.02) / 6, (0, 1): 1.02}, abs=0.005)
    assert found[(0,)] / sum(found.values()) == pytest.approx(0.29, abs=0.005)


def test_restricted_likelihood_finds_the_same():
    """REML, which is the same estimate in balanced data with no negative component, by statsmodels."""
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    target, judge = np.indices(RATINGS.shape)
    data = pd.DataFrame({"y": RATINGS.ravel(), "target": target.ravel(), "judge": judge.ravel(), "all": 1})
    parts = {"judge": "0 + C(judge)", "target": "0 + C(target)"}
    fitted = MixedLM.from_formula("y ~ 1", data, groups="all", vc_formula=parts, re_formula="0").fit()
    found = components(RATINGS[None])
    assert fitted.vcomp == pytest.approx([found[(1,)][0], found[(0,)][0]], rel=1e-3)
    assert fitted.scale == pytest.approx(found[(0, 1)][0], rel=1e-3)


@pytest.mark.parametrize("levels", [(2, 2, 2), (3, 2, 4)])
def test_estimates_are_unbiased(levels):
    """The mean over many tables is the truth, also of components that are 0, and some estimates are negative."""
    found = components(drawn(np.random.default_rng(0), 20_000, levels, TRUTH))
    assert set(found) == set(subsets(3))
    for axes, values in found.items():
        error = values.std(ddof=1) / math.sqrt(len(values))
        assert values.mean() == pytest.approx(TRUTH.get(axes, 0.0), abs=4 * error), axes
    assert (found[(2,)] < 0).mean() > 0.2


def test_a_factor_without_effect_has_no_component():
    """Scores that do not depend on the first factor: its components are 0 to the last bit."""
    scores = np.random.default_rng(0).standard_normal((5, 1, 2, 2)).repeat(2, axis=1)
    assert all((values == 0).all() for axes, values in components(scores).items() if 0 in axes)


def test_intervals_cover_the_truth():
    """Of 20 tables each, in at least 88 of 100 simulations: shares of the variance, and its square root."""
    rng, total, repetitions = np.random.default_rng(1), sum(TRUTH.values()), 400
    found = components(drawn(rng, 20 * repetitions, (2, 2, 2), TRUTH))
    whole = sum(found.values()).reshape(repetitions, 20)
    shares = [share(part, all_of_it) for part, all_of_it in zip(found[(1,)].reshape(-1, 20), whole, strict=True)]
    deviations = [deviation(all_of_it) for all_of_it in whole]
    for estimates, truth in ((shares, TRUTH[(1,)] / total), (deviations, math.sqrt(total))):
        assert 0.88 <= np.mean([one.low <= truth <= one.high for one in estimates]) <= 0.98


def test_what_cannot_be_estimated_is_none():
    """No spread, no table, one table, or one level."""
    still = np.zeros(4)
    assert share(still, still).value is None
    assert (deviation(still).value, deviation(still).low) == (0.0, None)
    assert deviation(still[:0]).value is None
    assert share(np.ones(1), np.ones(1)).low is None
    with pytest.raises(ValueError, match="two levels"):
        components(np.zeros((3, 2, 1)))
