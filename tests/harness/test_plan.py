"""Packs: what one worker runs together."""

from __future__ import annotations

import dataclasses
from itertools import product

from harness import plan
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
