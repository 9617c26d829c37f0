"""A key holds everything that changes the number, and nothing else."""

from __future__ import annotations

import dataclasses

import pyarrow.parquet as pq
import pytest

from harness import plan
from harness.known import load_suite
from harness.sharding import Sharding
from methods import METHODS
from tasks import TASKS
from tests.harness.test_isolation import make_trial


@pytest.fixture
def trial():
    return make_trial(TASKS["friedman1"](), METHODS["pac"]())


CHANGES = {
    "stage": "tune",
    "seed": 1,
    "target_size": 30,
    "steps": 4,
    "label": "other",
    "engine": "lanes",
    "sharding": Sharding(),
    "method": METHODS["pac"](penalty=0.5),
    "task": TASKS["friedman1"](shift=2.0),
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_moves_a_score_moves_the_key(field, trial):
    assert dataclasses.replace(trial, **{field: CHANGES[field]}).key != trial.key


@pytest.mark.parametrize(
    ("field", "value"), [("suite", "x"), ("attempt", 2), ("trial_seconds", 1.0), ("engine_reason", "y")]
)
def test_what_cannot_move_a_score_leaves_the_key(field, value, trial):
    assert dataclasses.replace(trial, **{field: value}).key == trial.key


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Sharding)])
def test_all_of_the_sharding_is_in_the_keys_and_not_in_what_a_method_draws(field, trial):
    other = {"ranks": 2, "zero_stage": 1, "precision": "bfloat16", "accumulation": 2}.get(field, True)
    spread = dataclasses.replace(trial, engine="deepspeed", source_engine="deepspeed", sharding=Sharding())
    changed = dataclasses.replace(spread, sharding=Sharding(**{field: other}))
    assert changed.key != spread.key
    assert changed.prepare_key != spread.prepare_key
    assert changed.drawn_by.key == trial.drawn_by.key
    assert (changed.source_key, changed.pair_key) == (trial.source_key, trial.pair_key)


def test_published_rows_keep_their_keys():
    """What the suite `quick` would tune is what its published rows are."""
    suite = load_suite("quick", [])
    published = pq.read_table("docs/results/quick/rows.parquet", columns=["key", "stage"]).to_pylist()
    keys = {row["key"] for row in published if row["stage"] == "tune"}
    assert {trial.key for trial in plan.tune_trials(suite)} == keys


def test_rivals_are_paired(trial):
    """Another method on the same task, size and seed has the same source model, examples, order and head."""
    rival = dataclasses.replace(trial, method=METHODS["l2_sp"](), label="l2_sp")
    assert (rival.source_key, rival.draw_key, rival.pair_key) == (trial.source_key, trial.draw_key, trial.pair_key)
    assert rival.key != trial.key


def test_source_models_are_shared_where_they_can_be(trial):
    """All sizes share one; so do variants that differ in the target only; a source parameter makes another."""
    assert dataclasses.replace(trial, target_size=30).source_key == trial.source_key
    task = TASKS["friedman1"](shift=2.0)
    assert dataclasses.replace(trial, task=task, facts=plan.facts(task)).source_key == trial.source_key
    task = TASKS["friedman1"](width=16)
    assert dataclasses.replace(trial, task=task, facts=plan.facts(task)).source_key != trial.source_key


def test_prepared_networks_are_shared_where_they_can_be(trial):
    """Lambda is not read by prepare; the ratio is."""
    pac = METHODS["pac"]
    assert dataclasses.replace(trial, method=pac(penalty=0.5)).prepare_key == trial.prepare_key
    assert dataclasses.replace(trial, method=pac(prune_ratio=0.5)).prepare_key != trial.prepare_key
    assert dataclasses.replace(trial, target_size=30).prepare_key == trial.prepare_key


def test_the_engine_is_in_the_key_and_not_in_what_a_method_draws(trial):
    """LoRA's adapters start alike on every engine."""
    lanes = dataclasses.replace(trial, engine="lanes", source_engine="lanes")
    mixed = dataclasses.replace(trial, engine="lanes")
    assert len({trial.key, lanes.key, mixed.key}) == 3
    assert trial.drawn_by.key == lanes.drawn_by.key == mixed.drawn_by.key
    assert lanes.prepare_key != trial.prepare_key
    assert lanes.drawn_by.prepare_key == trial.drawn_by.prepare_key


def test_undeclared_prepare_fields_are_all_fields(trial):
    """A method that does not say what its prepare reads shares nothing over its hyper-parameters."""

    @dataclasses.dataclass(frozen=True)
    class Silent(METHODS["fine_tuning"]):
        name = "silent"
        scale: float = 1.0

    one, other = (dataclasses.replace(trial, method=Silent(scale=scale)) for scale in (1.0, 0.5))
    assert one.prepare_key != other.prepare_key
