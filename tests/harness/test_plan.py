"""Packs: what one worker runs together."""

from __future__ import annotations

import dataclasses
import json
from itertools import product
from pathlib import Path

from harness import plan
from harness.engines.rule import LANES_UP_TO, choose, step_size
from harness.suite import parse
from methods import METHODS
from tasks import TASKS
from tests.harness.test_isolation import make_trial

SEEDS = range(20)


def trials(engine, sizes=(25, 30, 100)):
    """Every combination of two labels, target sizes and seeds on a task that trains in batches of 16."""
    made = [
        dataclasses.replace(make_trial(TASKS["digits_new_classes"](), METHODS[name](), n=n, seed=seed), engine=engine)
        for name, n, seed in product(("fine_tuning", "pac"), sizes, SEEDS)
    ]
    assert made[0].task.recipe.batch_size == 16
    return made


def test_lanes_share_a_pack_whatever_their_label_and_size_if_their_batches_have_one_shape():
    small = trials("lanes", sizes=(10,))  # eight training examples: a batch of its own shape
    packs = plan.packs([*small, *trials("lanes", sizes=(25, 30))], slots=1)
    assert [len(pack.trials) for pack in packs] == [40, 40, 40]
    assert {t.target_size for t in packs[0].trials} == {10}
    assert {t.label for pack in packs[1:] for t in pack.trials} == {"fine_tuning", "pac"}


def test_packs_are_equal_parts_for_every_slot_and_lose_no_trial():
    made = trials("lanes")
    packs = plan.packs(made, slots=2)
    assert len(packs) % 2 == 0
    assert {len(pack.trials) for pack in packs} == {len(made) // len(packs)}
    assert max(len(pack.trials) for pack in packs) <= plan.PACK_LANES["cpu"]
    assert [trial for pack in packs for trial in pack.trials] == made


def test_plain_trials_of_one_seed_share_a_pack_and_its_source_model():
    packs = plan.packs(trials("plain"), slots=2)
    assert len(packs) == 2 * len(SEEDS)
    assert all(len({(t.label, t.seed) for t in pack.trials}) == 1 for pack in packs)


def test_source_models_are_trained_once_and_prepared_once_where_they_are_lanes():
    """Each source model and each prepared network has one place where it is made before the trials that share it."""
    finals = [dataclasses.replace(trial, source_engine="lanes") for trial in trials("lanes")]
    (pack,) = plan.source_packs(finals, [trial for trial in finals if trial.seed < 3])
    assert len(pack.trials) == len({trial.source_key for trial in pack.trials}) == len(SEEDS)
    assert [trial.prepare_key for trial in pack.prepare] == [
        trial.prepare_key for trial in finals[60:] if trial.seed < 3 and trial.target_size == 25
    ]
    (again,) = plan.source_packs([], finals[60:])  # the source models are there already
    assert len(again.prepare) == len(again.trials) == len(SEEDS)
    alone = plan.source_packs(trials("plain"), trials("plain"))
    assert len(alone) == len(SEEDS)
    assert not any(pack.prepare for pack in alone)


def test_the_plan_counts_source_models_and_not_their_packs(pacbench, small_suite):
    """Three seeds, of tuning and final, are three source models, which are trained in one pack as lanes."""
    found = json.loads(pacbench("plan", small_suite, "--json").stdout)
    assert found["source_models"] == 3
    alone = json.loads(pacbench("plan", small_suite, "--json", "--set", "engine.name=plain").stdout)
    assert alone["source_models"] == 3


def test_networks_that_hold_objects_of_their_own_are_left_to_the_plain_engine():
    """Each would be the only lane of its computation; small enough for lanes they are."""
    for task in (TASKS["tiny_text_classifier"](), TASKS["tiny_language_model"](architecture="llama")):
        engine = choose(task, 16, "cpu", "auto")
        assert engine.name == "plain"
        assert "no two networks" in engine.reason
        assert step_size(task, 16)[0] < LANES_UP_TO["cpu"][0]
    assert choose(TASKS["friedman1"](), 16, "cpu", "auto").name == "lanes"


def test_the_engine_is_chosen_by_a_steps_arithmetic_whatever_the_number_of_examples():
    """A step takes one batch, so a larger target size does not make it larger."""
    tables = {"resources": {"gpus": 0.0}, "final": {"seeds": 1}}
    named = {"name": "a", "tasks": ["code_to_english"], "methods": ["fine_tuning"], "target_sizes": [25, 1000]}
    suite = parse({**named, **tables}, "here", Path(), METHODS, TASKS)
    small, large = plan.final_trials(suite, {cell: cell.entrant.method for cell in plan.cells(suite)})
    assert (large.engine, large.engine_reason) == (small.engine, small.engine_reason)
    assert small.engine == "lanes"
