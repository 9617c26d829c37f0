"""One's own rows beside a stored board: what pairs, what does not, and that the reader is told."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from results.beside import beside
from results.compare import compare
from results.errors import ResultsError
from results.merging import Source

STATED = {"data_hash": "d", "budget_steps": 500, "tuning_configs": 4, "tuning_seeds": 2}


@pytest.fixture
def made(rows_of):
    """Rows of labels with a level each, four seeds on nine tasks; pair keys as this program makes them."""

    def make(levels, each=None, tasks=9, seeds=4, **columns):
        scores = {
            (f"t{t}", 5, label): [level + 0.01 * ((7 * t + 3 * s + len(label)) % 5) for s in range(seeds)]
            for t in range(tasks)
            for label, level in levels.items()
        }
        rows = rows_of(scores, each, **(STATED | columns))
        names = zip(rows["task"].to_pylist(), rows["seed"].to_pylist(), strict=True)
        return put(rows, "pair_key", [f"{task}/{seed}" for task, seed in names])

    return make


def put(rows: pa.Table, column: str, values: list) -> pa.Table:
    index = rows.column_names.index(column)
    return rows.set_column(index, column, pa.array(values, rows.schema.field(column).type))


@pytest.fixture
def board(made):
    return Source("board", made({"base": 0.5, "other": 0.6}))


def test_whole_pairs_are_as_if_run_together(made, board):
    """Where everything pairs, the numbers are those of one campaign with all labels."""
    own = made({"mine": 0.7})
    found = beside(Source("own", own), board, "mine", "base")
    assert (found.trials, found.paired, found.unpaired, found.not_used) == (36, 36, {}, ())
    together = pa.concat_tables([board.rows, own])
    assert compare(found.rows, "base", ["mine"]) == compare(together, "base", ["mine"])


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("data_hash", "e", "another data hash"),
        ("protocol", 2, "another protocol"),
        ("budget_steps", 1000, "another budget_steps"),
        ("task_version", "9", "another version of the task"),
        ("metric", "auc", "another metric"),
    ],
)
def test_one_task_under_other_conditions_is_left_out_and_told(made, board, column, value, reason):
    """Its trials are counted with the reason; the other tasks are compared."""
    stated = Source("board", put(board.rows, "task_version", ["1"] * len(board.rows)))
    own = made({"mine": 0.7}, {("t3", 5, "mine"): {column: value}})
    found = beside(Source("own", own), stated, "mine", "base")
    assert (found.trials, found.paired, found.unpaired) == (36, 32, {reason: 4})
    population = compare(found.rows, "base", ["mine"])[0]
    assert (population.tasks, population.tasks_missing) == (8, 1)


def test_pair_keys_must_agree(made, board):
    """Another source model under the same seed is no pair, where both rows say what their data are."""
    own = made({"mine": 0.7})
    other = put(own, "pair_key", [f"x{key}" for key in own["pair_key"].to_pylist()])
    found = beside(Source("own", other), board, "mine", "base")
    assert (found.paired, found.unpaired) == (0, {"another pair_key: not the same source and split": 36})
    silent = put(other, "data_hash", [None] * len(other))
    assert beside(Source("own", silent), board, "mine", "base").paired == 36


def test_what_the_board_lacks_is_told(made, board):
    """Tasks, sizes and seeds that it has not are counted apart."""
    own = made({"mine": 0.7}, tasks=11, seeds=5)
    own = put(own, "target_size", [7 if task == "t0" else 5 for task in own["task"].to_pylist()])
    found = beside(Source("own", own), board, "mine", "base")
    assert found.paired == 8 * 4
    assert found.unpaired == {
        "the board has no such task": 10,
        "the board has no such seed": 8,
        "the board has no such target size": 5,
    }


def test_another_tuning_budget_pairs_nothing(made, board):
    """A method tuned harder is not compared with published ones; a suite's budget counts, not a pinned method's 1."""
    own = made({"mine": 0.7}, tuning_configs=8)
    found = beside(Source("own", own), board, "mine", "base")
    assert found.unpaired == {"another tuning budget: tuning_configs 8, on the board 4": 36}
    pinned = Source("own", made({"mine": 0.7}, tuning_configs=1), 4)
    assert beside(pinned, board, "mine", "base").paired == 36
    seeds = Source("own", made({"mine": 0.7}, tuning_seeds=5))
    assert beside(seeds, board, "mine", "base").unpaired == {
        "another tuning budget: tuning_seeds 5, on the board 2": 36
    }


def test_the_boards_rows_count_for_its_labels(made, board):
    """A baseline that was run again beside the board is not used; one's own newer candidate is."""
    own = made({"mine": 0.7, "base": 0.1})
    published = Source("board", pa.concat_tables([board.rows, made({"mine": 0.2})]))
    found = beside(Source("own", own), published, "mine", "base")
    assert found.not_used == ("base",)
    means = found.rows.group_by("label").aggregate([("score_test", "mean")])
    by_label = dict(zip(means["label"].to_pylist(), means["score_test_mean"].to_pylist(), strict=True))
    assert by_label["mine"] > 0.65
    assert 0.45 < by_label["base"] < 0.6
    assert compare(found.rows, "base", ["mine"])[0].wins == 9


def test_a_published_candidate_against_an_own_baseline(made, board):
    """The other way round, it is the baseline's trials that must pair."""
    own = made({"plain": 0.4}, {("t3", 5, "plain"): {"data_hash": "e"}})
    found = beside(Source("own", own), board, "other", "plain")
    assert (found.label, found.trials, found.unpaired) == ("plain", 36, {"another data hash": 4})
    assert compare(found.rows, "plain", ["other"])[0].tasks == 8


def test_failed_trials_pair_too(made, board):
    """A failure is a row like any other, and loses its task."""
    own = made({"mine": 0.7}, {("t3", 5, "mine"): {"status": "oom", "score_test": None}})
    found = beside(Source("own", own), board, "mine", "base")
    assert found.paired == 36
    assert compare(found.rows, "base", ["mine"])[0].losses == 1


def test_unknown_labels_are_refused(made, board):
    """The nearest label of either side is offered."""
    own = Source("own", made({"mine": 0.7}))
    with pytest.raises(ResultsError, match=r"--candidate mein: .*did you mean 'mine'"):
        beside(own, board, "mein", "base")
    with pytest.raises(ResultsError, match=r"--baseline bas: .*did you mean 'base'"):
        beside(own, board, "mine", "bas")


def test_tuning_rows_are_no_trials(made, board):
    """Only final rows are paired and counted."""
    own = pa.concat_tables([made({"mine": 0.7}), made({"mine": 0.7}, stage="tune", data_hash="e")])
    found = beside(Source("own", own), board, "mine", "base")
    assert (found.trials, found.unpaired) == (36, {})
    assert pc.all(pc.equal(found.rows["stage"], "final")).as_py()
