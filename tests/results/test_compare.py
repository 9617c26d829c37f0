"""From rows to claims: what each number means, what is refused, what does not matter."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from results.compare import compare, compare_per_task
from results.errors import ResultsError
from results.schema import SCHEMA
from results.statistics import mean_of_sample

SEEDS = st.integers(0, 2**32 - 1)


def anchors(zero: float, one: float, **more: str) -> dict[str, object]:
    return {"extra": [("anchor_zero", str(zero)), ("anchor_one", str(one)), *more.items()]}


def campaign(seed: int = 0, tasks: int = 8, seeds: int = 3, effect: float = 0.1) -> dict[tuple[str, int, str], list]:
    """Scores of a baseline, a better and a like method."""
    rng = np.random.default_rng(seed)
    level, noise = rng.uniform(0.5, 0.7, tasks), rng.normal(0, 0.01, (tasks, 3, seeds))
    shift = {"base": 0.0, "good": effect, "like": 0.0}
    return {
        (f"t{t}", 50, label): list(level[t] + shift[label] + noise[t, i])
        for t in range(tasks)
        for i, label in enumerate(shift)
    }


def headline(rows: pa.Table, candidate: str, question: str = "population", size: int | None = None, **options):
    found = compare(rows, "base", **options)
    return next(c for c in found if (c.candidate, c.question, c.target_size) == (candidate, question, size))


# --- published numbers through rows ---


def test_demsar_through_foreign_rows(demsar):
    """Imported rows, null but for what they must say, give the published test of C4.5 against C4.5+m."""
    population, fixed = compare(demsar.rows(demsar.printed), "C4.5", ["C4.5+m"])
    assert population.p_value == pytest.approx(30 / 4096, abs=1e-15)
    assert population.p_holm == pytest.approx(3 * 30 / 4096)
    assert (population.wins, population.ties, population.losses) == (10, 2, 2)
    assert (population.tasks, population.seeds, population.unit, population.verdict) == (14, 1, "auc", "better")
    assert population.mean_difference == pytest.approx(np.diff(demsar.printed[:, :2]).mean())
    assert (fixed.question, fixed.interval_low, fixed.p_value, fixed.verdict) == ("fixed", None, None, "undecided")
    assert "fewer than two common seeds" in fixed.note


# --- what the numbers mean ---


def test_population_is_a_t_interval_and_a_signed_rank_test_over_tasks(rows_of):
    """Seeds are averaged inside a task first; the interval is scipy's over task means."""
    scores = campaign()
    means = {key: np.mean(value) for key, value in scores.items()}
    differences = np.array([means[f"t{t}", 50, "good"] - means[f"t{t}", 50, "base"] for t in range(8)])
    found = headline(rows_of(scores), "good")
    expected = stats.ttest_1samp(differences, 0).confidence_interval()
    assert (found.interval_low, found.interval_high) == pytest.approx(tuple(expected))
    narrow = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    assert (found.interval90_low, found.interval90_high) == pytest.approx(tuple(narrow))
    detectable = mean_of_sample(differences).smallest_detectable(0.05 / 2)
    assert found.smallest_detectable == pytest.approx(detectable)
    assert found.p_value == pytest.approx(2 / 2**8)
    assert found.verdict == "better"
    assert (found.tasks, found.seeds, found.wins, found.probability_better) == (8, 3, 8, 1.0)


def test_fixed_question_asks_about_other_seeds(rows_of):
    """On one task it is the paired t test over seeds; the population question has no interval there."""
    rows = rows_of({("t", 50, "base"): [0.1, 0.2, 0.4], ("t", 50, "good"): [0.3, 0.5, 0.6]})
    fixed, population = headline(rows, "good", "fixed"), headline(rows, "good")
    assert fixed.p_value == pytest.approx(stats.ttest_rel([0.3, 0.5, 0.6], [0.1, 0.2, 0.4]).pvalue)
    assert fixed.verdict == "better"
    assert (population.interval_low, population.smallest_detectable, population.verdict) == (None, None, "undecided")
    assert "1 task cannot decide" in population.note


def test_sums_in_another_order_are_ties(rows_of):
    """The same seeds' scores in another order, or cells that cancel, are no difference, in one unit and in several."""
    order = {("t", 5, "base"): [0.1, 0.3, 0.7], ("t", 5, "good"): [0.7, 0.1, 0.3]}
    assert np.mean(np.subtract(order["t", 5, "good"], order["t", 5, "base"])) != 0
    mixed = {("u", 5, "base"): [0.1], ("u", 5, "good"): [0.2]}
    assert headline(rows_of(order), "good").ties == 1
    assert headline(rows_of(order | mixed, {"u": {"metric": "auc"}}), "good").ties == 1
    cells = {("t", size, label): [0.5] for size in (5, 6, 7) for label in ("base", "good")}
    cells |= {("t", 5, "good"): [0.6], ("t", 6, "good"): [0.7], ("t", 7, "good"): [0.2]}
    assert headline(rows_of(cells), "good").ties == 1


def test_differences_that_do_not_vary_prove_nothing(rows_of):
    """Equal differences on all seeds, whatever their rounding, give the fixed question no p value and no verdict."""
    for base in ([0.1, 0.2, 0.7], [0.2, 0.2, 0.2]):
        good = [round(score + 0.2, 1) for score in base]
        found = headline(rows_of({("t", 5, "base"): base, ("t", 5, "good"): good}), "good", "fixed")
        assert (found.mean_difference, found.p_value, found.verdict) == (pytest.approx(0.2), None, "undecided")


def test_fixed_question_takes_whole_seeds(rows_of):
    """Seeds that lack one of a task's sizes stay out of the error over seeds, as do tasks that a failure decides."""
    scores = {("t", size, label): [0.1, 0.2, 0.4, 0.4] for size in (5, 50) for label in ("base", "good")}
    scores |= {("t", 5, "good"): [0.2, 0.5, 0.5, 0.6], ("t", 50, "good"): [0.2, 0.3, 0.7]}
    found = headline(rows_of(scores), "good", "fixed")
    expected = stats.ttest_1samp([0.1, 0.2, 0.2], 0)
    assert (found.interval_low, found.interval_high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)
    scores |= {("u", size, label): [0.5] * 3 for size in (5, 50) for label in ("base", "good")}
    failing = headline(rows_of(scores | {("u", 5, "good"): ["oom"] * 3}), "good", "fixed")
    assert (failing.interval_low, failing.p_value) == (found.interval_low, None)


def test_verdicts(rows_of):
    """Better and worse by Holm, equivalent by the 90 % interval inside the margin, else undecided."""
    rows = rows_of(campaign())
    assert headline(rows, "like").verdict == "undecided"
    assert headline(rows, "like", margin=0.05).verdict == "equivalent"
    assert headline(rows, "like", margin=1e-6).verdict == "undecided"
    back = {c.candidate: c for c in compare(rows, "good") if c.target_size is None and c.question == "population"}
    assert back["base"].verdict == "worse"


def test_holm_is_over_all_labels_whichever_are_asked_for(rows_of):
    """Asking for one candidate does not make its p smaller."""
    rows = rows_of(campaign(effect=0.01))
    alone = compare(rows, "base", ["good"])
    assert alone == [c for c in compare(rows, "base") if c.candidate == "good"]


def test_lower_is_better_is_turned(rows_of):
    """With a metric of errors, the smaller one wins."""
    rows = rows_of(campaign(), metric="rmse", higher_is_better=False)
    found = headline(rows, "good")
    assert (found.verdict, found.unit) == ("worse", "rmse")
    assert found.mean_difference < 0


def test_anchors_normalise_either_direction(rows_of):
    """(score - zero) / (one - zero), for accuracies and errors alike."""
    scores = {("a", 9, "base"): [0.5], ("a", 9, "good"): [0.7], ("b", 9, "base"): [3.0], ("b", 9, "good"): [2.0]}
    wrong = {"metric": "rmse", "higher_is_better": False} | anchors(4, 2)
    found = headline(rows_of(scores, {"a": anchors(0.4, 0.8), "b": wrong}), "good")
    assert (found.unit, found.tasks) == ("normalised", 2)
    assert found.mean_difference == pytest.approx((0.5 + 0.5) / 2)


def test_mixed_units_without_anchors_leave_the_sign_test(rows_of):
    """No mean of accuracies and errors: wins, sign test and a note."""
    scores = campaign()
    errors = {f"t{t}": {"metric": "rmse", "higher_is_better": False} for t in range(4)}
    found, fixed = (headline(rows_of(scores, errors), "good", question) for question in ("population", "fixed"))
    assert (found.wins, found.losses, found.p_value) == (4, 4, 1.0)
    assert (found.unit, found.mean_difference, found.hodges_lehmann, found.interval90_low) == (None, None, None, None)
    assert "sign test" in found.note
    assert (fixed.p_value, fixed.verdict) == (None, "undecided")


def test_an_unknown_metric_is_no_common_unit(rows_of):
    """Rows that do not name their metric are compared by wins only."""
    assert headline(rows_of(campaign(), metric=None), "good").mean_difference is None


def test_variants_and_target_sizes_are_averaged_into_one_task(rows_of):
    """Shifts of one task count once where the task has anchors; without them each id is a task."""
    scores = {
        (task, size, label): [value]
        for task, value in (("t(shift=1)", 0.1), ("t(shift=2)", 0.5), ("u", 0.4))
        for size in (5, 50)
        for label in ("base", "good")
    }
    scores["t(shift=1)", 5, "good"] = [0.5]
    each = dict.fromkeys(("t(shift=1)", "t(shift=2)", "u"), anchors(0, 1))
    found = headline(rows_of(scores, each), "good")
    assert (found.tasks, found.wins, found.ties) == (2, 1, 1)
    assert found.mean_difference == pytest.approx(0.4 / 4 / 2)
    assert headline(rows_of(scores), "good").tasks == 3
    assert headline(rows_of(scores, each), "good", size=50).ties == 2


def test_controls_and_useless_anchors_are_shown_but_not_averaged(rows_of):
    """They enter no claim over tasks, and each has its own line."""
    each = {"t0": {"extra": [("role", "negative_control")]}, "t1": anchors(0.6, 0.6), "t2": anchors(0.7, 0.6)}
    rows = rows_of(campaign(), each)
    found = headline(rows, "good")
    assert found.tasks == 5
    assert "t1, t2" in found.note
    assert len(compare_per_task(rows, "base", ["good"])) == 8


# --- failures and gaps ---


def test_a_failure_loses_its_task(rows_of):
    """One seed that is not done: a loss with the largest rank; the mean is over the other tasks, as the note says."""
    scores = campaign(tasks=9, effect=0.2)
    scores["t0", 50, "good"][1] = "diverged"
    found, fixed = (headline(rows_of(scores), "good", question) for question in ("population", "fixed"))
    assert (found.tasks, found.wins, found.losses, found.tasks_failed) == (9, 8, 1, 1)
    assert found.p_value == stats.wilcoxon([*range(1, 9), -9]).pvalue
    assert found.mean_difference > 0.15
    assert "Failures decide 1 task;" in found.note
    assert (fixed.p_value, fixed.verdict) == (None, "undecided")
    assert found.probability_better == pytest.approx(8 / 9)


def test_failures_forbid_equivalence_and_tie_when_shared(rows_of):
    """A method that fails is not equivalent to one that does not; where both fail, neither wins."""
    scores = campaign()
    scores["t0", 50, "like"] = ["oom", "oom", "oom"]
    assert headline(rows_of(scores), "like", margin=0.05).verdict == "undecided"
    scores["t0", 50, "base"] = ["failed", "failed", "failed"]
    shared = headline(rows_of(scores), "like", margin=0.05)
    assert (shared.tasks_failed, shared.ties, shared.verdict) == (0, 1, "equivalent")


def test_a_score_that_is_not_finite_is_a_failure(rows_of):
    """A done row with NaN loses; a done row without score is missing."""
    scores = campaign()
    scores["t0", 50, "good"] = [math.nan] * 3
    scores["t1", 50, "good"] = [None] * 3
    found = headline(rows_of(scores), "good")
    assert (found.tasks, found.losses, found.tasks_missing) == (7, 1, 1)


def test_declined_and_absent_are_missing(rows_of):
    """Neither counts for or against; coverage is told."""
    scores = campaign()
    scores["t0", 50, "good"] = ["declined"] * 3
    del scores["t1", 50, "good"]
    found = headline(rows_of(scores), "good")
    assert (found.tasks, found.losses, found.tasks_missing) == (6, 0, 2)
    assert "Only 6 of 8 tasks" in found.note


def test_only_common_seeds_are_compared(rows_of):
    """A seed that one side lacks does not shift the difference; cells without a common seed are left out."""
    scores = {("t", 5, "base"): [0.1, 0.2, 9.0], ("t", 5, "good"): [0.2, 0.3], ("u", 5, "base"): [0.1, None]}
    scores["u", 5, "good"] = [None, 0.4]
    found = headline(rows_of(scores), "good")
    assert (found.tasks, found.seeds) == (1, 2)
    assert found.mean_difference == pytest.approx(0.1)
    assert "1 cell has no common seed" in found.note


def test_labels_without_a_common_task_are_undecided(rows_of):
    """Nothing is invented where nothing can be compared."""
    rows = rows_of({("t", 5, "base"): [0.1, 0.2], ("u", 5, "good"): [0.1, 0.2]})
    for found in compare(rows, "base", margin=0.1):
        assert (found.tasks, found.seeds, found.p_value, found.verdict) == (0, 0, None, "undecided")
        assert (found.mean_difference, found.interval_low, found.probability_better) == (None, None, None)
    assert compare_per_task(rows, "base") == []


def test_tuning_and_exploratory_rows_do_not_count(rows_of):
    """Only final rows of the protocol enter."""
    rows, scores = rows_of(campaign()), campaign(seed=1, effect=-0.5)
    extra = [rows_of(scores, stage="tune"), rows_of(scores, exploratory=True)]
    assert compare(pa.concat_tables([rows, *extra]), "base") == compare(rows, "base")


# --- per task ---


def test_per_task_is_the_paired_t_test_in_native_units(rows_of):
    """Signed so that positive means better, Holm inside the cell."""
    scores = {("t", 5, "base"): [3.0, 4.0, 6.0], ("t", 5, "good"): [1.0, 3.5, 4.0], ("t", 5, "like"): [3.1, 3.9, 6.0]}
    good, like = compare_per_task(rows_of(scores, metric="rmse", higher_is_better=False), "base")
    reference = stats.ttest_rel([3.0, 4.0, 6.0], [1.0, 3.5, 4.0])
    assert good.differences == (2.0, 0.5, 2.0)
    assert (good.seeds, good.seed_values, good.metric, good.mean_difference) == (3, (0, 1, 2), "rmse", 1.5)
    assert (good.interval_low, good.interval_high) == pytest.approx(tuple(reference.confidence_interval()))
    assert good.p_value == pytest.approx(reference.pvalue)
    assert good.p_holm == pytest.approx(2 * reference.pvalue)
    assert like.p_holm == pytest.approx(like.p_value)


def test_per_task_shows_failures_and_does_not_test_them(rows_of):
    """The seeds that both finished are shown; there is no p value beside a failure, nor with one seed."""
    rows = rows_of({("t", 5, "base"): [0.1, 0.2, "oom"], ("t", 5, "good"): [0.2, 0.4, 0.5], ("t", 5, "like"): [0.3]})
    good, like = compare_per_task(rows, "base")
    assert (good.baseline_failures, good.candidate_failures, good.p_value, good.seeds) == (1, 0, None, 2)
    assert (like.interval_low, like.p_value, like.seeds) == (None, None, 1)


# --- refusals ---


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("data_hash", ("x", "y")),
        ("budget_steps", (1, 2)),
        ("protocol", (1, 2)),
        ("metric", ("auc", "accuracy")),
        ("higher_is_better", (True, False)),
        ("task_version", ("1", "2")),
    ],
)
def test_rows_made_under_different_conditions_are_refused(rows_of, column, values):
    """One clear message names what differs; a column that some rows leave null is no difference."""
    each = {("t0", 50, "base"): {column: values[0]}, ("t0", 50, "good"): {column: values[1]}}
    with pytest.raises(ResultsError, match=column):
        compare(rows_of(campaign(), each), "base")
    if column not in ("protocol", "metric", "higher_is_better"):
        compare(rows_of(campaign(), {("t0", 50, "base"): {column: values[0]}}), "base")


def test_one_trial_twice_with_different_results_is_refused(rows_of):
    """Repeated rows are one trial; contradicting ones are named."""
    rows, scores = rows_of(campaign()), campaign()
    assert compare(pa.concat_tables([rows, rows]), "base") == compare(rows, "base")
    for other in (0.123, "failed"):
        scores["t3", 50, "good"][2] = other
        with pytest.raises(ResultsError, match=r"'t3'.*'good'.*seed 2.*two rows"):
            compare(pa.concat_tables([rows, rows_of(scores)]), "base")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "bsae"}, "baseline 'bsae'.*did you mean 'base'"),
        ({"baseline": "base", "candidates": ["goood"]}, "candidate 'goood'.*did you mean 'good'"),
        ({"baseline": "base", "candidates": ["base"]}, "is the baseline"),
        ({"baseline": "base", "margin": -1.0}, "margin -1.0"),
        ({"baseline": "base", "margin": math.nan}, "margin nan"),
    ],
)
def test_bad_questions_are_refused(rows_of, options, message):
    """The message says what was given and the nearest valid name."""
    with pytest.raises(ResultsError, match=message):
        compare(rows_of(campaign()), **options)


def test_rows_that_cannot_be_placed_are_refused(rows_of):
    """No task, no label, no direction, no numeric anchor, no rows: one message each."""
    for columns, message in (
        ({"task": None}, "has no task"),
        ({"label": None, "method": None}, "has no label"),
        ({"higher_is_better": None}, "whether a higher score is better"),
        (anchors(0, 1) | {"extra": [("anchor_zero", "low")]}, "anchor_zero 'low'"),
    ):
        with pytest.raises(ResultsError, match=message):
            compare(rows_of({("t", 5, "base"): [0.1]}, {("t", 5, "base"): columns}), "base")
    with pytest.raises(ResultsError, match="has no final rows"):
        compare(SCHEMA.empty_table(), "base")


# --- what does not matter ---


def shaped(seed: int, rows_of) -> pa.Table:
    """A table with gaps, failures, sizes, variants and ties."""
    rng = np.random.default_rng(seed)
    scores = {
        (f"{task}(shift={shift})", size, label): [
            str(rng.choice(["oom", "declined"])) if rng.random() < 0.04 else float(rng.integers(0, 9)) / 10
            for _ in range(3)
        ]
        for task in "abcdefg"
        for shift in (1, 2)
        for size in (5, 50)
        for label in ("base", "p", "q")
        if rng.random() < 0.95
    }
    return rows_of(scores, **anchors(0.1, 0.9))


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_row_order_does_not_matter(rows_of, seed):
    """Shuffled rows give identical claims, digit for digit."""
    rows = shaped(seed, rows_of)
    shuffled = rows.take(np.random.default_rng(seed).permutation(len(rows)))
    assert compare(shuffled, "base", margin=0.1) == compare(rows, "base", margin=0.1)
    assert compare_per_task(shuffled, "base") == compare_per_task(rows, "base")


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_swapping_the_sides_turns_every_number(rows_of, seed):
    """A against B is B against A with the sign turned."""
    rows = shaped(seed, rows_of)
    for there, back in zip(compare(rows, "base", ["p"]), compare(rows, "p", ["base"]), strict=True):
        assert (there.wins, there.losses, there.p_value) == (back.losses, back.wins, back.p_value)
        for turned in ("mean_difference", "hodges_lehmann"):
            one, other = getattr(there, turned), getattr(back, turned)
            assert (one is None) == (other is None)
            assert one is None or one == pytest.approx(-other, abs=1e-12)
        if there.interval_low is not None:
            assert there.interval_low == pytest.approx(-back.interval_high, abs=1e-12)
        assert there.probability_better == pytest.approx(1 - back.probability_better)


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_names_do_not_matter(rows_of, seed):
    """Other names of tasks and labels, in another alphabetical order, give the same numbers."""
    rows = shaped(seed, rows_of)
    task = pa.array([f"{chr(200 - ord(t[0]))}{t[1:]}" for t in rows["task"].to_pylist()])
    label = pa.array([{"base": "z", "p": "y", "q": "x"}[name] for name in rows["label"].to_pylist()])
    renamed = rows.set_column(rows.column_names.index("task"), "task", task)
    renamed = renamed.set_column(rows.column_names.index("label"), "label", label)
    for here, there in zip(compare(rows, "base", ["p"]), compare(renamed, "z", ["y"]), strict=True):
        for field in ("wins", "ties", "losses", "p_value", "p_holm", "verdict", "tasks", "seeds"):
            assert getattr(here, field) == pytest.approx(getattr(there, field))


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_a_method_is_equivalent_to_itself(rows_of, seed):
    """A copy of the baseline under another label ties everywhere and is told neither better nor worse."""
    rows = shaped(seed, rows_of)
    copy = rows.filter(pa.compute.equal(rows["label"], "base"))
    names = pa.array(["copy"] * len(copy), pa.string())
    both = pa.concat_tables([rows, copy.set_column(rows.column_names.index("label"), "label", names)])
    for found in compare(both, "base", ["copy"], margin=0.01):
        assert (found.wins, found.losses, found.mean_difference) == (0, 0, 0.0)
        assert found.p_value in (1.0, None)
        assert found.verdict == "equivalent" or found.interval_low is None


def test_claims_are_json(rows_of):
    """Each claim is a flat document without NaN or infinity."""
    rows = shaped(3, rows_of)
    for claim in (*compare(rows, "base", margin=0.1), *compare_per_task(rows, "base")):
        json.dumps(dataclasses.asdict(claim), allow_nan=False)


def test_a_verdict_of_ranks_says_so_where_the_mean_includes_zero(rows_of):
    """One task far the other way: the signed ranks decide, the mean does not."""
    scores = {}
    for task in range(12):
        gain = -0.45 if task == 0 else 0.01 + 0.001 * task
        scores[(f"t{task:02}", 10, "a")] = [0.5, 0.5, 0.5]
        scores[(f"t{task:02}", 10, "b")] = [0.5 + gain + noise for noise in (-0.001, 0.0, 0.001)]
    found = [c for c in compare(rows_of(scores), "a") if c.question == "population" and c.target_size is None]
    assert found[0].verdict == "better"
    assert found[0].interval_low < 0 < found[0].interval_high
    assert "the interval of their mean includes 0" in found[0].note


@pytest.mark.parametrize("scale", [1.0, 1e9, 1e13])
def test_wins_without_a_common_unit_do_not_depend_on_scale(rows_of, scale):
    scores = {}
    for task in range(10):
        for label, gain in (("a", 0.0), ("b", 0.3)):
            scores[(f"t{task}", 10, label)] = [scale * (1 + gain + 0.01 * seed) for seed in range(3)]
    rows = rows_of(scores, metric=None)
    found = [c for c in compare(rows, "a") if c.question == "population" and c.target_size is None]
    assert (found[0].wins, found[0].ties, found[0].losses) == (10, 0, 0)
