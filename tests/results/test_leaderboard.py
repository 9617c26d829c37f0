"""Ranks, tie groups, costs and coverage of all methods of a table."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.errors import ResultsError
from results.leaderboard import leaderboard
from results.ranking import interquartile_mean, resampled_means
from results.schema import SCHEMA

SEEDS = st.integers(0, 2**32 - 1)
LABELS = ("bad", "fair", "good")


def campaign(seed: int = 0, tasks: int = 8, seeds: int = 3, gap: float = 0.1) -> dict[tuple[str, int, str], list]:
    """Scores of three methods, each better than the one before."""
    noise = np.random.default_rng(seed).normal(0.5, 0.01, (tasks, len(LABELS), seeds))
    return {(f"t{t}", 50, label): list(noise[t, i] + i * gap) for t in range(tasks) for i, label in enumerate(LABELS)}


def anchors(zero: float, one: float) -> dict[str, object]:
    return {"extra": [("anchor_zero", str(zero)), ("anchor_one", str(one))]}


def by_name(board):
    return {standing.method: standing for standing in board.methods}


def test_demsar_through_foreign_rows(demsar):
    """The published ranks, tie-corrected tests and critical difference come out of imported rows."""
    board = leaderboard(demsar.rows(demsar.ranked))
    ranks = {name: standing.mean_rank for name, standing in by_name(board).items()}
    expected = {"C4.5": 3.142857, "C4.5+m": 2.0, "C4.5+cf": 2.892857, "C4.5+m+cf": 1.964286}
    assert ranks == pytest.approx(expected, abs=1e-6)
    assert board.methods[0].method == "C4.5+m+cf"
    assert (board.friedman_chi2, board.friedman_p) == pytest.approx((10.228346, 0.0167216), abs=1e-6)
    assert board.iman_davenport_f == pytest.approx(4.185, abs=5e-4)
    assert board.tie_corrected
    assert board.critical_difference == pytest.approx(1.253559, abs=2e-6)
    assert (board.tasks, board.cells, board.unit, board.target_size) == (14, 14, "auc", None)
    first = by_name(board)["C4.5"]
    assert (first.rank_low, first.rank_high) == pytest.approx((2.55, 3.65), abs=0.15)
    for standing in board.methods:
        assert standing.rank_low <= standing.mean_rank <= standing.rank_high
        assert standing.elo_low <= standing.elo <= standing.elo_high
        assert standing.win_rate == pytest.approx((4 - standing.mean_rank) / 3)
        assert (standing.seeds, standing.coverage, standing.iqm, standing.adapt_seconds) == (1, 1.0, None, None)


def test_win_rates_of_demsar_as_printed(demsar):
    """Printed data, without the correction on voting."""
    rates = {name: s.win_rate for name, s in by_name(leaderboard(demsar.rows(demsar.printed))).items()}
    expected = {"C4.5": 0.285714, "C4.5+m": 0.666667, "C4.5+cf": 0.357143, "C4.5+m+cf": 0.690476}
    assert rates == pytest.approx(expected, abs=1e-6)


def test_letters_and_order(rows_of):
    """Clear gaps over enough tasks get a letter each, best first; with few tasks all share one."""
    clear, few = leaderboard(rows_of(campaign())), leaderboard(rows_of(campaign(tasks=4)))
    assert [(s.method, s.tie_group, s.mean_rank) for s in clear.methods] == [
        ("good", "a", 1.0),
        ("fair", "b", 2.0),
        ("bad", "c", 3.0),
    ]
    assert [s.tie_group for s in few.methods] == ["a", "a", "a"]


def test_one_task_has_ranks_but_no_intervals(rows_of):
    """Nothing is invented: no interval, no test over tasks, one letter for all."""
    board = leaderboard(rows_of(campaign(tasks=1)))
    assert (board.tasks, board.friedman_chi2, board.iman_davenport_f) == (1, None, None)
    for standing in board.methods:
        assert standing.mean_rank is not None
        assert (standing.rank_low, standing.rank_high, standing.elo_low) == (None, None, None)
        assert standing.tie_group == "a"


def test_all_ties_are_no_difference(rows_of):
    """Equal scores everywhere: Friedman's p is 1, every rank is the middle one."""
    board = leaderboard(rows_of({(f"t{t}", 5, label): [0.5, 0.6] for t in range(7) for label in LABELS}))
    assert (board.friedman_chi2, board.friedman_p) == (0.0, 1.0)
    assert {(s.mean_rank, s.rank_low, s.rank_high, s.win_rate, s.tie_group) for s in board.methods} == {
        (2.0, 2.0, 2.0, 0.5, "a")
    }


def test_a_failed_cell_ranks_last_or_is_left_out(rows_of):
    """One seed that is not done sinks its cell on the main board; the second board has the cells that all finished."""
    scores = campaign()
    scores["t0", 50, "good"][0] = "timeout"
    main, dense = (leaderboard(rows_of(scores), leave_out_failures=flag) for flag in (False, True))
    good = by_name(main)["good"]
    assert (main.tasks, good.failures, good.coverage) == (8, 1, 1.0)
    assert good.mean_rank == pytest.approx((7 * 1 + 3) / 8)
    assert (dense.tasks, by_name(dense)["good"].mean_rank) == (7, 1.0)
    assert by_name(dense)["good"].coverage == 7 / 8


def test_failed_cells_rank_last_in_resampled_tasks_too(rows_of):
    """A method that fails everywhere is last with certainty."""
    scores = {key: ["oom"] * 3 if key[2] == "good" else value for key, value in campaign().items()}
    good = by_name(leaderboard(rows_of(scores, metric="rmse", higher_is_better=False)))["good"]
    assert (good.mean_rank, good.rank_low, good.rank_high) == (3.0, 3.0, 3.0)


def test_one_trial_read_twice_counts_once(rows_of):
    """Two readings of a trial with other times are one trial, the same one in any order."""
    slow, fast = (rows_of(campaign(), adapt_seconds=seconds) for seconds in (5.0, 2.0))
    board = leaderboard(pa.concat_tables([slow, fast]))
    assert board == leaderboard(pa.concat_tables([fast, slow])) == leaderboard(fast)


def test_declined_is_missing_not_failed(rows_of):
    """It thins the dense sub-grid and shows in coverage; a label with less than half the cells is listed unranked."""
    scores = campaign()
    scores["t0", 50, "good"] = ["declined"] * 3
    for t in range(5):
        scores[f"t{t}", 50, "bad"] = ["declined"] * 3
    board = leaderboard(rows_of(scores))
    good, bad = by_name(board)["good"], by_name(board)["bad"]
    assert (board.tasks, good.mean_rank, good.declined, good.failures, good.coverage) == (7, 1.0, 3, 0, 7 / 8)
    assert (bad.mean_rank, bad.tie_group, bad.coverage, bad.declined) == (None, None, 3 / 8, 15)
    assert board.methods[-1] == bad
    assert board.friedman_p is None


def test_sizes_and_variants_are_averaged_inside_a_task(rows_of):
    """The task is the unit: a task with many cells weighs as much as one with a single cell."""
    scores = {("t(a=1)", size, label): [float(label == "good")] for size in (5, 50) for label in LABELS}
    scores |= {("t(a=2)", 5, label): [float(label == "good")] for label in LABELS}
    scores |= {("u", 5, label): [float(label == "bad")] for label in LABELS}
    rows = rows_of(scores, **anchors(0, 1))
    board = leaderboard(rows)
    assert (board.tasks, board.cells) == (2, 4)
    assert {name: s.mean_rank for name, s in by_name(board).items()} == {"good": 1.75, "bad": 1.75, "fair": 2.5}
    small = leaderboard(rows, target_size=50)
    assert (small.tasks, small.cells, small.target_size) == (1, 1, 50)


def test_interquartile_mean_is_of_normalised_task_means(rows_of):
    """Anchors fix the scale whoever else is there; failures count as the lowest scores."""
    each = {f"t{t}": anchors(0.5, 0.5 + 0.1 * (t + 1)) for t in range(4)}
    scores = {(f"t{t}", 5, label): [0.5 + 0.1 * (t + 1) * t] for t in range(4) for label in LABELS}
    scores["t3", 5, "bad"] = ["oom"]
    scores["t2", 5, "fair"] = scores["t3", 5, "fair"] = ["oom"]
    found = by_name(leaderboard(rows_of(scores, each)))
    assert found["good"].iqm == pytest.approx((1 + 2) / 2)
    assert found["bad"].iqm == pytest.approx((0 + 1) / 2)
    assert found["fair"].iqm is None
    assert (found["fair"].iqm_low, found["bad"].iqm_low) == (None, None)


def test_interquartile_means_have_the_interval_of_the_two_level_bootstrap(rows_of):
    """That of resampled tasks and seeds, in the unit of the anchors, variants and sizes inside their task."""
    rng = np.random.default_rng(3)
    each = {f"t{t}": anchors(0.1 * t, 2.0 + t) for t in range(9)}
    scores = {(f"t{t}", 5, label): list(rng.normal(t, 0.5, 4)) for t in range(9) for label in LABELS}
    found = by_name(leaderboard(rows_of(scores, each)))
    labels = sorted(LABELS)
    raw = np.stack([np.stack([scores[f"t{t}", 5, label] for label in labels], axis=-1) for t in range(9)])
    zero, one = (np.array([end(t) for t in range(9)])[:, None, None] for end in (lambda t: 0.1 * t, lambda t: 2.0 + t))
    means, _ = resampled_means((raw - zero) / (one - zero), 1000, np.random.default_rng(0))
    for place, label in enumerate(labels):
        middles = [interquartile_mean(draw[:, place]) for draw in means]
        expected = np.quantile(middles, [0.025, 0.975])
        assert (found[label].iqm_low, found[label].iqm_high) == pytest.approx(tuple(expected))
        assert found[label].iqm_low < found[label].iqm < found[label].iqm_high
    alone = leaderboard(rows_of({("t1", 5, label): [0.5, 0.6] for label in LABELS}, each))
    assert {(s.iqm is None, s.iqm_low) for s in alone.methods} == {(False, None)}


def test_costs_are_measured_means(rows_of):
    """Means over tasks of done trials; null is not 0, and times of shared devices are not claimed."""
    scores = {("t", 5, "good"): [0.5, 0.6], ("u", 5, "good"): [0.5, 0.6], ("t", 5, "bad"): [0.1, 0.1]}
    scores["u", 5, "bad"] = ["oom", 0.1]
    each = {
        ("t", 5, "good"): {"trained_parameters": 10, "adapt_seconds": 1.0, "exclusive_device": True},
        ("u", 5, "good"): {"trained_parameters": 30, "adapt_seconds": 5.0, "exclusive_device": False},
        ("u", 5, "bad"): {"trained_parameters": 7},
    }
    found = by_name(leaderboard(rows_of(scores, each, tuning_configs=4)))
    good, bad = found["good"], found["bad"]
    assert (good.trained_parameters, good.adapt_seconds, good.training_flops) == (20.0, 1.0, None)
    assert (bad.trained_parameters, bad.adapt_seconds, bad.peak_memory_bytes) == (7.0, None, None)
    assert good.tuning_configs == 4


def test_source_retention_knows_its_direction(rows_of):
    """After over before for accuracies, before over after for errors; without two positive scores it is left out."""
    scores = {(task, 5, label): [0.5] for task in ("a", "b", "c") for label in LABELS}
    each = {
        "a": {"score_source_before": 0.8, "score_source_after": 0.4},
        "b": {"score_source_before": 1.0, "score_source_after": 4.0, "higher_is_better": False},
        "c": {"score_source_before": -1.0, "score_source_after": 1.0},
    }
    found = by_name(leaderboard(rows_of(scores, each)))
    assert found["good"].source_retention == pytest.approx((0.5 + 0.25) / 2)
    assert by_name(leaderboard(rows_of(scores)))["good"].source_retention is None


def test_a_board_of_nothing_or_of_one(rows_of):
    """No rows give an empty board, one method an unranked one; an unknown size is refused."""
    empty = leaderboard(SCHEMA.empty_table())
    assert (empty.methods, empty.tasks, empty.critical_difference) == ((), 0, None)
    (alone,) = leaderboard(rows_of({("t", 5, "good"): [0.5]})).methods
    assert (alone.mean_rank, alone.win_rate, alone.tasks, alone.seeds) == (None, None, 1, 1)
    (failed,) = leaderboard(rows_of({("t", 5, "good"): ["failed"]})).methods
    assert (failed.failures, failed.seeds) == (1, 0)
    with pytest.raises(ResultsError, match=r"target size 7.*\[5\]"):
        leaderboard(rows_of({("t", 5, "good"): [0.5]}), target_size=7)


def test_negative_controls_do_not_count(rows_of):
    """Over tasks they are not there."""
    board = leaderboard(rows_of(campaign(), {"t0": {"extra": [("role", "negative_control")]}}))
    assert board.tasks == 7


def test_two_methods_have_no_friedman_test(rows_of):
    """Two methods are compared by signed ranks alone."""
    scores = {key: value for key, value in campaign().items() if key[2] != "bad"}
    board = leaderboard(rows_of(scores))
    assert (board.friedman_chi2, board.iman_davenport_p) == (None, None)
    assert [s.tie_group for s in board.methods] == ["a", "b"]


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_row_order_does_not_matter(rows_of, seed):
    """Shuffled rows give the same board, digit for digit, bootstrap and costs included."""
    rng = np.random.default_rng(seed)
    scores = {
        (f"t{t}", size, label): ["oom" if rng.random() < 0.03 else float(rng.integers(0, 9)) / 10 for _ in range(3)]
        for t in range(5)
        for size in (5, 50)
        for label in LABELS
    }
    each = {key: {"adapt_seconds": float(rng.random()), "training_flops": float(rng.random())} for key in scores}
    rows = rows_of(scores, each)
    board = leaderboard(rows)
    assert leaderboard(rows.take(rng.permutation(len(rows)))) == board
    json.dumps(dataclasses.asdict(board), allow_nan=False)


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_a_copy_of_a_method_ties_with_it(rows_of, seed):
    """The same rows under another label share rank, letter and rating, and are not told apart."""
    rows = rows_of(campaign(seed, gap=0.005))
    copy = rows.filter(pa.compute.equal(rows["label"], "good"))
    names = pa.array(["copy"] * len(copy), pa.string())
    both = pa.concat_tables([rows, copy.set_column(rows.column_names.index("label"), "label", names)])
    found = by_name(leaderboard(both))
    for field in ("mean_rank", "win_rate", "tie_group"):
        assert getattr(found["good"], field) == getattr(found["copy"], field)
    for field in ("rank_low", "rank_high", "elo", "elo_low", "elo_high"):
        assert getattr(found["good"], field) == pytest.approx(getattr(found["copy"], field))


@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_names_do_not_matter(rows_of, seed):
    """Labels in another alphabetical order have the same ranks, intervals and ratings."""
    rows = rows_of(campaign(seed, gap=0.005))
    names = {"bad": "z", "fair": "y", "good": "x"}
    label = pa.array([names[name] for name in rows["label"].to_pylist()])
    renamed = by_name(leaderboard(rows.set_column(rows.column_names.index("label"), "label", label)))
    for name, standing in by_name(leaderboard(rows)).items():
        for field in ("mean_rank", "rank_low", "rank_high", "win_rate", "elo", "elo_low", "elo_high"):
            assert getattr(standing, field) == pytest.approx(getattr(renamed[names[name]], field))
