"""What tuning buys: published numbers, brute force over draws, refusals, and curves of real rows."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pyarrow as pa
import pytest

from results.errors import ResultsError
from results.schema import SCHEMA
from results.tuning_curve import expected_best, mean_curves, tuning_curves


def tuned(rows_of, scores, each=None, **columns) -> pa.Table:
    """Tuning rows from {(task, size, label): {config: [validation score of each seed]}}; a status may be a score."""
    columns = {"stage": "tune", "tuning_configs": 2, "tuning_seeds": 2, "budget_steps": 10} | columns
    tables = []
    for cell, configs in scores.items():
        for config, values in configs.items():
            rows = rows_of({cell: values}, each, config=config, **columns)
            tables.append(
                rows.set_column(rows.column_names.index("score_validation"), "score_validation", rows["score_test"])
            )
    return pa.concat_tables(tables)


def test_expected_best_gives_the_published_numbers():
    """Four configurations, with replacement and unbiased."""
    scores = np.array([0.3, 0.1, 0.4, 0.2])
    assert expected_best(scores, replacement=True) == pytest.approx([0.25, 0.3125, 0.34375, 0.36171875], abs=1e-12)
    assert expected_best(scores) == pytest.approx([0.25, 1 / 3, 0.375, 0.40], abs=1e-12)


def test_expected_best_is_the_mean_over_all_draws():
    """Every subset, and every sequence with repetition, counted one by one; ties included, axes in front kept."""
    table = np.random.default_rng(0).integers(0, 5, (3, 5)) / 2
    plain, repeated = expected_best(table), expected_best(table, replacement=True)
    for row, scores in enumerate(table):
        for n in range(1, 6):
            assert plain[row, n - 1] == pytest.approx(np.mean([max(c) for c in combinations(scores, n)]))
            assert repeated[row, n - 1] == pytest.approx(np.mean([max(c) for c in product(scores, repeat=n)]))


def test_expected_best_holds_for_many_configurations():
    """The chances of two thousand configurations neither overflow nor vanish."""
    scores = np.arange(2000.0)
    found = expected_best(scores)
    assert (found[0], found[-1]) == pytest.approx((999.5, 1999))
    assert found == pytest.approx(np.arange(1, 2001) / np.arange(2, 2002) * 2001 - 1)


def test_failures_are_no_numbers():
    """As long as only failures may have been drawn there is no expectation; later they count as beaten."""
    found = expected_best(np.array([-np.inf, 0.2, -np.inf, 0.4]))
    assert np.isneginf(found[:2]).all()
    assert found[2:] == pytest.approx([0.3 + 0.05, 0.4])
    assert np.isneginf(expected_best(np.array([-np.inf, 0.2]), replacement=True)).all()


def test_curves_of_rows_average_seeds_and_know_their_direction(rows_of):
    """Seeds first, then the best configuration; of errors the smallest; final rows and other readings do not count."""
    scores = {("t", 5, "m"): {"a": [1.0, 3.0], "b": [4.0, 6.0]}, ("t", 5, "o"): {"a": [1.0, 1.0], "b": [2.0, "oom"]}}
    rows = tuned(rows_of, scores, metric="rmse", higher_is_better=False)
    final = rows_of({("t", 5, "m"): [9.0]}, metric="rmse", higher_is_better=False)
    mine, other = tuning_curves(pa.concat_tables([rows, rows, final]))
    assert (mine.task, mine.target_size, mine.label, mine.metric) == ("t", 5, "m", "rmse")
    assert (mine.expected, mine.seeds, mine.failed, mine.normalised) == ((3.5, 2.0), 2, 0, None)
    assert (other.expected, other.failed) == ((None, 1.0), 1)
    assert tuning_curves(SCHEMA.empty_table()) == []


def test_row_order_does_not_matter(rows_of):
    """Shuffled rows give the same curves, digit for digit."""
    rng = np.random.default_rng(1)
    scores = {
        (task, 5, label): {c: list(rng.random(3)) for c in "abcde"} for task in ("t", "u") for label in ("m", "o")
    }
    rows = tuned(rows_of, scores, tuning_configs=5)
    assert tuning_curves(rows.take(rng.permutation(len(rows)))) == tuning_curves(rows)


@pytest.mark.parametrize(("column", "said"), [("tuning_configs", "2 and 99"), ("tuning_seeds", "2 and 99")])
def test_different_budgets_are_refused_unless_flagged(rows_of, column, said):
    """The message names the task, both methods and what differs; a flag lets them pass."""
    mine, other = ({("t", 5, label): {"a": [0.5], "b": [0.6]}} for label in ("m", "o"))
    rows = pa.concat_tables([tuned(rows_of, mine), tuned(rows_of, other, **{column: 99})])
    with pytest.raises(ResultsError, match=rf"task 't': 'm' and 'o' .*\({column} {said}\)"):
        tuning_curves(rows)
    assert len(tuning_curves(rows, mixed_budgets=True)) == 2


def test_different_steps_are_always_refused(rows_of):
    """Scores after different numbers of steps are not scores of one thing."""
    mine, other = ({("t", 5, label): {"a": [0.5]}} for label in ("m", "o"))
    rows = pa.concat_tables([tuned(rows_of, mine), tuned(rows_of, other, budget_steps=99)])
    with pytest.raises(ResultsError, match="budget_steps"):
        tuning_curves(rows, mixed_budgets=True)


def test_mean_curves_are_normalised_and_over_tasks(rows_of):
    """Between anchors, sizes inside their task, as far as all curves reach; a label that lacks a cell is left out."""
    each = {"t": {"extra": [("anchor_zero", "0.5"), ("anchor_one", "1.0")]}}
    each["u"] = {"extra": [("anchor_zero", "0.0"), ("anchor_one", "1.0")]}
    scores = {("t", 5, "m"): {"a": [0.5], "b": [1.0]}, ("t", 9, "m"): {"a": [1.0], "b": [1.0]}}
    scores |= {("u", 5, "m"): {"a": [0.0], "b": [0.5], "c": [0.5]}, ("t", 5, "o"): {"a": [0.5], "b": [1.0]}}
    curves = tuning_curves(tuned(rows_of, scores, each))
    assert mean_curves(curves) == {"m": pytest.approx(((0.75 + 1 / 3) / 2, (1 + 0.5) / 2))}
    assert mean_curves(tuning_curves(tuned(rows_of, scores))) == {}
