"""Rank against cost, and what a board owes to single tasks and methods."""

from __future__ import annotations

import numpy as np
import pytest

from results.leaderboard import leaderboard
from results.sensitivity import sensitivity

LEVEL = {"best": 0.7, "fair": 0.6, "near": 0.6, "poor": 0.4}
COST = {"best": 100, "fair": 10, "near": 11, "poor": 50}


def scores(tasks=12, seeds=3):
    noise = np.random.default_rng(0).normal(0, 0.01, (tasks, len(LEVEL), seeds))
    return {
        (f"t{t}", 5, label): list(level + noise[t, i])
        for t in range(tasks)
        for i, (label, level) in enumerate(LEVEL.items())
    }


def costs(column="trained_parameters", more=None, **columns):
    held = {key: {column: COST[key[2]]} | columns for key in scores()}
    for key, value in (more or {}).items():
        held[key] = held[key] | value
    return held


def by_name(front):
    return {worth.method: worth for worth in front.methods}


def test_fronts_tell_beaten_from_not_told_apart(rows_of):
    """Cheaper and better, told apart: behind; cheaper and better in the mean alone: open; else on the front."""
    board = leaderboard(rows_of(scores(), costs()))
    (front,) = board.pareto
    assert (front.cost, front.tasks, front.cells) == ("trained_parameters", 12, 12)
    found = by_name(front)
    ranks = {m.method: m.mean_rank for m in board.methods}
    assert [w.method for w in front.methods] == ["fair", "near", "poor", "best"]
    assert {w.method: w.mean_rank for w in front.methods} == ranks
    assert (found["best"].group, found["poor"].group) == ("front", "behind")
    assert found["poor"].better == ("fair", "near")
    assert found["fair"].group == "front"
    worse = ranks["near"] >= ranks["fair"]
    assert found["near"].group == ("open" if worse else "front")
    assert found["near"].ahead == (("fair",) if worse else ())


def test_equal_methods_of_equal_cost_share_the_front(rows_of):
    """Nobody is put behind by a method that is no better."""
    same = {key: [0.5, 0.6] for key in scores()}
    (front,) = leaderboard(rows_of(same, {key: {"trained_parameters": 7} for key in same})).pareto
    assert {worth.group for worth in front.methods} == {"front"}


def test_times_of_shared_devices_are_not_set_against_rank(rows_of):
    """Seconds and memory count only where the device was alone; nothing measured, no front."""
    for column in ("adapt_seconds", "peak_memory_bytes"):
        assert leaderboard(rows_of(scores(), costs(column, exclusive_device=False))).pareto == ()
        (front,) = leaderboard(rows_of(scores(), costs(column, exclusive_device=True))).pareto
        assert front.cost == column


def test_costs_are_of_the_same_work(rows_of):
    """A task on which one method was not measured counts for none; a method never measured is listed as such."""
    more = {("t0", 5, "best"): {"trained_parameters": None}}
    more |= {key: {"trained_parameters": None} for key in scores() if key[2] == "poor"}
    more |= {("t0", 5, "fair"): {"trained_parameters": 10**6}}
    (front,) = leaderboard(rows_of(scores(), costs(more=more))).pareto
    assert (front.cells, by_name(front)["fair"].cost) == (11, 10.0)
    assert (by_name(front)["poor"].cost, by_name(front)["poor"].group) == (None, None)
    assert front.methods[-1].method == "poor"


def test_without_each_task_is_the_board_of_the_others(rows_of):
    """Ranks and letters of each drop are those of a leaderboard of the rows that are left."""
    held = scores(tasks=7)
    rows = rows_of(held)
    found = sensitivity(rows)
    assert len(found.drops) == 7 + 4
    for drop in found.drops:
        place = 0 if drop.kind == "task" else 2
        left = leaderboard(rows_of({key: value for key, value in held.items() if key[place] != drop.name}))
        assert drop.mean_ranks == pytest.approx({m.method: m.mean_rank for m in left.methods})
        letters = {m.method: set(m.tie_group) for m in left.methods}
        whole = {m.method: set(m.tie_group) for m in leaderboard(rows).methods}
        for better, worse in drop.merged:
            assert letters[better] & letters[worse]
            assert not whole[better] & whole[worse]
        for better, worse in drop.apart:
            assert whole[better] & whole[worse]
            assert not letters[better] & letters[worse]
        for better, worse in drop.turned:
            assert drop.mean_ranks[better] > drop.mean_ranks[worse]


def test_seven_tasks_that_just_decide_merge_without_one(rows_of):
    """What hangs on a single task is shown to."""
    found = sensitivity(rows_of({key: value for key, value in scores(tasks=8).items() if key[2] in ("best", "poor")}))
    assert found.first == ("best",)
    assert (found.first_kept["task"], found.first_of["task"]) == (8, 8)
    six = sensitivity(rows_of({key: value for key, value in scores(tasks=6).items() if key[2] in ("best", "poor")}))
    assert all(drop.merged == (("best", "poor"),) for drop in six.drops)


def test_the_first_can_change_with_one_task(rows_of):
    """A lead that one task carries is lost without it, and how far ranks move is said."""
    held = {(f"t{t}", 5, label): [0.5 + 0.1 * (label == "b")] for t in range(2) for label in "ab"}
    held |= {(f"u{t}", 5, label): [0.5 + 0.1 * (label == "a")] for t in range(3) for label in "ab"}
    found = sensitivity(rows_of(held))
    assert (found.first, found.first_kept["task"], found.first_of["task"]) == (("a",), 2, 5)
    (first, _) = found.methods
    assert (first.method, first.mean_rank, first.lowest, first.highest) == ("a", 1.4, 1.25, 1.5)
    assert first.lowest_without in ("t0", "t1")
    assert first.highest_without in ("u0", "u1", "u2")


def test_variants_are_left_out_together(rows_of):
    """The task is the unit here too."""
    held = {(f"t(shift={s})", 5, label): [0.5 + s] for s in (1, 2) for label in "ab"}
    held |= {("u", 5, label): [0.5] for label in "ab"}
    rows = rows_of(held, extra=[("anchor_zero", "0"), ("anchor_one", "1")])
    assert [drop.name for drop in sensitivity(rows).drops] == ["t", "u"]
