"""Where the source model is a checkpoint: PAC with stand-in data and with none, forgetting, and what the rows say."""

import dataclasses

import pytest
import torch

from harness.plan import facts, final_trials
from harness.source import Store, datasets
from harness.suite import Budget, EngineChoice, Entrant, Final, Suite, Tuning
from harness.trial import run
from methods import METHODS
from tasks.language_modelling import LanguageModelling
from tests.tasks.checkpoints import sentences, write_checkpoint, write_table

STEPS, PROXY_STEPS = 6, 10


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """The same checkpoint and target texts: with texts that stand in for the source's, and without."""
    folder = tmp_path_factory.mktemp("large")
    write_checkpoint(folder / "model", "gpt2", "language")
    write_table(folder / "target.jsonl", {"text": sentences(120, 2)})
    write_table(folder / "source.jsonl", {"text": sentences(80, 5)})
    alone = LanguageModelling(
        model=str(folder / "model"),
        data=str(folder / "target.jsonl"),
        max_tokens=12,
        learning_rate=1e-3,
        batch_size=4,
        proxy_steps=PROXY_STEPS,
    )
    return {"none": alone, "proxy": dataclasses.replace(alone, source=str(folder / "source.jsonl"))}


def row(task, method, store):
    suite = Suite(
        name="here",
        tasks=(task,),
        entrants=(Entrant(method, METHODS[method]()),),
        target_sizes=(10,),
        tuning=Tuning(configs=1, seeds=1),
        final=Final(seeds=1),
        budget=Budget(steps=STEPS),
        engine=EngineChoice(name="plain"),
    )
    (trial,) = final_trials(suite, {cell: cell.entrant.method for cell in _cells(suite)})
    return trial, run(trial, store)


def _cells(suite):
    from harness.plan import cells

    return cells(suite)


@pytest.fixture(scope="module")
def rows(tasks, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("cache"), torch.device("cpu"))
    found = {}
    for given, task in tasks.items():
        for method in ("fine_tuning", "pac", "fine_tuning_allocated", "scratch"):
            found[given, method] = row(task, method, store)
    return found, store


def test_every_trial_is_done_and_names_its_checkpoint(rows, tasks):
    for (given, _), (_, one) in rows[0].items():
        assert one["status"] == "done", one.get("reason")
        assert one["extra"]["checkpoint"] == facts(tasks[given]).checkpoint


def test_the_row_says_what_allocate_trained_on(rows):
    for given, steps in (("none", 0), ("proxy", PROXY_STEPS // 2)):
        for method in ("pac", "fine_tuning_allocated"):
            one = rows[0][given, method][1]
            assert one["extra"]["source_data"] == given
            assert one["source_steps"] == steps
        assert "source_data" not in rows[0][given, "fine_tuning"][1]["extra"]


def test_without_source_data_the_allocated_network_is_the_pruned_checkpoint(rows, tasks):
    trial, _ = rows[0]["none", "pac"]
    store = rows[1]
    source = store.source(trial)
    prepared = store.prepared(trial, source).network
    masks = {name: mask for name, mask in prepared.named_buffers() if name.endswith("_essential")}
    assert masks
    for name, mask in masks.items():
        weight = name.removesuffix("_essential")
        original = source.network.get_parameter(weight)
        assert torch.equal(prepared.get_parameter(weight), torch.where(mask, original, 0.0))
    pruned = sum(int((~mask).sum()) for mask in masks.values())
    assert pruned == round(0.8 * sum(mask.numel() for mask in masks.values()))


def test_forgetting_is_measured_where_source_texts_are_given(rows):
    names = ("score_source_before", "score_source_after")
    for method in ("fine_tuning", "pac"):
        assert all(rows[0]["none", method][1].get(name) is None for name in names)
        assert all(rows[0]["proxy", method][1][name] > 0 for name in names)
    one = rows[0]["proxy", "pac"][1]
    assert one["score_source_recovered"] == pytest.approx(one["score_source_prepared"], rel=1e-6)


def test_no_copy_of_the_checkpoint_is_cached(rows, tasks):
    trial, _ = rows[0]["none", "fine_tuning"]
    held = rows[1]._load(f"source-{trial.source_key}")
    assert held is not None
    assert held["state"] == {}
    assert datasets(tasks["none"]).source_train is None


def test_another_checkpoint_on_a_worker_is_refused(rows, tasks):
    trial, _ = rows[0]["none", "fine_tuning"]
    other = dataclasses.replace(trial, facts=dataclasses.replace(trial.facts, checkpoint="another"))
    one = run(other, rows[1])
    assert one["status"] == "failed"
    assert "expected the same files on all nodes" in one["reason"]
