"""Rows that cannot carry much: gaps, one task, one seed, ties, failures, scores that are no numbers.

The same tables go through compare, leaderboard, sensitivity and advise: each says what it can, the rest is None.
"""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from results.advise import advise
from results.compare import compare, compare_per_task
from results.constraints import Limits
from results.findings import findings
from results.leaderboard import leaderboard
from results.schema import SCHEMA
from results.sensitivity import sensitivity

LABELS = ("base", "good", "like")
EFFECT = {"base": 0.0, "good": 0.1, "like": 0.0}


def scores(tasks: int = 9, seeds: int = 3, size: int = 50) -> dict[tuple[str, int, str], list]:
    """A baseline, a better and a like method."""
    noise = np.random.default_rng(0).normal(0.6, 0.01, (tasks, len(LABELS), seeds))
    return {
        (f"t{t}", size, label): list(noise[t, i] + EFFECT[label])
        for t in range(tasks)
        for i, label in enumerate(LABELS)
    }


def with_gaps():
    return {key: value for i, (key, value) in enumerate(scores().items()) if i % 4}


def replaced(label, value):
    return {key: value if key[2] == label else held for key, held in scores().items()}


TABLES = {
    "gaps": with_gaps(),
    "one task": scores(tasks=1),
    "one seed": scores(seeds=1),
    "one task and one seed": scores(tasks=1, seeds=1),
    "all ties": {key: [0.5] * 3 for key in scores()},
    "one always failed": replaced("good", ["oom"] * 3),
    "all always failed": {key: ["failed"] * 3 for key in scores()},
    "one always declined": replaced("good", ["declined"] * 3),
    "NaN": replaced("good", [math.nan] * 3),
    "infinite": replaced("good", [math.inf, -math.inf, math.inf]),
    "some not finite": replaced("good", [0.7, math.nan, math.inf]),
    "beyond what counts": {key: [s * 1e300, s * 1e-300, -s * 1e300] for key, (s, *_) in scores().items()},
    "large": {key: [value * 1e100 for value in held] for key, held in scores().items()},
    "no common task": {("t", 5, "base"): [0.5, 0.6], ("u", 5, "good"): [0.5, 0.6], ("v", 5, "like"): [0.1]},
}


@pytest.mark.parametrize("case", TABLES)
def test_every_number_is_one_or_null(rows_of, case):
    """No crash, no warning, and no value in any claim that JSON does not know."""
    rows = rows_of(TABLES[case])
    claims = [*compare(rows, "base", margin=0.05), *compare_per_task(rows, "base"), leaderboard(rows)]
    claims += [sensitivity(rows), advise(rows, 50, Limits(trained_parameters=10)), advise(rows, 50)]
    assert findings(rows, "base").comparisons
    for claim in claims:
        json.dumps(dataclasses.asdict(claim), allow_nan=False)


@pytest.mark.parametrize("case", ["one task", "one seed", "one task and one seed", "no common task"])
def test_an_interval_needs_what_it_is_over(rows_of, case):
    """Over other tasks with two tasks, over other seeds with two seeds; else there is none."""
    one_task, one_seed = "task" in case, "seed" in case
    for found in compare(rows_of(TABLES[case]), "base"):
        has = found.interval_low is not None
        if found.question == "population":
            assert has == (not one_task)
        else:
            assert has == (not one_seed and case != "no common task")
        if found.interval_low is None:
            assert found.verdict == "undecided"


def test_one_task_ranks_without_interval(rows_of):
    """Ranks of one task are what they are; nothing is said of other tasks."""
    board, steady = leaderboard(rows_of(TABLES["one task"])), sensitivity(rows_of(TABLES["one task"]))
    assert {(m.rank_low, m.elo_low, m.tie_group) for m in board.methods} == {(None, None, "a")}
    assert board.friedman_p is None
    assert [drop.kind for drop in steady.drops] == ["method"] * 3
    assert {method.lowest for method in steady.methods} == {None}
    advice = advise(rows_of(TABLES["one task"]), 50)
    assert (advice.says, advice.not_beaten) == (False, ())
    assert "1 task cannot tell" in advice.reasons[0]


def test_ties_are_ties_everywhere(rows_of):
    """Equal scores: no difference, every rank the middle one, nobody beaten."""
    rows = rows_of(TABLES["all ties"])
    for found in compare(rows, "base", margin=0.01):
        assert (found.mean_difference, found.wins, found.losses, found.p_value) == (0.0, 0, 0, 1.0)
        assert found.verdict == "equivalent"
    assert {m.mean_rank for m in leaderboard(rows).methods} == {2.0}
    advice = advise(rows, 50)
    assert (advice.says, advice.not_beaten) == (True, LABELS)
    assert "does not mean that they are equal" in advice.caveats[0]
    assert sensitivity(rows).first == LABELS


@pytest.mark.parametrize("case", ["one always failed", "NaN", "infinite", "some not finite"])
def test_what_fails_comes_last(rows_of, case):
    """A failure is no score: the method is last, its mean absent, and its failures are counted."""
    rows = rows_of(TABLES[case])
    last = leaderboard(rows).methods[-1]
    assert (last.method, last.mean_rank, last.trials) == ("good", 3.0, 27)
    assert last.failures == (18 if case == "some not finite" else 27)
    population = next(c for c in compare(rows, "base", ["good"]) if c.question == "population")
    assert (population.losses, population.mean_difference, population.interval_low) == (9, None, None)
    assert population.verdict == "worse"
    advice = advise(rows, 50)
    assert next(m for m in advice.methods if m.method == "good").beaten_by == ("base", "like")


def test_declined_is_not_ranked(rows_of):
    """Missing everywhere: listed, not ranked, not advised, not failed."""
    rows = rows_of(TABLES["one always declined"])
    last = leaderboard(rows).methods[-1]
    assert (last.method, last.mean_rank, last.failures, last.declined, last.coverage) == ("good", None, 0, 27, 0.0)
    good = next(m for m in advise(rows, 50).methods if m.method == "good")
    assert (good.eligible, good.why_not) == (False, "has fewer than half of the cells")


def test_no_rows_at_all():
    """A table without rows has an empty board and no advice."""
    empty = SCHEMA.empty_table()
    assert sensitivity(empty).drops == ()
    assert leaderboard(empty).pareto == ()
    advice = advise(empty, 50)
    assert (advice.says, advice.methods) == (False, ())
