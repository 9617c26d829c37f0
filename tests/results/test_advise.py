"""Advice under constraints: who is eligible, who is beaten, and when rows cannot say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from results.advise import advise
from results.compare import compare
from results.constraints import Limits
from results.statistics import fewest_tasks

LABELS = ("cheap", "fine", "poor")
LEVEL = {"cheap": 0.6, "fine": 0.7, "poor": 0.5}


@pytest.fixture
def table(rows_of):
    """Rows of three methods, each better than the next, whose costs and source scores the caller gives."""

    def make(costs=None, tasks=9, sizes=(50,), **columns):
        noise = np.random.default_rng(0).normal(0, 0.01, (tasks, len(sizes), 3, 3))
        scores = {
            (f"t{t}", size, label): list(LEVEL[label] + noise[t, s, i])
            for t in range(tasks)
            for s, size in enumerate(sizes)
            for i, label in enumerate(LABELS)
        }
        each = {key: (costs or {}).get(key[2], {}) | (costs or {}).get((key[0], key[2]), {}) for key in scores}
        return rows_of(scores, each, **columns)

    return make


def by_name(advice):
    return {method.method: method for method in advice.methods}


def test_without_limits_only_statistics_decide(table):
    """A method is beaten by those that signed ranks, Holm-adjusted over all pairs, tell apart as better."""
    rows = table()
    advice = advise(rows, 50)
    assert 3 * stats.wilcoxon(np.arange(1, 10)).pvalue < 0.05
    assert (advice.says, advice.not_beaten, advice.tasks, advice.sizes) == (True, ("fine",), 9, (50,))
    assert by_name(advice)["poor"].beaten_by == ("cheap", "fine")
    poor, expected = by_name(advice)["poor"], next(c for c in compare(rows, "fine", ["poor"]))
    assert (poor.against, poor.mean_difference, poor.interval_low) == (
        "fine",
        expected.mean_difference,
        expected.interval_low,
    )
    assert [m.method for m in advice.methods] == ["fine", "cheap", "poor"]


def test_a_method_beyond_a_limit_beats_nobody(table):
    """What cannot be used is not compared with what can."""
    rows = table({"fine": {"trained_parameters": 100}, "cheap": {"trained_parameters": 10}, "poor": {}})
    assert advise(rows, 50, Limits(trained_parameters=100)).not_beaten == ("fine",)
    advice = advise(rows, 50, Limits(trained_parameters=99))
    assert (advice.says, advice.not_beaten) == (True, ("cheap",))
    assert by_name(advice)["fine"].why_not == "trained parameters beyond the limit"
    assert by_name(advice)["poor"].why_not == "trained parameters not measured"
    assert any("only method" in caveat for caveat in advice.caveats)


def test_a_limit_holds_on_every_task(table):
    """One task above it is enough; the largest cost is shown."""
    rows = table(
        {**{label: {"trained_parameters": 10} for label in LABELS}, ("t3", "fine"): {"trained_parameters": 99}}
    )
    check = by_name(advise(rows, 50, Limits(trained_parameters=50)))["fine"].checks[0]
    assert (check.value, check.tasks, check.tasks_within, check.fits) == (99.0, 9, 8, False)


def test_time_and_memory_of_shared_devices_are_not_measured(table):
    """No method is known to keep such a limit, so the rows cannot say."""
    costs = {label: {"peak_memory_bytes": 10**9, "adapt_seconds": 1.0} for label in LABELS}
    shared, alone = (table(costs, exclusive_device=alone) for alone in (False, True))
    for limits in (Limits(peak_memory_bytes=2e9), Limits(adapt_seconds=2)):
        advice = advise(shared, 50, limits)
        assert (advice.says, advice.not_beaten) == (False, ())
        assert "device alone" in advice.reasons[0]
        assert advise(alone, 50, limits).not_beaten == ("fine",)


def test_what_is_kept_of_the_source_has_an_interval(table):
    """The mean decides who is eligible; where the interval holds the limit that is said to be unsure."""
    costs = {(f"t{t}", label): {"score_source_before": 1.0} for t in range(9) for label in LABELS}
    for (task, label), columns in costs.items():
        columns["score_source_after"] = {"fine": 0.2, "cheap": 0.6, "poor": 0.9}[label] + 0.05 * (int(task[1]) - 4)
    advice = advise(table(costs), 50, Limits(source_retention=0.58))
    assert advice.not_beaten == ("cheap",)
    cheap = by_name(advice)["cheap"].checks[0]
    values = 0.6 + 0.05 * (np.arange(9) - 4)
    assert (cheap.low, cheap.high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    assert (cheap.fits, cheap.sure, by_name(advice)["poor"].checks[0].sure) == (True, False, True)
    assert any("not surely kept by cheap" in caveat for caveat in advice.caveats)
    assert by_name(advice)["fine"].eligible is False


def test_sizes_that_were_not_measured(table):
    """Neighbours stand for a size between them, the nearest for one close by, nothing for one far away."""
    rows = table(sizes=(50, 200))
    between, near, far = (advise(rows, size) for size in (100, 300, 500))
    assert (between.sizes, between.says) == ((50, 200), True)
    assert "50 and 200 together" in between.caveats[0]
    assert (near.sizes, near.says) == ((200,), True)
    assert (far.says, far.not_beaten) == (False, ())
    assert "far from what was measured (50 to 200)" in far.reasons[0]
    assert advise(rows, 25).says
    assert not advise(rows, 24).says


def test_too_few_tasks_cannot_say(table):
    """With fewer tasks than any adjusted test needs, silence is no evidence."""
    assert fewest_tasks(0.05 / 3) == 7
    few, enough = advise(table(tasks=6), 50), advise(table(tasks=7), 50)
    assert (few.says, few.tasks_needed, few.not_beaten) == (False, 7, ())
    assert "6 tasks cannot tell any two of 3 methods apart, however different they are: 7 are needed" in few.reasons[0]
    assert enough.says


def test_nothing_fits(table):
    """It says so, with what each method takes."""
    rows = table({label: {"trained_parameters": 10} for label in LABELS})
    advice = advise(rows, 50, Limits(trained_parameters=1))
    assert (advice.says, advice.tasks) == (False, 9)
    assert "No method keeps these limits" in advice.reasons[0]
    assert {m.checks[0].value for m in advice.methods} == {10.0}


def test_rows_without_sizes_cannot_say(rows_of):
    """Foreign rows need not state a target size; then nothing is said of one."""
    rows = rows_of({(f"t{t}", None, label): [0.5] for t in range(9) for label in LABELS})
    advice = advise(rows, 50)
    assert not advice.says
    assert "state a target size" in advice.reasons[0]


def test_order_of_rows_does_not_matter(table):
    """Shuffled rows give the same advice."""
    rows = table({label: {"trained_parameters": 10, "adapt_seconds": 0.3} for label in LABELS})
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    assert advise(shuffled, 50, Limits(trained_parameters=10)) == advise(rows, 50, Limits(trained_parameters=10))
