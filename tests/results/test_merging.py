"""Rows of several places: what may be mixed, what is refused and how that is said."""

from __future__ import annotations

import pyarrow as pa
import pytest

from results.compare import compare
from results.errors import ResultsError
from results.merging import Source, merged

LABELS = ("base", "good")


@pytest.fixture
def campaign(rows_of):
    """Rows of some labels on some tasks, as this program makes them: data hash, budgets and pair keys are stated."""

    def make(tasks=("t", "u"), labels=LABELS, seeds=2, **columns):
        scores = {(task, 5, label): [0.5 + 0.1 * s for s in range(seeds)] for task in tasks for label in labels}
        stated = {"data_hash": "d", "budget_steps": 500, "tuning_configs": 4, "tuning_seeds": 2}
        rows = rows_of(scores, **(stated | columns))
        pairs = [f"{t}/{s}" for t, s in zip(rows["task"].to_pylist(), rows["seed"].to_pylist(), strict=True)]
        return rows.set_column(rows.column_names.index("pair_key"), "pair_key", pa.array(pairs))

    return make


def put(rows: pa.Table, column: str, values: list) -> pa.Table:
    index = rows.column_names.index(column)
    return rows.set_column(index, column, pa.array(values, rows.schema.field(column).type))


def test_other_tasks_and_other_labels_join(campaign):
    """Tasks and labels of two campaigns make one table, in any order of the two."""
    whole = campaign(tasks=("t", "u"), labels=("base", "good", "new"))
    parts = [campaign(tasks=("t",)), campaign(tasks=("u",)), campaign(labels=("new",))]
    sources = [Source(f"runs/{i}", part) for i, part in enumerate(parts)]
    for given in (sources, sources[::-1]):
        rows = merged(given)
        assert len(rows) == len(whole)
        assert compare(rows, "base") == compare(whole, "base")


def test_a_trial_of_two_places_counts_once(campaign):
    """The same key with the same result is one trial."""
    rows = campaign()
    both = merged([Source("a", rows), Source("b", rows)])
    assert len(both) == len(rows)
    assert compare(both, "base") == compare(rows, "base")


def test_a_trial_with_two_results_is_refused(campaign):
    """The same key with another result is named, with both values."""
    rows = campaign()
    other = put(rows, "score_test", [value + 1e-9 for value in rows["score_test"].to_pylist()])
    with pytest.raises(ResultsError, match=r"one trial has two results \(and 7 more like it\).*0\.5.*key t/5/base/0"):
        merged([Source("a", rows), Source("b", other)])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"protocol": 2}, "protocol is 1 in runs/a, 2 in runs/b"),
        ({"budget_steps": 1000}, "budget_steps is 500 in runs/a, 1,?000 in runs/b"),
        ({"tuning_configs": 8}, "tuning_configs is 4 in runs/a, 8 in runs/b"),
        ({"tuning_seeds": 3}, "tuning_seeds is 2 in runs/a, 3 in runs/b"),
        ({"data_hash": "e"}, r"task t: data_hash is d in runs/a, e in runs/b \(and 1 more task\)"),
        ({"metric": "auc"}, "metric is accuracy in runs/a, auc in runs/b"),
        ({"higher_is_better": False}, "higher_is_better is True in runs/a, False in runs/b"),
    ],
)
def test_other_conditions_are_refused(campaign, columns, message):
    """One message names what differs and where; nothing is averaged."""
    sources = [Source("runs/a", campaign()), Source("runs/b", campaign(labels=("new",), **columns))]
    with pytest.raises(ResultsError, match=message):
        merged(sources)


def test_one_label_is_one_version_of_one_method(campaign):
    """A method's code that was changed is another method, over other tasks too."""
    first, second = campaign(tasks=("t",)), campaign(tasks=("u",), method_version="2")
    with pytest.raises(ResultsError, match=r"method base: method_version is 1 in a, 2 in b \(and 1 more method\)"):
        merged([Source("a", put(first, "method_version", ["1"] * len(first))), Source("b", second)])


def test_budgets_differ_over_other_tasks_too(campaign):
    """Two suites of different steps do not share an average even where they share no task."""
    with pytest.raises(ResultsError, match="budget_steps is 500 in a, 1000 in b"):
        merged([Source("a", campaign(tasks=("t",))), Source("b", campaign(tasks=("u",), budget_steps=1000))])


def test_all_that_differs_is_said_at_once(campaign):
    """A reader mends everything in one go."""
    other = campaign(labels=("new",), protocol=2, budget_steps=1000, data_hash="e")
    with pytest.raises(ResultsError, match=r"protocol.*; budget_steps.*; task t: data_hash.*Read them apart"):
        merged([Source("a", campaign()), Source("b", other)])


def test_other_source_models_are_refused(campaign):
    """Equal seeds of another source or split are no pair."""
    other = campaign(labels=("new",))
    other = put(other, "pair_key", [f"{key}/other" for key in other["pair_key"].to_pylist()])
    with pytest.raises(ResultsError, match="task t, target size 5, seed 0: pair_key differs between a and b"):
        merged([Source("a", campaign()), Source("b", other)])


def test_what_is_not_stated_does_not_differ(campaign):
    """Foreign rows say neither data nor budget."""
    silent = campaign(labels=("new",), data_hash=None, budget_steps=None, tuning_configs=None, tuning_seeds=None)
    silent = put(silent, "pair_key", [f"foreign/{i}" for i in range(len(silent))])
    assert len(merged([Source("a", campaign()), Source("b", silent)])) == 12


def test_a_method_without_anything_to_tune_joins_where_the_suites_agree(campaign):
    """The suite's budget counts, not how many configurations a method happens to have."""
    pinned = campaign(labels=("new",), tuning_configs=1)
    assert len(merged([Source("a", campaign(), 4), Source("b", pinned, 4)])) == 12
    with pytest.raises(ResultsError, match="tuning_configs is 4 in a, 1 in b"):
        merged([Source("a", campaign(), 4), Source("b", pinned)])


def test_tuning_rows_may_differ(campaign):
    """Only final rows are compared, so only they are looked at."""
    tuning = campaign(labels=("new",), stage="tune", protocol=2, data_hash="e")
    assert len(merged([Source("a", campaign()), Source("b", tuning)])) == 12
