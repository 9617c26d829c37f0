"""What --save-models keeps: the deployed network of each final trial, loading where such networks are loaded."""

import dataclasses
import json
import os
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from harness import deployed, pretrained, seeds
from harness.errors import UserError
from harness.plan import cells, final_trials, tune_trials
from harness.predictions import PREDICTIONS
from harness.source import Store, datasets
from harness.suite import Budget, EngineChoice, Entrant, Final, Suite, Tuning
from harness.task import target_network
from harness.trial import RESERVED, run, run_pack
from methods import METHODS
from results.place import Bucket
from tasks.friedman1 import Friedman1
from tests.harness.test_disk_full import fill_up, small_disk
from tests.tasks.checkpoints import AUTO, sentences
from tests.tasks.test_pretrained import CASES, make

__all__ = ["small_disk"]  # a fixture

AS_A_USER = {"bert": "text", "gpt2": "language", "gpt2 classifier": "text", "llama": "language", "vit": "image"}


def suite_of(task, *methods, engine="plain", configs=1, steps=6):
    entrants = tuple(Entrant(name, METHODS[name]()) for name in methods)
    tables = {"tuning": Tuning(configs=configs, seeds=1), "final": Final(seeds=1), "budget": Budget(steps=steps)}
    return Suite("here", (task,), entrants, (10,), engine=EngineChoice(name=engine), **tables)


def finals(suite):
    return final_trials(suite, {cell: cell.entrant.method for cell in cells(suite)})


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "cache", torch.device("cpu"))
    made.models = tmp_path / "out" / "models"
    return made


def predicted(row):
    return torch.from_numpy(row[PREDICTIONS]["prediction"]).view(row[PREDICTIONS]["shape"])


@pytest.mark.parametrize(
    ("case", "method"),
    [*((case, "lora") for case in AS_A_USER), ("gpt2", "fine_tuning"), ("llama", "pac"), ("vit", "pac")],
)
def test_a_model_of_transformers_loads_in_plain_transformers_with_equal_outputs(case, method, store, tmp_path):
    task, _ = make(case, tmp_path)
    (trial,) = finals(suite_of(task, method))
    row = run(trial, store)
    assert row["status"] == "done", row["reason"]
    assert row["extra"]["saved_model"] == f"models/{trial.key}"
    folder = store.models / trial.key
    assert (folder / "model.safetensors").is_file()
    library = pretrained.library()
    model = getattr(library, AUTO[AS_A_USER[case]]).from_pretrained(folder, local_files_only=True).eval()
    if case == "vit":
        assert json.loads((folder / "preprocessor_config.json").read_text())["image_std"] == [0.2, 0.25, 0.3]
        pretrained.scale_pixels(model, folder)
    else:
        one, other = (library.AutoTokenizer.from_pretrained(place) for place in (folder, task.folder))
        assert all(one(text)["input_ids"] == other(text)["input_ids"] for text in sentences(5, 9))
    with torch.no_grad():
        assert torch.equal(task.predict(model, datasets(task).target_test), predicted(row))
    assert os.listdir(store.models) == [trial.key]


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_of_any_other_network_there_is_its_state(engine, store):
    """Final trials only; lanes give theirs as plain trials do."""
    task = Friedman1()
    suite = suite_of(task, "fine_tuning", "lora", "subtuning", "pac", engine=engine, configs=2)
    trials = finals(suite)
    tuned = [trial for trial in tune_trials(suite) if trial.method.name == "fine_tuning"][:1]
    rows = {row["key"]: row for row in run_pack([*tuned, *trials], store)}
    assert {row["engine"] for row in rows.values()} == {engine}
    assert "saved_model" not in rows[tuned[0].key]["extra"]
    assert sorted(os.listdir(store.models)) == sorted(trial.key for trial in trials)
    for trial in trials:
        with seeds.seeded("other", "weights"):
            network = target_network(task)
        network.load_state_dict(load_file(store.models / trial.key / "model.safetensors"))
        with torch.no_grad():
            outputs = task.predict(network, datasets(task).target_test)
        torch.testing.assert_close(outputs, predicted(rows[trial.key]), rtol=0, atol=1e-6 if engine == "lanes" else 0)


def test_a_trial_that_is_not_done_leaves_no_model(store):
    (trial,) = finals(suite_of(Friedman1(), "fine_tuning"))
    assert run(dataclasses.replace(trial, trial_seconds=1e-4), store)["status"] == "timeout"
    assert not store.models.exists()


def test_what_is_there_is_not_written_again_and_without_the_flag_nothing_is(store):
    (trial,) = finals(suite_of(Friedman1(), "fine_tuning"))
    marked = store.models / trial.key
    marked.mkdir(parents=True)
    (marked / "mine").write_text("as it was")
    assert run(trial, store)["extra"]["saved_model"] == f"models/{trial.key}"
    assert os.listdir(marked) == ["mine"]
    store.models = None
    assert not {"saved_model", "model_not_saved"} & run(trial, store)["extra"].keys()


class Tied(nn.Module):
    """Weights that share memory, are no dense tensors, or no weights at all."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.turned = nn.Parameter(torch.randn(3, 5).T)
        self.register_buffer("part", self.first.bias.detach()[1:3])
        self.register_buffer("none", torch.empty(0, 2))


def test_weights_that_share_memory_are_saved_each(tmp_path):
    network = Tied()
    assert deployed.save(network, Friedman1(), "key", tmp_path) == {"saved_model": f"{tmp_path.name}/key"}
    held, state = load_file(tmp_path / "key" / "model.safetensors"), network.state_dict()
    assert held.keys() == state.keys()
    assert all(torch.equal(held[name], state[name]) for name in state)


@pytest.mark.parametrize("case", ["gpt2", "any other"])
def test_a_full_disk_costs_the_model_and_not_the_row(case, small_disk, store, tmp_path):
    """The row says so, nothing is left half-written, and once there is room the model is saved."""
    store.models = small_disk / "models"
    task = make(case, tmp_path)[0] if case in CASES else Friedman1()
    (trial,) = finals(suite_of(task, "fine_tuning"))
    for left in (0, 16384):
        fill_up(small_disk, left)
        row = run(trial, store)
        assert row["status"] == "done"
        assert row["score_test"] is not None
        assert "No space left on device" in row["extra"]["model_not_saved"]
        assert "saved_model" not in row["extra"]
        assert not store.models.exists() or not os.listdir(store.models)
        (small_disk / "ballast").unlink()
    assert "saved_model" in run(trial, store)["extra"]


def test_what_killed_workers_left_is_cleared_and_nothing_else(tmp_path):
    for name in (".tmp-0123", "a-key"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("half")
    deployed.clear(tmp_path)
    assert os.listdir(tmp_path) == ["a-key"]
    deployed.clear(tmp_path / "nowhere")


def test_where_models_cannot_be_kept_is_said_before_anything_starts(tmp_path, monkeypatch):
    deployed.check(tmp_path)
    with pytest.raises(UserError, match="s3://bucket/prefix is no folder but an object store; expected --out to be a"):
        deployed.check(Bucket(None, "bucket/prefix"))
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(UserError, match=r"--save-models needs safetensors .* pip install"):
        deployed.check(tmp_path)


def test_the_names_are_the_harness_own():
    assert {"saved_model", "model_not_saved", "tokens_per_second"} <= RESERVED


@pytest.mark.parametrize("case", ["bert", "gpt2", "vit"])
def test_rows_of_texts_say_real_tokens_per_second(case, tmp_path, store):
    task, _ = make(case, tmp_path)
    (trial,) = finals(suite_of(task, "fine_tuning"))
    row = run(trial, store)
    if case == "vit":
        assert "tokens_per_second" not in row["extra"]
        return
    pool = datasets(task).target_pool
    tokens = task.tokens(pool)
    mean = float(row["extra"]["tokens_per_second"]) / row["examples_per_second"]
    assert tokens.min() <= mean * 1.001
    assert mean * 0.999 <= tokens.max()
    if case == "bert":
        assert (tokens < 16).any(), "some are padded"
        assert tokens.tolist() == (pool["inputs"] != 0).sum(1).tolist()
    else:
        assert set(tokens.tolist()) == {12}
